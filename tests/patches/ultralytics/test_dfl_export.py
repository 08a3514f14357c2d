"""`DFL` leaves its integral to the overlay, wherever it is defined."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.patches.cases import Case, all_ends, check_none_missed, patch_named

if TYPE_CHECKING:
    from collections.abc import Callable

PATCH = patch_named("dfl_export")

BEFORE = """\
import torch
import torch.nn as nn


class DFL(nn.Module):
    def forward(self, x):
        b, c, a = x.shape  # batch, channels, anchors
        return self.conv(x.view(b, 4, self.c1, a).transpose(2, 1).softmax(1)).view(b, 4, a)
        # return self.conv(x.view(b, self.c1, 4, a).softmax(1)).view(b, 4, a)
"""

AFTER = """\
import torch
import torch.nn as nn
from ultralytics.slim.integral import integral


class DFL(nn.Module):
    def forward(self, x):
        b, c, a = x.shape  # batch, channels, anchors
        return integral(x.view(b, 4, self.c1, a), self.conv)
        # return self.conv(x.view(b, self.c1, 4, a).softmax(1)).view(b, 4, a)
"""

CASES = (
    Case.of("8.0.97", {"ultralytics/nn/modules.py": (BEFORE, AFTER)}),
    Case.of("8.0.98", {"ultralytics/nn/modules/block.py": (BEFORE, AFTER)}),
    Case.of("8.4.190", {"ultralytics/nn/modules/block.py": (BEFORE, AFTER)}),
)


@pytest.mark.parametrize("version", all_ends(PATCH))
def test_no_integral_is_missed(release: Callable[[str], dict[str, bytes]], version: str) -> None:
    check_none_missed(PATCH, version, release(version), r"self\.conv\(x\.view\(.*softmax\(")
