"""The second write-up's edits, made by hand in YOLOv5: taken out of every line of releases, byte for byte."""

# ruff: noqa: E501 - a form is a line of its table

from __future__ import annotations

import pytest

from slimfork.codemods.patch import load_series
from slimfork.handmade.handmade import find, without
from slimfork.releases import pins
from slimfork.releases.fetch import release_files
from slimfork.terminal.errors import SlimforkError
from tests.tools.handmade_forms import behind, commented, deleted

QUICK = ("yolov5@v5.0", "yolov5==7.0.14")
OTHERS = ("yolov5@v6.0", "yolov5@v6.2", "yolov5@v7.0", "yolov5@master", "yolov5==5.0.0", "yolov5==6.0.7")
SPECS = (*QUICK, *(pytest.param(spec, marks=pytest.mark.slow) for spec in OTHERS))
SERIES = load_series("yolov5")

MODULES = """\
# 稀疏训练
if opt.sl > 0:
    print("Sparse Learning Model!")
    print("===> Sparse learning rate is ", hyp["sl"])
    prunable_modules = []
    prunable_module_type = (nn.BatchNorm2d, )
    for i, m in enumerate(model.modules()):
        if isinstance(m, prunable_module_type):
            prunable_modules.append(m)
"""
FUNCTION = '''\
def compute_pruning_loss(p, prunable_modules, model, loss):
    """
    Compute the pruning loss
    :param p: predicted output
    """
    float_tensor = torch.cuda.FloatTensor if p[0].is_cuda else torch.Tensor
    sl_loss = float_tensor([0])
    hyp = model.hyp  # hyperparameters
    red = "mean"  # Loss reduction (sum or mean)
    if prunable_modules is not None:
        for m in prunable_modules:
            sl_loss += m.weight.norm(1)
        sl_loss /= len(prunable_modules)
    sl_loss *= hyp["sl"]
    bs = p[0].shape[0]  # batch size
    loss += sl_loss * bs
    return loss


'''
CALL = "# Sparse Learning\nif opt.sl > 0:\n    loss = compute_pruning_loss(pred, prunable_modules, model, loss)\n"
OPTION = "parser.add_argument('--sl', type=float, default=0.0, help='sparse learning')\n"
STRENGTH = 'hyp["sl"] = opt.sl\n'
LOSS = r"loss, loss_items = compute_loss\("
MODEL = r"model = Model\((opt\.)?cfg or ckpt"


@pytest.fixture(scope="module")
def release():
    files = {}

    def of(spec):
        if spec not in files:
            try:
                whole = release_files(pins.find(spec))
            except SlimforkError as error:
                if "@" not in spec:
                    raise
                pytest.skip(f"no clone of YOLOv5 at hand: {error.message}")
            files[spec] = {p: f.content for p, f in whole.items() if p.endswith((".py", ".yaml"))}
        return files[spec]

    return of


def root(spec):
    return "" if "@" in spec else "yolov5/"


def back(files, pristine):
    found = find(SERIES, files, pristine)
    assert found
    assert not [str(f) for f in found if f.refusal]
    out = {**files, **without(files, found, pristine)}
    assert find(SERIES, out, pristine) == ()
    return out


def same(out, wanted):
    for path in wanted:
        assert out[path].decode().splitlines() == wanted[path].decode().splitlines(), path
    assert out == wanted


def importing(content, package):
    """Import the function beside the loss."""
    line = f"from {package}utils.loss import ComputeLoss".encode()
    assert content.count(line) == 1
    return content.replace(line, line + b", compute_pruning_loss")


def write_up(files, spec, *, function="utils/loss.py"):
    """Return the files with the whole second write-up in them."""
    at = root(spec)
    train, files = f"{at}train.py", dict(files)
    text = behind(files[train], LOSS, CALL)
    text = behind(text, r"compute_loss = ComputeLoss\(", MODULES)
    text = behind(text, r"parser = argparse\.ArgumentParser\(", OPTION)
    text = behind(text, r"nbs = 64", STRENGTH)
    if function == "train.py":
        files[train] = behind(text, r"def train\(", FUNCTION, before=True)
    else:
        files[train] = importing(text, at.replace("/", "."))
        files[f"{at}{function}"] = behind(files[f"{at}{function}"], r"class ComputeLoss", FUNCTION, before=True)
    hyp = next(
        p for p in files if p.startswith(f"{at}data/") and "hyp" in p and p.endswith(("scratch.yaml", "low.yaml"))
    )
    files[hyp] += b"" if files[hyp].endswith(b"\n") else b"\n"
    pristine_hyp = files[hyp]
    files[hyp] += b"sl: 0.002  # sparse learning rate\n"
    return files, {hyp: pristine_hyp}


