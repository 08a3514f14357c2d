"""The loss decodes boxes where the predictions are; unpatched upstream fails when its integral lies elsewhere."""

from __future__ import annotations

import pytest

from tests.forks.conftest import NEW, OLD, StepError

WIDTHS = {"Detect": 4, "OBB": 5}  # numbers that a box has
every_loss = pytest.mark.parametrize(("version", "head"), [(NEW, "Detect"), (NEW, "OBB"), (OLD, "Detect")])


@every_loss
def test_predictions_on_another_device(forks, version, head):
    fork = forks(version)
    with pytest.raises(StepError) as failure:
        fork.pristine.call("decode", head=head)
    assert failure.value.kind == "RuntimeError"
    assert fork.call("decode", head=head) == [2, 20, WIDTHS[head]]


@every_loss
def test_predictions_on_the_same_device(forks, version, head):
    assert forks(version).call("decode", head=head, predictions="cpu") == [2, 20, WIDTHS[head]]
