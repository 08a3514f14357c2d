"""The files that a run of `prune.py` leaves: what they may replace, and how each gets to its name whole."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..files.checkpoint import holds_plan, is_ours, save_checkpoint
from ..writing import plots
from ..writing.whole_files import land, workshop
from .before_after import measured
from .given import write_plan
from .interface import Files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torch import nn

    from ..analysis.channels import Channels
    from ..costs.measure import Measured
    from ..files.checkpoint import Checkpoint
    from ..pruning.plan import Plan
    from .before_after import Export
    from .interface import PruneScript

REPLACE = "--overwrite replaces it, --out names another place"


@dataclass(frozen=True)
class Results:
    """Where the results of a run go.

    Attributes:
        files: Their names.
        script: Draws, and says what the plots are called.
        onnx: Whether an ONNX file is one of them.
        written: What this run has written.
    """

    files: Files
    script: PruneScript
    onnx: bool
    written: list[Path] = field(default_factory=list)

    def check(self, *, plan: Path | None) -> list[str]:
        """Refuse to replace what no earlier run of the script wrote; say what is replaced.

        Args:
            plan: The plan that is applied, if one is: it may lie where it would be written.

        Raises:
            FileExistsError: Something of the user's lies there.
        """
        target = self.files.checkpoint
        ours = is_ours(target)
        if _there(target) and not ours:
            raise FileExistsError(f"{target}: is there, and no earlier run of this script wrote it; {REPLACE}")
        told = self.files.beside(".json")
        same = plan is not None and told.exists() and told.samefile(plan)
        if _there(told) and not same and not (ours and told.is_file() and holds_plan(target, told.read_bytes())):
            raise FileExistsError(f"{told}: is there, and not as an earlier run of this script wrote it; {REPLACE}")
        onnx = self.files.beside(".onnx")
        if self.onnx and _there(onnx) and not ours:
            raise FileExistsError(f"{onnx}: is there, and not of an earlier run of this script; {REPLACE}")
        for plot in self.script.plots(self.files):
            if _there(plot) and not plots.is_ours(plot):
                raise FileExistsError(f"{plot}: is there, and no earlier run of this script drew it; {REPLACE}")
        return [f"replaces {target}, which an earlier run wrote"] if ours else []

    @contextmanager
    def workshop(self) -> Iterator[Workshop]:
        """Yield a place to make them in; what is said of a file there is said of the one that it is to be.

        Raises:
            OSError, ValueError: As they were raised inside.
        """
        with workshop(self.files.checkpoint) as folder:
            here, there = str(folder), str(self.files.checkpoint.parent)
            try:
                yield Workshop(self, Files(folder / self.files.checkpoint.name))
            except OSError as error:
                raise OSError(str(error).replace(here, there)) from error
            except ValueError as error:
                raise ValueError(str(error).replace(here, there)) from error

    def beside(self) -> list[str]:
        """Name what this run has written, and what an earlier one left that it has not."""
        lines = [f"wrote {self.files.checkpoint}, and beside it:"]
        lines += [f"  {path}" for path in sorted(self.written) if path != self.files.checkpoint]
        onnx = self.files.beside(".onnx")
        if onnx.exists() and onnx not in self.written:
            lines.append(f"note: {onnx} was there before, and is not of this model")
        return lines


@dataclass(frozen=True)
class Workshop:
    """A hidden folder beside the results, in which each of them is made whole."""

    results: Results
    files: Files

    def write(self, dense: nn.Module, pruned: nn.Module, channels: Channels, plan: Plan, came_from: Checkpoint) -> None:
        """Write the checkpoint, its plan and the plots.

        Raises:
            OSError: One cannot be written; names it.
        """
        results, script = self.results, self.results.script
        save_checkpoint(self.files.checkpoint, pruned, came_from, plan, trainable=script.trainable)
        write_plan(self.files.beside(".json"), plan)
        script.draw(self.files, dense, pruned, channels)
        self._forget(results.files, plan)
        for path in (results.files.checkpoint, results.files.beside(".json"), *script.plots(results.files)):
            self._land(path)

    def _forget(self, old: Files, plan: Plan) -> None:
        """Remove what would be of another model than the checkpoint that is about to land: a kill may come between."""
        told = old.beside(".json")
        if told.exists() and told.read_bytes() != plan.to_json().encode():
            told.unlink()
        if self.results.onnx:
            old.beside(".onnx").unlink(missing_ok=True)

    def measure(
        self, export: Export | None, dense: nn.Module, pruned: nn.Module, came_from: Checkpoint, imgsz: int
    ) -> tuple[Measured, Measured]:
        """Export the checkpoint, and measure both models; the ONNX file lands when ONNX Runtime has read it.

        Raises:
            ValueError: The export failed, or what it wrote cannot be read.
        """
        final = self.results.files
        found = measured(export, self.files.checkpoint, dense, pruned, came_from, imgsz)
        if export is not None:
            self._land(final.beside(".onnx"))
        return found

    def _land(self, path: Path) -> None:
        made = self.files.checkpoint.with_name(path.name)
        kept = made.with_name("kept")
        if path == self.results.files.checkpoint:
            _twin(made, kept)
        land(made, path)
        if kept.exists():
            kept.replace(made)  # the export starts from it
        self.results.written.append(path)


def _there(path: Path) -> bool:
    """Tell whether anything lies there, also a link to nothing."""
    return path.exists() or path.is_symlink()


def plan_out(path: Path, plan: Plan, *, overwrite: bool) -> None:
    """Write a plan where the user wants it.

    Raises:
        FileExistsError: Another lies there, or anything else.
        OSError: It cannot be written; names it.
    """
    if path.exists() and not overwrite and path.read_bytes() != plan.to_json().encode():
        raise FileExistsError(f"--plan-out {path}: is there with other contents; --overwrite replaces it")
    write_plan(path, plan)


def _twin(made: Path, other: Path) -> None:
    try:
        os.link(made, other)
    except OSError:  # a file system without links
        shutil.copyfile(made, other)
