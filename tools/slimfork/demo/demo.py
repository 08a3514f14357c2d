"""The whole journey on data it makes itself: vendor, train dense, train sparse, prune, fine-tune, export, compare.

Every stage that is done is noted in the output folder with its settings, so that an interrupted demo goes on where it
was: in the middle of a training run, too.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from slimfork.forks.making import draft, is_free, refuse_other
from slimfork.git.building import build
from slimfork.inside import inside
from slimfork.inside.place import Place, StageError, take_along, take_away
from slimfork.qr import qr
from slimfork.releases import pins
from slimfork.releases.fetch import release_files
from slimfork.terminal.errors import UsageError
from slimfork.terminal.words import typed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from slimfork.demo.recipe import Recipe

__all__ = ["Demo", "StageError"]

DEMO_FILES = inside.steps("demo")
STATE = "state.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Demo:
    """One demo.

    Attributes:
        out: The folder for everything that it makes.
        spec: The release to vendor.
        recipe: How much of everything.
        on_stage: Called with a stage's title as it starts.
        on_epoch: Called with the epochs done in this stage and how many there are.
    """

    out: Path
    spec: str
    recipe: Recipe
    on_stage: Callable[[str], None]
    on_epoch: Callable[[int, int], None]

    @property
    def fork(self) -> Path:
        """Where the fork lies."""
        return self.out / "fork"

    @property
    def data(self) -> Path:
        """The data set's YAML."""
        return self.out / "qr" / "data.yaml"

    def run(self) -> dict[str, Any]:
        """Run what is not done yet and return the report.

        Raises:
            UsageError: The folder holds something else, or a demo with other settings.
            StageError: A stage failed.
        """
        self._begin()
        self._stage("vendor", f"vendor {self.spec}", self._vendor)
        self._stage("draw", "draw pictures of QR codes", self._draw)
        take_along(DEMO_FILES, self.out)
        try:
            self._train("dense", "train dense")
            self._train("sparse", "train with the sparsity penalty")
            self._stage("prune", "prune the channels that say least", self._prune)
            self._train("slim", "fine-tune what is left")
            report = self._stage("report", "export, measure and draw", self._report)
        finally:
            take_away(DEMO_FILES, self.out)
        seconds = {name: done["seconds"] for name, done in self._state()["stages"].items()}
        return {**report, "seconds": seconds, "spec": self.spec, "imgsz": self.recipe.imgsz}

    def _begin(self) -> None:
        settings = json.loads(json.dumps({"spec": self.spec, "recipe": asdict(self.recipe)}))  # as they are read back
        self.out.mkdir(parents=True, exist_ok=True)
        if not (self.out / STATE).exists():
            if any(path.name != f".{STATE}" for path in self.out.iterdir()):
                raise UsageError(
                    f"{self.out} is not empty and holds no demo", hint="--out FOLDER that is not there yet"
                )
            self._note({"settings": settings, "stages": {}})
        elif self._state()["settings"] != settings:
            raise UsageError(
                f"{self.out} holds a demo with other settings", hint=f"rm -r {typed(self.out)}, or --out FOLDER"
            )

    def _stage(self, name: str, title: str, work: Callable[[], Any]) -> Any:
        state = self._state()
        if name not in state["stages"]:
            self.on_stage(title)
            start = time.monotonic()
            result = work()
            state["stages"][name] = {"result": result, "seconds": round(time.monotonic() - start, 1)}
            self._note(state)
        return state["stages"][name]["result"]

    def _note(self, state: dict[str, Any]) -> None:
        (self.out / f".{STATE}").write_text(json.dumps(state, indent=2))
        (self.out / f".{STATE}").replace(self.out / STATE)

    def _state(self) -> dict[str, Any]:
        try:
            state: dict[str, Any] = json.loads((self.out / STATE).read_text("utf-8"))
            stages, settings = state["stages"], state["settings"]
            whole = isinstance(settings, dict) and all("result" in stages[name] for name in stages)
        except (ValueError, KeyError, TypeError, RecursionError):
            whole = False
        if not whole:
            raise UsageError(f"{self.out / STATE} is damaged", hint=f"rm -r {typed(self.out)}, or --out FOLDER")
        return state

    def _vendor(self) -> None:
        pin = pins.find(self.spec)
        if is_free(self.fork):
            made = draft(pin, release_files(pin), self.fork, no_compat=False, as_json=False)
            build(self.fork, made, version=pin.version)
        else:
            refuse_other(self.fork, pin, no_compat=False)

    def _draw(self) -> None:
        qr.draw(self.out / "qr", images=self.recipe.images, val=self.recipe.val, imgsz=self.recipe.imgsz)

    def _train(self, name: str, title: str) -> None:
        arguments = self.recipe.training(name, self.data)
        self._stage(name, f"{title}, {arguments['epochs']} epochs", lambda: self._inside("train", arguments))

    def _prune(self) -> None:
        files = ("--weights", "sparse.pt", "--out", "pruned.pt", "--no-onnx")
        calibration = ("--data", self.data, "--imgsz", str(self.recipe.imgsz))
        self._python("prune", self.fork / "prune.py", *files, *calibration, *self.recipe.prune)

    def _report(self) -> Any:
        return self._inside("report", {**self.recipe.training("slim", self.data), "threads": self.recipe.threads})

    def _inside(self, step: str, arguments: dict[str, Any]) -> Any:
        name = arguments["name"] if step == "train" else step
        return self._python(name, DEMO_FILES[0].name, step, json.dumps(arguments))

    def _python(self, name: str, *arguments: str | Path) -> dict[str, Any]:
        def heard(facts: dict[str, Any]) -> None:
            if "epoch" in facts:
                self.on_epoch(facts["epoch"], facts["epochs"])

        upstream = pins.find(self.spec).upstream
        place = Place(fork=self.fork, work=self.out, upstream=upstream, threads=self.recipe.threads)
        return place.run(name, *arguments, heard=heard)
