"""Changes of upstream that an anchor does not survive: nothing is written, and the message says what to look at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.patches.ultralytics.mutations import (
    BACKWARD,
    CONFIG,
    DECODE,
    HAND_OVER,
    INIT,
    LOSS,
    MODEL,
    TRAINER,
    VERSION,
    YAML,
    Mutation,
    check_breaks,
)

if TYPE_CHECKING:
    from tests.patches.ultralytics.mutations import Release

BREAKS = (
    Mutation(
        name="method renamed",
        patch="sparsity",
        file=TRAINER,
        old="def _do_train(self):",
        new="def _train_loop(self):",
        says=(
            "  problem  expected 1 site, found none",
            "  expected self.scaler.scale(self.loss).backward()",
            "  nearest  line 565: self.scaler.scale(self.loss).backward()",
        ),
    ),
    Mutation(
        name="class renamed",
        patch="sparsity",
        file=TRAINER,
        old="class BaseTrainer:",
        new="class Trainer:",
        says=(
            f"  at       {TRAINER} :: BaseTrainer._do_train (ultralytics {VERSION})",
            "  nearest  line 565: self.scaler.scale(self.loss).backward()",
        ),
    ),
    Mutation(
        name="anchor deleted",
        patch="sparsity",
        file=TRAINER,
        old=BACKWARD,
        new="                    pass\n",
        says=("  problem  expected 1 site, found none",),
    ),
    Mutation(
        name="anchor twice",
        patch="sparsity",
        file=TRAINER,
        old=BACKWARD,
        new=BACKWARD + BACKWARD,
        says=(
            "  problem  expected 1 site, found 2 without the edit",
            "  nearest  line 565: self.scaler.scale(self.loss).backward()",
            "  nearest  line 566: self.scaler.scale(self.loss).backward()",
        ),
    ),
    Mutation(
        name="argument of the call changed",
        patch="sparsity",
        file=TRAINER,
        old=BACKWARD,
        new=BACKWARD.replace("self.loss", "loss"),
        says=("  nearest  line 565: self.scaler.scale(loss).backward()",),
    ),
    Mutation(
        name="moved to another method",
        patch="sparsity",
        file=TRAINER,
        old=BACKWARD,
        new="                    self._backward()\n"
        "                finally:\n"
        "                    pass\n"
        "\n"
        "    def _backward(self):\n"
        "        self.scaler.scale(self.loss).backward()\n"
        "        for _ in ():\n"
        "            while True:\n"
        "                try:\n"
        "                    pass\n",
        says=("  problem  expected 1 site, found none", "  nearest  line 565: self._backward()"),
    ),
    Mutation(
        name="on one line with its condition",
        patch="sparsity",
        file=TRAINER,
        old=BACKWARD,
        new="                    if self.loss.requires_grad: self.scaler.scale(self.loss).backward()\n",
        says=("  nearest  line 565: if self.loss.requires_grad: self.scaler.scale(self.loss).backward()",),
    ),
    Mutation(
        name="class in a condition",
        patch="loss_device",
        file=LOSS,
        old="class v8OBBLoss(v8DetectionLoss):\n",
        new="if True:\n  class v8OBBLoss(v8DetectionLoss):\n",
        says=("  problem  expected 2 sites, found 1 without the edit",),
    ),
    Mutation(
        name="decoding without proj",
        patch="loss_device",
        file=LOSS,
        old="            " + DECODE,
        new="            pred_dist = self.dfl(pred_dist)\n",
        places=2,
        says=("  problem  expected 2 sites, found none",),
    ),
    Mutation(
        name="decoding in one place",
        patch="loss_device",
        file=LOSS,
        old="            " + DECODE + "        return torch.cat",
        new="            pred_dist = self.dfl(pred_dist)\n        return torch.cat",
        says=("  problem  expected 2 sites, found 1 without the edit", f"  nearest  line 418: {DECODE.strip()}"),
    ),
    Mutation(
        name="nbs renamed",
        patch="sparsity",
        file=YAML,
        old="nbs: 64",
        new="nominal_nbs: 64",
        says=(f"  at       {YAML} :: module (ultralytics {VERSION})", "  expected nbs:"),
    ),
    Mutation(
        name="nbs twice",
        patch="sparsity",
        file=YAML,
        old="nbs: 64",
        new="nbs: 64\nnbs: 64",
        says=("  problem  expected 1 site, found 2 without the edit",),
    ),
    Mutation(
        name="float keys renamed",
        patch="sparsity",
        file=CONFIG,
        old="CFG_FLOAT_KEYS = ",
        new="FLOAT_KEYS = ",
        says=("  expected CFG_FLOAT_KEYS = ...", "  nearest  line 202: FLOAT_KEYS = frozenset("),
    ),
    Mutation(
        name="float keys are computed",
        patch="sparsity",
        file=CONFIG,
        old="CFG_FLOAT_KEYS = frozenset(\n    {",
        new="CFG_FLOAT_KEYS = frozenset(\n    {*BASE, ",
        says=("  problem  CFG_FLOAT_KEYS does not begin with a string",),
    ),
    Mutation(
        name="hand-over gone",
        patch="keep_architecture",
        file=MODEL,
        old=HAND_OVER,
        new="            self.trainer.model = self.model\n",
        says=(
            f"  at       {MODEL} :: *.train (ultralytics {VERSION})",
            "  expected self.trainer.model = self.trainer.get_model(...)",
            "  nearest  line 894: self.trainer.model = self.model",
        ),
    ),
    Mutation(
        name="hand-over with a type",
        patch="keep_architecture",
        file=MODEL,
        old="self.trainer.model = self.trainer.get_model(",
        new="self.trainer.model: nn.Module = self.trainer.get_model(",
        says=("  problem  expected 1 site, found none",),
    ),
    Mutation(
        name="student renamed",
        patch="keep_architecture",
        file=TRAINER,
        old="            student_model = self.get_model(",
        new="            student = self.get_model(",
        says=("  expected student_model = self.get_model(...)",),
    ),
    Mutation(
        name="version from the metadata",
        patch="version",
        file=INIT,
        old='__version__ = "8.4.190"',
        new='__version__ = metadata.version("ultralytics")',
        says=('  nearest  line 3: __version__ = metadata.version("ultralytics")',),
    ),
    Mutation(
        name="syntax of a newer Python",
        patch="sparsity",
        file=TRAINER,
        old="class BaseTrainer:",
        new="lazy class BaseTrainer:",
        says=(
            f"  at       {TRAINER} :: module (ultralytics {VERSION})",
            "  problem  it does not parse: line 79: invalid syntax",
        ),
    ),
)


@pytest.mark.parametrize("mutation", BREAKS, ids=lambda m: m.name)
def test_breaks_and_says_why(release: Release, mutation: Mutation) -> None:
    check_breaks(release, mutation)
