"""Changes of upstream that an anchor does not mind: the sources of a release, changed in one place."""

from __future__ import annotations

import io
import re
import tokenize
from typing import TYPE_CHECKING

import pytest

from tests.patches.cases import check_only_marked_lines, step
from tests.patches.ultralytics.mutations import (
    BACKWARD,
    BUILD,
    CONFIG,
    INDENT,
    INIT,
    LOSS,
    TRAINER,
    VERSION,
    YAML,
    Mutation,
    part_for,
)

if TYPE_CHECKING:
    from tests.patches.ultralytics.mutations import Release

STILL_FITS = (
    Mutation(
        name="comment at the anchor",
        patch="sparsity",
        file=TRAINER,
        old=BACKWARD,
        new=BACKWARD.replace("\n", "  # gradients\n"),
    ),
    Mutation(
        name="comments above it",
        patch="sparsity",
        file=TRAINER,
        old=BACKWARD,
        new=f"{INDENT}# More of them\n\n{INDENT}# than before\n{BACKWARD}",
    ),
    Mutation(
        name="in a try",
        patch="sparsity",
        file=TRAINER,
        old=BACKWARD,
        new=f"{INDENT}try:\n    {BACKWARD}{INDENT}finally:\n{INDENT}    pass\n",
    ),
    Mutation(
        name="in a with",
        patch="sparsity",
        file=TRAINER,
        old=BACKWARD,
        new=f"{INDENT}with torch.enable_grad():\n    {BACKWARD}",
    ),
    Mutation(
        name="behind another statement",
        patch="sparsity",
        file=TRAINER,
        old=BACKWARD,
        new=f"{INDENT}mark()\n{BACKWARD}",
    ),
    Mutation(
        name="over several lines",
        patch="sparsity",
        file=TRAINER,
        old=BACKWARD,
        new=f"{INDENT}self.scaler.scale(  # AMP\n{INDENT}    (self.loss),\n{INDENT}).backward()\n",
    ),
    Mutation(
        name="in a method with more parameters",
        patch="sparsity",
        file=TRAINER,
        old="def _do_train(self):",
        new="def _do_train(self, world_size: int = 1, *, rank=-1) -> None:",
    ),
    Mutation(
        name="in a decorated method",
        patch="sparsity",
        file=TRAINER,
        old="    def _do_train",
        new="    @profile\n    def _do_train",
    ),
    Mutation(
        name="other arguments of get_model",
        patch="keep_architecture",
        file=TRAINER,
        old=BUILD,
        new=BUILD.replace("cfg=cfg, ", "cfg, ").replace("verbose=RANK in {-1, 0}", "ch=3, verbose=False"),
    ),
    Mutation(
        name="another base class",
        patch="loss_device",
        file=LOSS,
        old="class v8DetectionLoss:",
        new="class v8DetectionLoss(nn.Module):",
    ),
    Mutation(
        name="another class name",
        patch="loss_device",
        file=LOSS,
        old="class v8OBBLoss(",
        new="class OBBLoss(",
    ),
    Mutation(name="another default of nbs", patch="sparsity", file=YAML, old="nbs: 64", new="nbs: 128"),
    Mutation(
        name="another first float key",
        patch="sparsity",
        file=CONFIG,
        old='        "warmup_epochs",\n        "box",\n',
        new="        'new_key',  # comes first\n        \"box\",\n",
    ),
    Mutation(name="version of a pre-release", patch="version", file=INIT, old='"8.4.190"', new="'8.4.191.dev0'"),
)

