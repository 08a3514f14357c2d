"""How groups get their numbers."""

from __future__ import annotations

import torch

from slim.analysis.numbering import Numbering
from slim.labels.labels import FIXED, Labels
from slim.labels.reason import Reason


def labels_of_five() -> Labels:
    """Return labels 1 to 5, of which 2 and 4 live and die together."""
    labels = Labels()
    labels.new(5)
    labels.unite(torch.tensor([2]), torch.tensor([4]), Reason("added"))
    return labels


def test_groups_are_counted_as_they_are_met() -> None:
    numbering = Numbering(labels_of_five())
    assert numbering.row([5, 4, FIXED, 2]) == (1, 2, FIXED, 2)
    assert numbering.rows({"conv": torch.tensor([-2, 1]), "linear": [3, 5]}) == {"conv": (2, 3), "linear": (4, 1)}
    assert numbering.number.tolist() == [FIXED, 3, 2, 4, -1, 1]


def test_a_row_without_channels_meets_no_group() -> None:
    numbering = Numbering(labels_of_five())
    assert numbering.row([]) == ()
    assert numbering.row([3]) == (1,)


def test_what_is_known_of_groups_that_were_not_met_is_left_out() -> None:
    numbering = Numbering(labels_of_five())
    numbering.row([3, 2])
    assert numbering.by_group({1: "one", 2: "two", 3: "three", FIXED: "fixed"}) == {
        2: "two",
        1: "three",
        FIXED: "fixed",
    }
