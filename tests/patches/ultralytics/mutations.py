"""A change of upstream's sources in one place: what upstream might do next."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tests.patches.cases import patch_named, step, variant_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from slimfork.codemods.patch import Patch

    Release = Callable[[str], dict[str, bytes]]

VERSION = "8.4.190"
TRAINER = "ultralytics/engine/trainer.py"
MODEL = "ultralytics/engine/model.py"
LOSS = "ultralytics/utils/loss.py"
YAML = "ultralytics/cfg/default.yaml"
CONFIG = "ultralytics/cfg/__init__.py"
INIT = "ultralytics/__init__.py"

INDENT = " " * 20
BACKWARD = f"{INDENT}self.scaler.scale(self.loss).backward()\n"
DECODE = "pred_dist = pred_dist.view(b, a, 4, c // 4).softmax(3).matmul(self.proj.type(pred_dist.dtype))\n"
BUILD = "            self.model = self.get_model(cfg=cfg, weights=weights, verbose=RANK in {-1, 0})"
HAND_OVER = "            self.trainer.model = self.trainer.get_model(weights=weights, cfg=self.model.yaml)\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutation:
    """A change of one file, at a stated number of places, and the lines of the message that it must lead to."""

    name: str
    patch: str
    file: str
    old: str
    new: str
    version: str = VERSION
    places: int = 1
    says: tuple[str, ...] = ()

    def on(self, content: bytes) -> bytes:
        text = content.decode()
        found = text.count(self.old)
        assert found == self.places, f"{self.file} of {self.version} has {found} times {self.old!r}"
        return text.replace(self.old, self.new).encode()


def part_for(name: str, file: str, version: str = VERSION) -> Patch:
    """Return a patch with its edits of one file, so that no other needs to be parsed."""
    patch = patch_named(name)
    variant = variant_of(patch, version)
    edits = tuple(edit for edit in variant.edits if edit.file == file)
    return replace(patch, variants=(replace(variant, edits=edits),))


def check_breaks(release: Release, mutation: Mutation) -> None:
    """Demand that a mutation is reported as broken, with its lines, and that nothing is written."""
    content = mutation.on(release(mutation.version)[mutation.file])
    patch = part_for(mutation.patch, mutation.file, mutation.version)

    done = step(patch, {mutation.file: content}, mutation.version)

    assert (done.state, dict(done.changes)) == ("broken", {})
    problem = done.problems[0]
    assert f"  at       {mutation.file} :: " in problem
    assert f" (ultralytics {mutation.version})" in problem
    assert mutation.says
    for line in mutation.says:
        assert line in problem.splitlines(), problem
