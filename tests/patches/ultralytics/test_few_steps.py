"""Upstream's count of batches to a step comes after ours, in every release."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.patches.cases import Case, all_ends, check_none_missed, patch_named

if TYPE_CHECKING:
    from collections.abc import Callable

PATCH = patch_named("few_steps")
IMPORT = "from ultralytics.slim.few_steps import prepare as slim_prepare_for_few_steps\n"
BEFORE = """\
import math


class BaseTrainer:
    def _setup_train(self, world_size):
        self.accumulate = max(round(self.args.nbs / self.batch_size), 1)  # accumulate loss before optimizing
        weight_decay = self.args.weight_decay * self.batch_size * self.accumulate / self.args.nbs  # scale weight_decay

    def _do_train(self):
        self.accumulate = max(1, int(np.interp(ni, xi, [1, self.args.nbs / self.batch_size]).round()))
"""
COUNT = "        self.accumulate = max(round("
AFTER = BEFORE.replace(COUNT, f"        slim_prepare_for_few_steps(self)\n{COUNT}").replace(
    "import math\n", f"import math\n{IMPORT}"
)
MOVED = [text.replace("_setup_train(self, world_size)", "_build_train_pipeline(self)") for text in (BEFORE, AFTER)]
CASES = (
    Case.of("8.0.0", {"ultralytics/yolo/engine/trainer.py": (BEFORE, AFTER)}),
    Case.of("8.4.190", {"ultralytics/engine/trainer.py": (MOVED[0], MOVED[1])}),
)


@pytest.mark.parametrize("version", all_ends(PATCH))
def test_no_count_is_missed(release: Callable[[str], dict[str, bytes]], version: str) -> None:
    check_none_missed(PATCH, version, release(version), r"\bself\.accumulate = max\(round\(")
