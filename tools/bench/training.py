"""How a benchmark trains: the demo's recipe at other lengths, and what λ goes with them."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stages import Stage

from slimfork.demo.recipe import ULTRALYTICS_RECIPE as RECIPE

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from pathlib import Path

SECONDS = 40.0  # an epoch of 800 pictures at 160 px of a dense n-model on two cores: the demo's
SPARSE = RECIPE.stages["sparse"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """What all trainings of one group have in common.

    Attributes:
        out: The benchmark's folder.
        model: The YAML that it begins with, as yolov8n.
        imgsz: Side of a picture, in pixels.
        images: Training pictures.
        seed: Of the training.
    """

    out: Path
    model: str
    imgsz: int
    images: int
    seed: int

    @property
    def prefix(self) -> str:
        """What the names of its stages begin with."""
        return f"{self.model}-{self.imgsz}-s{self.seed}"

    @property
    def common(self) -> dict[str, Any]:
        """Arguments of every training, and of validation."""
        data = str(self.out / f"qr-{self.imgsz}" / "data.yaml")
        return {**RECIPE.common, "imgsz": self.imgsz, "data": data, "seed": self.seed}

    def train(
        self,
        name: str,
        start: Stage | str,
        epochs: int,
        *,
        share: float = 1.0,
        may_fail: bool = False,
        **arguments: Any,
    ) -> Stage:
        """Return a training.

        Args:
            name: What is added to the prefix.
            start: The stage whose checkpoint or YAML it begins with, or a YAML's name.
            epochs: How many.
            share: Of the dense model's FLOPs, for the estimate of its time.
            may_fail: Whether that is a result.
            **arguments: Train arguments that are other than the recipe's.
        """
        needs = (start,) if isinstance(start, Stage) else ()
        suffix = ".yaml" if isinstance(start, str) or start.step == "width" else ".pt"
        model = f"{start.name if isinstance(start, Stage) else start}{suffix}"
        return Stage(
            name=f"{self.prefix}-{name}",
            step="train",
            arguments={**self.common, "model": model, "epochs": epochs, **arguments},
            needs=needs,
            cost=epochs * self.seconds(share),
            may_fail=may_fail,
        )

    def sparse(self, name: str, start: Stage, epochs: int, **arguments: Any) -> Stage:
        """Return a sparse training, with the demo's optimizer for it."""
        kept = {key: value for key, value in SPARSE.items() if key not in {"model", "epochs", "sparsity"}}
        return self.train(name, start, epochs, **{**kept, **arguments})

    def prune(self, name: str, start: Stage, *options: str, score: str | None = None, may_fail: bool = False) -> Stage:
        """Return a pruning by the fork's own script, by its default score where none is given."""
        by = ("--score", score) if score else ()
        calibration = ("--data", self.common["data"], "--imgsz", str(self.imgsz))
        return Stage(
            name=f"{self.prefix}-{name}",
            step="prune",
            arguments={"weights": start.name, "options": [*options, *by, *calibration]},
            needs=(start,),
            cost=60.0,
            may_fail=may_fail,
        )

    def measure(self, start: Stage, *, may_fail: bool = False) -> Stage:
        """Return what measures a training's result."""
        settings = {key: self.common[key] for key in ("data", "imgsz", "batch", "workers", "device")}
        return Stage(
            name=f"{start.name}-measured",
            step="measure",
            arguments={"weights": start.name, **settings},
            needs=(start,),
            cost=30.0 * (self.imgsz / 160) ** 2,
            may_fail=may_fail,
        )

    def seconds(self, share: float) -> float:
        """Estimate an epoch's time: a quarter of it is not the model's."""
        return SECONDS * self.images / 800 * (self.imgsz / 160) ** 2 * (0.25 + 0.75 * share)

    def strength(
        self, travel: float, epochs: int, *, decay: float, warmup: float = 0.0, momentum: float = 0.0
    ) -> float:
        """Return the λ whose sum of lr·λ over the steps is `travel`, where momentum multiplies a gradient's way."""
        steps = math.ceil(self.images / RECIPE.common["batch"])
        lr0, lrf = SPARSE["lr0"], SPARSE["lrf"]
        ways = []
        for epoch in range(epochs):
            rate = lr0 * ((1 - epoch / epochs) * (1 - lrf) + lrf)
            shape = min(1.0, (epoch + 1) / (warmup + 1)) * (1 - decay * epoch / epochs)
            ways.append(rate * shape)
        budget = steps * sum(ways) / (1 - momentum)
        return float(f"{travel / budget:.3g}")


def trainings(options: argparse.Namespace) -> Iterator[Training]:
    """Yield one for each model, image size and seed of the options."""
    place: dict[str, Any] = {"out": options.out.resolve(), "images": options.images}
    for model, imgsz, seed in itertools.product(options.models, options.imgsz, options.seeds):
        yield Training(**place, model=model, imgsz=imgsz, seed=seed)
