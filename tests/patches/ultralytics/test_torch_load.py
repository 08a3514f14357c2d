"""Checkpoints are loaded whole, whatever PyTorch's default is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.patches.cases import (
    Case,
    all_ends,
    as_bytes,
    check_explained,
    check_next_needs_none,
    check_none_missed,
    patch_named,
    step,
)

if TYPE_CHECKING:
    from collections.abc import Callable

PATCH = patch_named("torch_load")

TASKS = "ultralytics/nn/tasks.py"
STRIP = "ultralytics/yolo/utils/torch_utils.py"

# `end` stands before the closing parenthesis of a load: nothing, or the edit.
ENSEMBLE = """\
def attempt_load_weights(weights):
    for w in weights if isinstance(weights, list) else [weights]:
        ckpt = torch.load(attempt_download(w), map_location='cpu'{end})  # load

"""

ONE = """\
def attempt_load_one_weight(weight):
    ckpt = torch.load(attempt_download(weight), map_location='cpu'{end})  # load
"""

ONE_IN_TRY = """\
def attempt_load_one_weight(weight):
    try:
        ckpt = torch.load(weight, map_location='cpu'{end})  # load
    except ModuleNotFoundError:
        ckpt = torch.load(weight, map_location='cpu'{end})  # load
"""

SAFE = """\
def torch_safe_load(weight):
    try:
        return torch.load(file, map_location='cpu'{end}), file  # load
    except ModuleNotFoundError as e:
        return torch.load(file, map_location='cpu'{end}), file  # load
"""

SAFE_IN_WITH = """\
def torch_safe_load(weight):
    try:
        with temporary_modules(
            modules={{"ultralytics.yolo.utils": "ultralytics.utils"}},
        ):
            ckpt = torch.load(file, map_location="cpu"{end})
    except ModuleNotFoundError as e:
        ckpt = torch.load(file, map_location="cpu"{end})
"""

STRIPPED = """\
def strip_optimizer(f='best.pt', s=''):
    x = torch.load(f, map_location=torch.device('cpu'){end})
    args = {{**DEFAULT_CFG_DICT, **x['train_args']}}
"""

NAS = """\
class NAS(Model):
    def _load(self, weights: str):
        self.model = torch.load(weights{end})
"""

TUNED = """\
class Tuner:
    def __call__(self, model=None, iterations=10):
        metrics = torch.load(ckpt_file{end})["train_metrics"]
"""


def case(version: str, files: dict[str, str]) -> Case:
    edit = ", weights_only=False"
    return Case.of(version, {path: (text.format(end=""), text.format(end=edit)) for path, text in files.items()})


MOVED = {"ultralytics/utils/torch_utils.py": STRIPPED, "ultralytics/models/nas/model.py": NAS}

CASES = (
    case("8.0.0", {TASKS: ENSEMBLE + ONE, STRIP: STRIPPED}),
    case("8.0.17", {TASKS: ENSEMBLE + ONE_IN_TRY, STRIP: STRIPPED}),
    case("8.0.100", {TASKS: SAFE, STRIP: STRIPPED}),
    case("8.0.116", {TASKS: SAFE, STRIP: STRIPPED, "ultralytics/yolo/nas/model.py": NAS}),
    case("8.0.136", {TASKS: SAFE, **MOVED}),
    case("8.2.63", {TASKS: SAFE_IN_WITH, **MOVED, "ultralytics/engine/tuner.py": TUNED}),
)

OF_100 = CASES[2]


def test_one_of_two_loads_is_explained() -> None:
    files = as_bytes(OF_100.before)
    files[TASKS] = files[TASKS].replace(b"'cpu')", b"'cpu', weights_only=False)", 1)
    edit = PATCH.variants[0].edits[0]

    done = step(PATCH, files, "8.0.100")

    assert done.state == "broken"
    found = "expected 2 sites, found 1 without the edit, 1 with it"
    check_explained(PATCH, edit, "8.0.100", done.problems[0], found=found)


def test_load_that_asks_for_weights_only_is_refused() -> None:
    files = as_bytes(OF_100.before)
    files[STRIP] = b"x = torch.load(f, weights_only=True)\n"

    done = step(PATCH, files, "8.0.100")

    assert (done.state, dict(done.changes)) == ("broken", {})
    (problem,) = done.problems
    assert f"  at       {STRIP} :: " in problem
    assert "  problem  torch.load(...) has weights_only=True already" in problem
    assert "leave it out: apply-patches apply PATH --skip torch_load" in problem


# SAM's files hold tensors alone; the shim of 8.0.136 to 8.0.186 shows a load in a text.
LEFT_ALONE = (
    "ultralytics/vit/sam/",
    "ultralytics/models/sam/",
    "ultralytics/yolo/data/__init__.py",
    "ultralytics/yolo/utils/__init__.py",
)


@pytest.mark.parametrize("version", all_ends(PATCH))
def test_no_load_is_missed(release: Callable[[str], dict[str, bytes]], version: str) -> None:
    check_none_missed(PATCH, version, release(version), r"\btorch\.load\([^)]", besides=LEFT_ALONE)


def test_next_release_has_its_own_way(release: Callable[[str], dict[str, bytes]]) -> None:
    check_next_needs_none(PATCH, release, b"torch.load = torch_load")
