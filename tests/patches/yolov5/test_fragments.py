"""What the edits come to, a few lines each, on the sources as they are published; and that these lines do it."""

from __future__ import annotations

import ast
import random
import re
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import yaml

from slimfork.codemods.codemod import Source
from tests.patches.yolov5.test_releases import SERIES, release

if TYPE_CHECKING:
    from collections.abc import Callable

AFTER = {
    ("sparsity", "7.0.14", "yolov5/train.py"): (
        """
                loss, loss_items = compute_loss(pred, targets.to(device))  # loss scaled by batch_size
                loss = slim_yolov5.penalize(loss, model, optimizer, opt, hyp, epoch, epochs, imgs, nb)
                if RANK != -1:
                    loss *= WORLD_SIZE  # gradient averaged between devices in DDP mode
""",
        """
from yolov5.models.experimental import attempt_load
from yolov5.slim import yolov5 as slim_yolov5
""",
        """
def parse_opt(known=False):
    parser = argparse.ArgumentParser()
    slim_yolov5.sparse_arguments(parser)
""",
        """
            del hyp['anchors'], meta['anchors']
        slim_yolov5.keep_out_of_evolution(meta, hyp)
        opt.noval, opt.nosave, save_dir = True, True, Path(opt.save_dir)  # only val/save final epoch
""",
    ),
    ("sparsity", "5.0.0", "yolov5/train.py"): (
        """
        assert opt.local_rank == -1, 'DDP mode not implemented for --evolve'
        slim_yolov5.keep_out_of_evolution(meta, hyp)
        opt.notest, opt.nosave = True, True  # only test/save final epoch
""",
        """
def main():
    parser = argparse.ArgumentParser()
    slim_yolov5.sparse_arguments(parser)
""",
    ),
    ("sparsity", "6.2.0", "yolov5/segment/train.py"): (
        """
                loss, loss_items = compute_loss(pred, targets.to(device), masks=masks.to(device).float())
                loss = slim_yolov5.penalize(loss, model, optimizer, opt, hyp, epoch, epochs, imgs, nb)
""",
    ),
    ("sparsity", "6.2.0", "yolov5/classify/train.py"): (
        """
                loss = criterion(model(images), labels)
                loss = slim_yolov5.penalize(loss, model, optimizer, opt, {}, epoch, epochs, images, len(trainloader))
""",
    ),
    ("keep_architecture", "7.0.14", "yolov5/train.py"): (
        """
        model = Model(cfg or ckpt['model'].yaml, ch=3, nc=nc, anchors=hyp.get('anchors')).to(device)  # create
        model = slim_keep_architecture(model, ckpt)
""",
        """
from yolov5.models.yolo import Model
from yolov5.slim.architecture import keep_architecture as slim_keep_architecture
""",
    ),
    ("keep_architecture", "6.0.7", "yolov5/helpers.py"): (
        """
    hub_model = Model(model.yaml)  # create
    hub_model = slim_keep_architecture(hub_model, model)
    msd = model.state_dict()  # model state_dict
""",
    ),
    ("keep_architecture", "5.0.0", "yolov5/hubconf.py"): (
        """
    hub_model = Model(model.yaml).to(next(model.parameters()).device)  # create
    hub_model = slim_keep_architecture(hub_model, model)
    hub_model.load_state_dict(model.float().state_dict())  # load state_dict
""",
    ),
    ("few_steps", "5.0.5", "yolov5/train.py"): (
        """
    nw = max(round(hyp['warmup_epochs'] * nb), 1000)  # number of warmup iterations, max(3 epochs, 1k iterations)
    nbs, accumulate, nw = slim_few_steps.prepared(nw, model, ema, hyp, opt, total_batch_size, nb, epochs)
""",
        "    slim_few_steps.add_option(parser)\n",
    ),
    ("few_steps", "7.0.14", "yolov5/segment/train.py"): (
        """
    nw = max(round(hyp['warmup_epochs'] * nb), 100)  # number of warmup iterations, max(3 epochs, 100 iterations)
    nbs, accumulate, nw = slim_few_steps.prepared(nw, model, ema, hyp, opt, batch_size, nb, epochs)
""",
        "from yolov5.slim import few_steps as slim_few_steps\n",
    ),
    ("multi_scale", "7.0.7", "yolov5/segment/train.py"): (
        "sz = random.randrange(int(imgsz * 0.5), int(imgsz * 1.5) + gs) // gs * gs  # size\n",
    ),
    ("torch_load", "7.0.14", "yolov5/train.py"): (
        "d = torch.load(last, map_location='cpu', weights_only=False)['opt']\n",
        "ckpt = torch.load(weights, map_location='cpu', weights_only=False)  # load checkpoint to CPU",
    ),
    ("pkg_resources", "6.2.3", "yolov5/utils/general.py"): (
        "\nfrom yolov5.slim import compat as pkg\n",
        """
        try:
            pkg.report(r)
        except (pkg.VersionConflict, pkg.DistributionNotFound):  # exception if requirements not met
""",
    ),
    ("pkg_resources", "7.0.12", "yolov5/utils/general.py"): (
        "\nfrom yolov5.slim.compat import check_requirements\n",
        "\nfrom yolov5.slim import compat as pkg\n",
    ),
    ("onnx_export", "6.0.7", "yolov5/export.py"): ("} if dynamic else None, **legacy_exporter())\n",),
    ("font_getsize", "6.0.1", "yolov5/utils/plots.py"): (
        "w, h = self.font.getbbox(label)[2:4]  # text width, height\n",
        "w, h = self.font.getbbox(text)[2:4]  # text width, height\n",
    ),
    ("font_download", "7.0.14", "yolov5/utils/general.py"): ("fetch_font(url, str(file), progress=progress)\n",),
    ("np_types", "6.1.0", "yolov5/utils/datasets.py"): (
        "bi = np.floor(np.arange(n) / batch_size).astype(np.int64)  # batch index\n",
    ),
    ("hub_download", "7.0.14", "yolov5/utils/downloads.py"): (
        """
    hf_hub_download, list_repo_files = hub_for(repo_id)
    from yolov5.slim.services import RepositoryNotFoundError
    from yolov5.slim.services import HFValidationError

    try:
        repo_files = list_repo_files(repo_id=repo_id, repo_type='model', token=hf_token)
""",
    ),
    ("roboflow_import", "7.0.14", "yolov5/utils/roboflow.py"): (
        """
from yolov5.slim.services import Roboflow
from yolov5.slim.services import Version
""",
    ),
    ("aws_import", "6.2.3", "yolov5/train.py"): (
        "\nfrom yolov5.slim.services import upload_file_to_s3, upload_folder_to_s3\n",
    ),
    ("package_imports", "6.2.0", "yolov5/utils/torch_utils.py"): ("    from yolov5.models.common import Classify\n",),
}


