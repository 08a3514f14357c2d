"""Stages of a benchmark: run once each, noted in `results.jsonl` as they end, skipped when they are there.

A stage is a step of `steps_inside.py` with its arguments, and runs inside the fork in a process of its own, several at
a time. Arms share stages: one dense parent, one sparse training, many targets. After Ctrl-C the next start goes on with
the first stages that are not noted, and a training run in the epoch it was cut off in.
"""

from __future__ import annotations

import json
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slimfork.forks.making import draft, is_free
from slimfork.git.building import build
from slimfork.inside import inside
from slimfork.inside.place import Place, StageError, take_along
from slimfork.qr import qr
from slimfork.releases import pins
from slimfork.releases.fetch import release_files
from slimfork.terminal import ui
from slimfork.terminal.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

OWN = [Path(__file__).with_name(f"{name}.py") for name in ("steps_inside", "c2f_split", "torch_pruning_arm")]
RESULTS = "results.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One step.

    Attributes:
        name: Its own, and that of the checkpoint it makes: NAME.pt.
        step: Which, of `steps_inside`.
        arguments: Of that step; checkpoints are named, without a path.
        needs: Stages that come before it.
        cost: Seconds that it should take; for `--dry-run`.
        may_fail: Whether its failure is a result, as a rival's is.
        limit: Seconds that it may take; None is any.
    """

    name: str
    step: str
    arguments: dict[str, Any]
    needs: tuple[Stage, ...] = ()
    cost: float = 0.0
    may_fail: bool = False
    limit: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """What is compared: the last of its stages measures it.

    Attributes:
        name: Unique.
        group: What it is compared within: a model and an image size.
        method: What the table and the plot call it.
        target: Its size, as they write it; may be empty.
        seed: Of its training.
        last: The stage that measures it.
        epochs: All that it took, those that found its shape too.
    """

    name: str
    group: str
    method: str
    target: str
    seed: int
    last: Stage
    epochs: int


@dataclass(slots=True)
class Benchmark:
    """The folder of a benchmark: the fork, the pictures, the checkpoints and the results."""

    out: Path
    spec: str
    threads: int
    jobs: int = 1
    done: dict[str, dict[str, Any]] = field(default_factory=dict)

    def prepare(self, pictures: Iterable[tuple[int, int, int]]) -> None:
        """Vendor the release and draw the pictures, unless they are there.

        Args:
            pictures: Image sizes, each with how many to train on and to validate with.
        """
        self.out.mkdir(parents=True, exist_ok=True)
        pin = pins.find(self.spec)
        if is_free(self.out / "fork"):
            made = draft(pin, release_files(pin), self.out / "fork", no_compat=False, as_json=False)
            build(self.out / "fork", made, version=pin.version)
        for imgsz, images, val in pictures:
            qr.draw(self.out / f"qr-{imgsz}", images=images, val=val, imgsz=imgsz)
        take_along([*inside.steps("demo"), *OWN], self.out)  # the demo trains in the same way

    def read(self) -> dict[str, dict[str, Any]]:
        """Read what is done; a line that was cut off is not."""
        path = self.out / RESULTS
        self.done = {}
        for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
            try:
                entry = json.loads(line)
            except json.JSONDecodeError:
                continue
            self.done[entry["name"]] = entry
        return self.done

    def run(self, arms: list[Arm]) -> None:
        """Run every stage of these arms that is not done yet; where one fails, all that do not need it.

        Raises:
            UsageError: A stage is done with other arguments.
            StageError: Stages failed whose failure is no result.
        """
        self.read()
        stages = in_order(arms)
        waiting, numbers = [], {}
        for number, stage in enumerate(stages, 1):
            numbers[stage.name] = f"[{number}/{len(stages)}]"
            if not self._is_done(stage):
                waiting.append(stage)
        place, failed = self._place(), []
        running: dict[Future[dict[str, Any]], Stage] = {}
        with ThreadPoolExecutor(self.jobs) as pool:
            try:
                while True:
                    ready = list(filter(self._is_ready, waiting))
                    for stage in ready[: self.jobs - len(running)]:
                        ui.note(f"{numbers[stage.name]} {stage.name}")
                        waiting.remove(stage)
                        running[pool.submit(self._work, place, stage)] = stage
                    if not running:
                        break
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        failed += self._conclude(running.pop(future), future)
            except BaseException:
                while wait(running, timeout=0.2).not_done:
                    place.end()
                raise
        if failed:
            raise StageError("; ".join(failed), hint="start it again: what is done is kept")

    def _conclude(self, stage: Stage, ended: Future[dict[str, Any]]) -> list[str]:
        """Note what a stage gave; return why it failed, if that is no result."""
        try:
            self._note(stage, ended.result())
        except StageError as error:
            ui.note(str(error))
            return [str(error)]
        return []

    def _is_ready(self, stage: Stage) -> bool:
        """Whether all that a stage needs is there."""
        return all(map(self._succeeded, stage.needs))

    def _succeeded(self, stage: Stage) -> bool:
        return "result" in self.done.get(stage.name, {})

    def run_latest(self, stages: Iterable[Stage]) -> None:
        """Run stages anew whose arguments have changed since, as what is timed together does."""
        for stage in stages:
            if self.done.get(stage.name, {}).get("arguments") != stage.arguments:
                ui.note(stage.name)
                self._note(stage, self._work(self._place(), stage))

    def _is_done(self, stage: Stage) -> bool:
        entry = self.done.get(stage.name)
        if entry is None:
            return False
        if entry["arguments"] != json.loads(json.dumps(stage.arguments)):
            raise UsageError(f"{self.out / RESULTS} has {stage.name} with other arguments", hint="--out FOLDER")
        return True

    def _place(self) -> Place:
        return Place(fork=self.out / "fork", work=self.out, upstream="ultralytics", threads=self.threads)

    @staticmethod
    def _work(place: Place, stage: Stage) -> dict[str, Any]:
        start = time.monotonic()
        entry = {"name": stage.name, "step": stage.step, "arguments": stage.arguments}
        command = (OWN[0].name, stage.step, json.dumps({**stage.arguments, "name": stage.name}))
        try:
            result = place.run(stage.name, *command, heard=lambda _: None, limit=stage.limit)
        except StageError as error:
            if not stage.may_fail:
                raise
            return {**entry, "failed": str(error), "seconds": round(time.monotonic() - start, 1)}
        return {**entry, "result": result, "seconds": round(time.monotonic() - start, 1)}

    def _note(self, stage: Stage, entry: dict[str, Any]) -> None:
        self.done[stage.name] = entry
        path = self.out / RESULTS
        torn = path.is_file() and not path.read_bytes().endswith(b"\n") and path.stat().st_size
        with path.open("a", encoding="utf-8") as file:
            file.write(("\n" if torn else "") + json.dumps(entry) + "\n")


def in_order(arms: list[Arm]) -> list[Stage]:
    """Return the stages of arms, each once and after what it needs."""
    stages: dict[str, Stage] = {}

    def visit(stage: Stage) -> None:
        for need in stage.needs:
            visit(need)
        stages.setdefault(stage.name, stage)

    for arm in arms:
        visit(arm.last)
    return list(stages.values())


def hours(stages: Iterable[Stage], done: dict[str, Any]) -> float:
    """Return how many hours the stages that are left should take."""
    return sum(stage.cost for stage in stages if stage.name not in done) / 3600
