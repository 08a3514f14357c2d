"""Where the scales stand, epoch by epoch, in a run folder: `gamma.csv`, `gamma.png`, and TensorBoard where it is on.

A row tells of the epochs that are done; row 0 is before the first. What goes wrong here is said and stops no training.
"""

from __future__ import annotations

import csv
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from ..writing import plots
from ..writing.log import warn

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor
    from torch.nn.modules.batchnorm import _BatchNorm

NEAR_ZERO = 1e-3  # |γ| below this no longer shows in fp16 activations of order one
QUANTILES = {"p5": 0.05, "p25": 0.25, "median": 0.5, "p75": 0.75, "p95": 0.95}
TABLE, PICTURE = "gamma.csv", "gamma.png"
BOARDS = "events.out.tfevents*"  # what TensorBoard's writer leaves in a run folder

Row = dict[str, float]


def leads() -> bool:
    """Tell whether this is the process of a run that writes its files: the only one, or DDP's first."""
    return os.environ.get("RANK", "-1") in {"-1", "0"}


def magnitudes_of(norm: _BatchNorm, mask: Tensor) -> Tensor:
    """Return |γ| of the channels of a BatchNorm that are penalised: those whose weight in `mask`, (C,), is not 0."""
    return norm.weight.detach()[mask.to(norm.weight.device) > 0].abs()


def statistics(gamma: Tensor) -> Row:
    """Return quantiles of |γ| and the share that is near zero; gamma is a vector."""
    values = gamma.cpu().double().numpy()
    marks = np.quantile(values, list(QUANTILES.values()))
    return {**dict(zip(QUANTILES, marks.tolist())), "near_zero": float((values < NEAR_ZERO).mean())}


def rows_of(folder: Path | None) -> list[Row]:
    """Read the table of a run folder; empty where there is none that can be read."""
    if folder is None or not (folder / TABLE).is_file():
        return []
    try:
        with (folder / TABLE).open(encoding="utf-8", newline="") as file:
            rows = list(map(_numbers, csv.DictReader(file)))
    except (OSError, ValueError, TypeError):
        return []
    return rows if rows and {"epoch", "lambda", *QUANTILES, "near_zero"} == set(rows[0]) else []


def _numbers(row: dict[str, str]) -> Row:
    return dict(zip(row, map(float, row.values())))


class GammaLog:
    """The files of one run.

    Attributes:
        folder: Where they are written; None writes none.
        place: The run folder, whoever writes there; None where it is not known.
        rows: What the table says, with what an earlier part of the run left in `known`.
    """

    def __init__(self, folder: Path | None, *, known: Path | None) -> None:
        self.folder, self.place, self.rows = folder, known, rows_of(known)
        self.first: tuple[int, Tensor] | None = None
        self.writer: Any = None  # TensorBoard's SummaryWriter, whose methods have no types

    def record(self, done: int, strength: float, gamma: Tensor) -> Row:
        """Note where the scales stand.

        What a run resumes with is the EMA of a checkpoint; the row that was written before the interruption stays.

        Args:
            done: Epochs that are done.
            strength: λ of the last of them.
            gamma: |γ| of every channel that is penalised, a vector.

        Returns:
            The row: what `statistics` says, with `epoch` and `lambda`.
        """
        self.rows = [old for old in self.rows if old["epoch"] <= done]  # later ones are of epochs to be done again
        if not self.rows or self.rows[-1]["epoch"] < done:
            self.rows.append({"epoch": done, "lambda": strength, **statistics(gamma)})
        row = self.rows[-1]
        self.first = self.first or (done, gamma.cpu())
        if self.folder is not None and self.folder.is_dir():
            try:
                self._write(self.folder)
                plots.scales_over_time(self.folder / PICTURE, rows=self.rows, first=self.first, now=(done, gamma.cpu()))
                self._show(self.folder, done, row, gamma)
            except Exception as error:  # noqa: BLE001 - a full disk, matplotlib or TensorBoard: no reason to lose a run
                warn(f"slim: {self.folder / TABLE} and what goes with it end here ({type(error).__name__}: {error})")
                self.folder = None
        return row

    def close(self) -> None:
        """End what TensorBoard reads."""
        if self.writer is not None:
            self.writer.close()

    def _write(self, folder: Path) -> None:
        part = folder / f"{TABLE}.tmp"
        with part.open("w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, list(self.rows[0]))
            table.writeheader()
            for row in self.rows:
                table.writerow({name: f"{value:.9g}" for name, value in row.items()})
        part.replace(folder / TABLE)

    def _show(self, folder: Path, done: int, row: Row, gamma: Tensor) -> None:
        """Write to TensorBoard beside upstream, whose writer is out of reach in some releases; it reads both files."""
        if self.writer is None:
            if not any(folder.glob(BOARDS)):
                return
            from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - only where upstream has it on

            self.writer = SummaryWriter(str(folder))
        for name, value in row.items():
            if name != "epoch":
                self.writer.add_scalar(f"gamma/{name}", value, done)
        self.writer.add_histogram("gamma", gamma.cpu(), done)
        self.writer.flush()