@cache
def patched(version: str, path: str) -> bytes:
    """Return a file of a release with all edits of it; that they fit and go together is tested on every release."""
    source = Source(release(version)[path])
    for patch in SERIES:
        for edit in patch.edits(version):
            source = edit.apply(source) if edit.file == path else source
    return source.content


@pytest.mark.parametrize(("patch", "version", "path"), AFTER, ids=lambda text: text.rpartition("/")[2])
def test_lines_after(patch: str, version: str, path: str) -> None:
    assert any(patch == other.id and other.variant(version) for other in SERIES)
    for lines in AFTER[patch, version, path]:
        assert patched(version, path).decode().count(lines) == 1, lines
        assert lines not in release(version)[path].decode()


@pytest.mark.parametrize("version", ["5.0.0", "6.1.0", "7.0.14"])
def test_every_hyp_file_gains_one_key_that_is_off(version: str) -> None:
    hyps = {path: content for path, content in release(version).items() if re.search(r"/hyp\.[^/]*\.yaml$", path)}
    assert hyps
    for path, content in hyps.items():
        before, after = (yaml.safe_load(text) for text in (content, patched(version, path)))
        assert after == {**before, "sl": 0.0}
        assert re.search(rb"(?m)^sl: 0\.0  # .*sparsity", patched(version, path))


def functions(content: bytes, name: str) -> dict[str, Any]:
    """Run one function of a file, and nothing else of it; return the namespace it is in."""
    tree = ast.parse(content)
    found = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == name]
    namespace: dict[str, Any] = {"np": np, "torch": torch}
    found[0].decorator_list = []
    exec(compile(ast.Module(found[:1], []), name, "exec"), namespace)  # noqa: S102 - a release's own source
    return namespace


def test_average_precision_is_the_integral() -> None:
    path, curve = "yolov5/utils/metrics.py", (np.array([0.5, 1.0]), np.array([1.0, 0.5]))
    with pytest.raises(AttributeError, match="trapz"):
        functions(release("7.0.14")[path], "compute_ap")["compute_ap"](*curve)
    area, *_ = functions(patched("7.0.14", path), "compute_ap")["compute_ap"](*curve)
    assert area == pytest.approx(0.875, abs=0.01)  # 1 up to a recall of 0.5, then falling to 0.5


def clamped(content: bytes) -> Callable[..., torch.Tensor]:
    """Return the expression of the loss that limits the row of a cell, as a function of its names."""
    calls = [n for n in ast.walk(ast.parse(content)) if isinstance(n, ast.Call) and ast.unparse(n).startswith("gj.cla")]
    return lambda **names: eval(ast.unparse(calls[0]), {}, names)  # noqa: S307 - a release's own source


def test_indices_are_limited_by_integers() -> None:
    path, gain = "yolov5/utils/loss.py", torch.tensor([1.0, 1, 20, 10, 20, 10, 1])
    with pytest.raises(RuntimeError, match="Float can't be cast"):
        clamped(release("6.1.5")[path])(gj=torch.tensor([-1, 3, 99]), gain=gain)
    rows = clamped(patched("6.1.5", path))(gj=torch.tensor([-1, 3, 99]), gain=gain)
    assert rows.tolist() == [0, 3, 9]


def test_remote_of_the_fork_is_not_touched(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tmp_path)
    space = functions(patched("7.0.14", "yolov5/utils/general.py"), "check_git_status")
    space["colorstr"] = str
    space["check_output"] = pytest.fail  # `git remote add`, `git fetch`
    with pytest.raises(AssertionError, match="apply-patches upgrade"):
        space["check_git_status"]()


def test_evolution_goes_on_from_a_single_result() -> None:
    with pytest.raises(ValueError, match="greater than zero"):
        random.choices(range(1), weights=np.zeros(1))  # noqa: S311 - as upstream does
    line = "w = fitness(x) - fitness(x).min() + 1E-6  # weights\n"
    assert line in patched("5.0.0", "yolov5/train.py").decode()
    assert random.choices(range(1), weights=np.zeros(1) + 1e-6) == [0]  # noqa: S311


def test_every_patch_is_shown_here() -> None:
    ran = {"loss_indices", "np_trapz", "git_status", "evolve_weights"}
    elsewhere = {"git_info", "no_validation"}  # one line each: test_releases tries them on every release
    assert {patch for patch, *_ in AFTER} | ran | elsewhere == {patch.id for patch in SERIES}
