"""`Model.load` says when it has loaded a pruned model's weights into a larger one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.patches.cases import Case, all_ends, beside, check_none_missed, patch_named

if TYPE_CHECKING:
    from collections.abc import Callable

PATCH = patch_named("growth_warning")
IMPORT = "from ultralytics.slim.growth import warn_of_growth as slim_warn_of_growth\n"

BEFORE = """\
from ultralytics.nn.tasks import attempt_load_one_weight


class Model:
    def load(self, weights="yolov8n.pt"):
        if isinstance(weights, (str, Path)):
            weights, self.ckpt = attempt_load_one_weight(weights)
        self.model.load(weights)
        return self
"""
CALL = "        self.model.load(weights)\n"
AFTER = BEFORE.replace(CALL, f"{CALL}        slim_warn_of_growth(self.model, weights)\n").replace(
    "import attempt_load_one_weight\n", f"import attempt_load_one_weight\n{IMPORT}"
)
CASES = (
    Case.of("8.0.54", {"ultralytics/yolo/engine/model.py": (BEFORE, AFTER)}),
    Case.of("8.4.190", {"ultralytics/engine/model.py": (BEFORE, AFTER)}),
)


@pytest.mark.parametrize("version", all_ends(PATCH))
def test_no_load_is_missed(release: Callable[[str], dict[str, bytes]], version: str) -> None:
    own = ("ultralytics/models/rtdetr/", "ultralytics/vit/rtdetr/")  # RT-DETR had a class of its own for a while
    check_none_missed(PATCH, version, release(version), r"\bself\.model\.load\(weights\)", besides=own)


def test_release_before_has_no_load(release: Callable[[str], dict[str, bytes]]) -> None:
    (before,) = beside(PATCH)
    assert b"self.model.load(" not in release(before)["ultralytics/yolo/engine/model.py"]