@pytest.mark.parametrize("function", ["utils/loss.py", "train.py"])
@pytest.mark.parametrize("known", [True, False], ids=["with the release", "by structure"])
@pytest.mark.parametrize("spec", SPECS)
def test_the_whole_second_write_up(release, spec, known, function):
    pristine = release(spec)
    files, hyp = write_up(pristine, spec, function=function)
    same(back(files, pristine if known else None), {**pristine, **hyp})


INLINE = {
    "a sum": "if opt.sl > 0:\n    loss += opt.sl * sum(m.weight.abs().sum() for m in model.modules() if isinstance(m, nn.BatchNorm2d))\n",
    "a loop": "sl_loss = torch.zeros(1, device=device)\nfor m in model.modules():\n    if isinstance(m, nn.BatchNorm2d):\n        sl_loss += torch.norm(m.weight, p=1)\nsl_loss *= opt.sl\nloss = loss + sl_loss\n",
    "terms": "terms = []\nfor m in de_parallel(model).modules():\n    if isinstance(m, nn.BatchNorm2d):\n        terms.append(m.weight.norm(p=1))\nloss += hyp['sl'] * torch.stack(terms).mean() * imgs.shape[0]\n",
    "linalg": "bns = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]\nloss += 1e-4 * sum(torch.linalg.norm(bn.weight, 1) for bn in bns)\n",
    "printed": "l1 = sum(m.weight.norm(1) for m in model.modules() if isinstance(m, nn.BatchNorm2d)) * 1e-4\nprint(f'{l1}')\nloss += l1\n",
}


@pytest.mark.parametrize("form", INLINE)
@pytest.mark.parametrize("spec", ["yolov5==7.0.14"])
def test_a_term_in_other_words(release, spec, form):
    pristine = release(spec)
    path = f"{root(spec)}train.py"
    files = {**pristine, path: behind(pristine[path], LOSS, INLINE[form])}
    same(back(files, None), pristine)


def test_gradients_in_the_way_of_the_first_write_up(release):
    pristine = release("yolov5==7.0.14")
    path = "yolov5/train.py"
    loop = "srtmp = opt.sr * (1 - 0.9 * epoch / epochs)\nif opt.st:\n    for k, m in model.named_modules():\n        if isinstance(m, nn.BatchNorm2d):\n            m.weight.grad.data.add_(srtmp * torch.sign(m.weight.data))  # L1\n            m.bias.grad.data.add_(opt.sr * 10 * torch.sign(m.bias.data))  # L1\n"
    text = behind(pristine[path], r"scaler\.scale\(loss\)\.backward\(\)", loop)
    options = "parser.add_argument('--st', action='store_true', default=False, help='train with L1 sparsity')\nparser.add_argument('--sr', type=float, default=0.0001, help='L1 strength')\n"
    text = behind(text, r"parser = argparse\.ArgumentParser\(", options)
    same(back({**pristine, path: text}, None), pristine)


@pytest.mark.parametrize("spec", SPECS)
def test_the_pickled_model_in_place_of_the_built_one(release, spec):
    pristine = release(spec)
    path = f"{root(spec)}train.py"
    new = "model = ckpt['model'].float().to(device)  # fine-tune\n"
    files = {**pristine, path: behind(commented(pristine[path], MODEL), f"# {MODEL}", new)}
    same(back(files, None), pristine)
    deletes = deleted(behind(pristine[path], MODEL, new, before=True), MODEL)
    same(back({**pristine, path: deletes}, pristine), pristine)
    beside = {**pristine, path: behind(pristine[path], r"model\.load_state_dict\(\w+, strict=False\)", new)}
    same(back(beside, None), pristine)


def test_an_option_alone_is_found_since_ours_has_its_name(release):
    pristine = release("yolov5==7.0.14")
    path = "yolov5/train.py"
    files = {**pristine, path: behind(pristine[path], r"parser = argparse\.ArgumentParser\(", OPTION)}
    same(back(files, None), pristine)


def test_a_pruning_script_of_the_users_own_is_theirs(release):
    pristine = release("yolov5==7.0.14")
    own = b"import torch.nn as nn\nfor m in model.modules():\n    if isinstance(m, nn.BatchNorm2d):\n        bn_val.extend(m.weight.data.abs())\n        m.weight.grad.add_(m.weight.sign())\n"
    assert find(SERIES, {**pristine, "pruning.py": own, "yolov5/my_train.py": own}) == ()


@pytest.mark.parametrize("spec", SPECS)
def test_no_release_holds_anything_made_by_hand(release, spec):
    assert find(SERIES, release(spec)) == ()
