"""Changes of upstream that an anchor does not mind: the sources of a release, changed in one place."""

from __future__ import annotations

import io
import re
import tokenize
from typing import TYPE_CHECKING

import pytest

from tests.patches.cases import step
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


@pytest.mark.parametrize("mutation", STILL_FITS, ids=lambda m: m.name)
def test_still_fits(release: Release, mutation: Mutation) -> None:
    content = mutation.on(release(VERSION)[mutation.file])

    done = step(part_for(mutation.patch, mutation.file), {mutation.file: content}, VERSION)

    assert done.state == "pending", "\n".join(done.problems)
    assert done.changes[mutation.file] != content
    assert set(content.splitlines()) - set(done.changes[mutation.file].splitlines()) <= replaced(content)


def replaced(content: bytes) -> set[bytes]:
    """Return the lines that a patch may change and not only add to."""
    return set(re.findall(rb"(?m)^__version__.*", content))


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
