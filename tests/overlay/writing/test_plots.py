"""The images of scales and of channels.

Also of: `slim.analysis.scales`.
"""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from slim.writing import plots

if TYPE_CHECKING:
    from pathlib import Path


def _share(path: Path, colour: str, rows: slice = slice(None), columns: slice = slice(None)) -> float:
    """Return how much of a part of the image has this colour."""
    image = cv2.imread(str(path))
    assert image is not None
    bgr = [int(colour[at : at + 2], 16) for at in (5, 3, 1)]
    return float((np.abs(image[rows, columns].astype(int) - bgr).max(-1) < 12).mean())


def test_gammas_stand_left_before_and_right_after(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)

    path = plots.draw_gammas(tmp_path / "gamma.png", before=rng.normal(1, 0.1, 900), after=np.zeros((30, 30)))

    high, wide = cv2.imread(str(path)).shape[:2]
    assert (wide, high) == (1350, 540)
    left, right = slice(0, wide // 2), slice(wide // 2, wide)
    assert _share(path, plots.BEFORE, columns=left) > 0.05
    assert _share(path, plots.BEFORE, columns=right) < 0.002  # edges of letters
    assert _share(path, plots.AFTER, columns=left) == 0
    assert 0 < _share(path, plots.AFTER, columns=right) < 0.05  # all 900 in the one bar at zero


def test_scales_are_drawn_on_the_axis_that_is_given(tmp_path: Path) -> None:
    """So that the images of before and after can be compared."""
    narrow, wide = (
        plots.scales(tmp_path / f"{top}.png", -np.linspace(0.0, 1.0, 900), name="scales", top=top) for top in (1.0, 4.0)
    )
    assert _share(narrow, plots.AFTER) > 3 * _share(wide, plots.AFTER) > 0
    half = cv2.imread(str(wide)).shape[1] // 2
    assert _share(wide, plots.AFTER, columns=slice(half, None)) == 0


def test_scales_that_are_all_zero_can_be_drawn(tmp_path: Path) -> None:
    assert _share(plots.scales(tmp_path / "zero.png", np.zeros(30), name="scales", top=0.0), plots.AFTER) > 0


def test_the_highest_bar_of_both_fits_in(tmp_path: Path) -> None:
    path = plots.draw_gammas(tmp_path / "gamma.png", before=np.linspace(0.5, 1.5, 900), after=np.zeros(90000))

    high = cv2.imread(str(path)).shape[0]
    assert _share(path, plots.AFTER, rows=slice(high // 2, high)) > 0
    assert _share(path, plots.AFTER, rows=slice(0, high // 10)) == 0


@pytest.mark.parametrize("after", [[], [0.0], [float(np.float32(-0.5))]])
def test_gammas_of_hardly_any_channel_are_drawn_all_the_same(tmp_path: Path, after: list[float]) -> None:
    assert plots.draw_gammas(tmp_path / "gamma.png", before=[0.0, 0.0], after=after).stat().st_size > 5000


def test_channels_show_what_is_left_over_what_there_was(tmp_path: Path) -> None:
    before = {f"model.{index}": 64 for index in range(40)}

    none = plots.channels(tmp_path / "none.png", before=before, after={})
    some = plots.channels(tmp_path / "some.png", before=before, after=dict.fromkeys(before, 16))
    most = plots.channels(tmp_path / "most.png", before=before, after=dict.fromkeys(before, 60))

    kept = [_share(path, plots.AFTER) for path in (none, some, most)]
    assert kept[0] < 0.01  # its legend
    assert kept[0] + 0.05 < kept[1]
    assert kept[1] + 0.2 < kept[2]


def test_precision_recall_draws_both_curves_even_when_they_are_one(tmp_path: Path) -> None:
    recall = np.linspace(0, 1, 101)
    precision = 1 - recall**20

    path = plots.precision_recall(tmp_path / "pr.png", recall=recall, before=precision, after=precision[None])

    assert _share(path, plots.BEFORE) > 0.001
    assert _share(path, plots.AFTER) > 0.001


def test_leaves_no_unfinished_file_and_needs_neither_pyplot_nor_a_display(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from slim.writing import plots\n"
        "assert 'matplotlib' not in sys.modules\n"
        f"plots.draw_gammas(Path({str(tmp_path)!r}) / 'g.png', before=[1.0], after=[0.0])\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    environment = {"PYTHONPATH": ":".join(sys.path), "MPLBACKEND": "TkAgg", "MPLCONFIGDIR": str(tmp_path / "mpl")}

    subprocess.run([sys.executable, "-c", code], check=True, env=environment)

    assert {path.name for path in tmp_path.iterdir()} == {"g.png", "mpl"}