OLD_FITS = (
    Mutation(
        name="loss by another name",
        version="8.0.0",
        patch="loss_device",
        file="ultralytics/yolo/v8/detect/train.py",
        old="class Loss:",
        new="class DetectionLoss:",
    ),
    Mutation(
        name="load on the GPU",
        version="8.0.100",
        patch="torch_load",
        file="ultralytics/nn/tasks.py",
        old="torch.load(file, map_location='cpu')",
        new="torch.load(\n            str(file),  # a path\n            map_location=device,\n        )",
        places=2,
    ),
    Mutation(
        name="one key more, in parentheses",
        version="8.0.100",
        patch="sparsity",
        file="ultralytics/yolo/cfg/__init__.py",
        old="CFG_FLOAT_KEYS = 'warmup_epochs', 'box', 'cls', 'dfl', 'degrees', 'shear'",
        new="CFG_FLOAT_KEYS = ('epochs', 'warmup_epochs',\n    'box', 'cls', 'dfl', 'degrees', 'shear')",
    ),
    Mutation(
        name="other imports around it",
        version="8.0.100",
        patch="pkg_resources",
        file="ultralytics/yolo/utils/checks.py",
        old="import numpy as np\nimport pkg_resources as pkg\n",
        new="import pkg_resources as pkg  # setuptools\nimport numpy\n",
    ),
    Mutation(
        name="font of another size",
        version="8.0.100",
        patch="font_getsize",
        file="ultralytics/yolo/utils/plotting.py",
        old="                w, h = self.font.getsize(text)\n",
        new="                for _ in range(2):\n                    w, h = self.font.getsize((text))\n",
    ),
    Mutation(
        name="integral of another curve",
        version="8.2.63",
        patch="np_trapz",
        file="ultralytics/utils/metrics.py",
        old="ap = np.trapz(np.interp(x, mrec, mpre), x)",
        new="ap = float(np.trapz(y=np.interp(x, mrec[::-1], mpre), x=x))",
    ),
    Mutation(
        name="rule in a branch",
        version="8.2.0",
        patch="onnx_export",
        file="ultralytics/utils/torch_utils.py",
        old='    return max(int(k[14:]) for k in vars(torch.onnx) if "symbolic_opset" in k) - 1  # opset\n',
        new="    if not TORCH_2_9:\n"
        "        return max(int(k[14:]) for k in vars(torch.onnx) if 'symbolic_opset' in k) - 1\n"
        "    return 18\n",
    ),
)


@pytest.mark.parametrize("mutation", [*STILL_FITS, *OLD_FITS], ids=lambda m: f"{m.version}-{m.name}")
def test_still_fits(release: Release, mutation: Mutation) -> None:
    content = mutation.on(release(mutation.version)[mutation.file])
    patch = part_for(mutation.patch, mutation.file, mutation.version)

    done = step(patch, {mutation.file: content}, mutation.version)

    assert done.state == "pending", "\n".join(done.problems)
    assert done.changes[mutation.file] != content
    (variant,) = patch.variants
    check_only_marked_lines(content, done.changes[mutation.file], [mark for e in variant.edits for mark in e.marks])


STYLED = {"keep_architecture": TRAINER, "loss_device": LOSS, "sparsity": CONFIG}


@pytest.mark.parametrize(("name", "file"), list(STYLED.items()))
@pytest.mark.parametrize("form", ["tabs", "two spaces", "single quotes", "crlf"])
def test_style_of_the_sources_does_not_matter(release: Release, name: str, file: str, form: str) -> None:
    content = restyled(release(VERSION)[file].decode(), form).encode()

    done = step(part_for(name, file), {file: content}, VERSION)

    assert done.state == "pending", "\n".join(done.problems)
    before, after = (text.splitlines(keepends=True) for text in (content, done.changes[file]))
    kept = set(before)
    assert [line for line in after if line in kept] == before
    new = [line for line in after if line not in kept]
    assert all(line.endswith(b"\r\n") == (form == "crlf") for line in new)
    assert not any(line.startswith(b" ") for line in new if form == "tabs")


def restyled(text: str, form: str) -> str:
    if form == "crlf":
        return text.replace("\n", "\r\n")
    if form == "single quotes":
        return in_single_quotes(text)
    unit = "\t" if form == "tabs" else "  "
    return re.sub(r"(?m)^( {4})+", lambda found: unit * (len(found[0]) // 4), text)


def in_single_quotes(text: str) -> str:
    """Return the source with every plain string in single quotes that holds no quote or backslash."""
    lines = text.splitlines(keepends=True)
    for token in reversed(list(tokenize.generate_tokens(io.StringIO(text).readline))):
        if token.type == tokenize.STRING and re.fullmatch(r'"[^"\'\\\n]*"', token.string):
            row, (start, end) = token.start[0] - 1, (token.start[1], token.end[1])
            lines[row] = f"{lines[row][:start]}'{token.string[1:-1]}'{lines[row][end:]}"
    return "".join(lines)
