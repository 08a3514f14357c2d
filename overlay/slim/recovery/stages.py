"""A model run in stages on batches of images, each as often as it takes, while the next ones wait.

Both upstreams' models are a list of layers, each of which says which ones it reads (`f`): those are stages. Any other
network, and one whose own code does more than run that list, is a single stage, which costs longer passes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..labels.tracked import tensors

if TYPE_CHECKING:
    from collections.abc import Sequence


class Stages:
    """The stages of a model, and what enters the one that it is at, of each batch.

    Attributes:
        parts: The stages, in order.
        place: Which of them is next.
    """

    def __init__(self, parts: Sequence[nn.Module], batches: Sequence[Tensor]) -> None:
        self.parts, self.place = list(parts), 0
        self.latest: list[Any] = list(batches)  # what the stage before has given out, of each batch
        self.kept: list[dict[int, Any]] = [{} for _ in batches]  # what later stages read, by its place
        self.read = {source for place, part in enumerate(parts) for source in _sources(part, place)}

    def run(self, batch: int) -> Any:
        """Run the stage on a batch and return what it gives out; nothing moves on."""
        return self.parts[self.place](_copied(self._given(batch)))

    def advance(self) -> None:
        """Run the stage on all batches and stand before the next."""
        for batch in range(len(self.latest)):
            self.latest[batch] = self.run(batch)
            if self.place in self.read:
                self.kept[batch][self.place] = self.latest[batch]
        self.place += 1

    def _given(self, batch: int) -> Any:
        wanted = getattr(self.parts[self.place], "f", -1) if self.place else -1
        if wanted == -1:
            return self.latest[batch]
        given = [self.latest[batch] if j == -1 else self.kept[batch][j % self.place] for j in _listed(wanted)]
        return given if isinstance(wanted, (list, tuple)) else given[0]


def staged(models: Sequence[nn.Module], batches: Sequence[Tensor]) -> list[Stages]:
    """Return the stages of models that are to be walked through together, the same for all.

    Args:
        models: In eval mode, of the same layers.
        batches: Images, (b, c, h, w) each.
    """
    if all(_is_list(model, batches[0][:1]) for model in models):
        return [Stages(list(model.model), batches) for model in models]  # type: ignore[arg-type]
    return [Stages([model], batches) for model in models]


def _is_list(model: nn.Module, image: Tensor) -> bool:
    """Whether to run its layers one after another is all that a model does."""
    layers = getattr(model, "model", None)
    if not isinstance(layers, nn.Sequential) or not all(hasattr(part, "f") for part in layers):
        return False
    stages = Stages(list(layers), [image])
    try:
        for _ in layers:
            stages.advance()
    except (LookupError, RuntimeError, TypeError, ValueError):
        return False
    ours, whole = tensors(stages.latest[0]), tensors(model(image))
    return len(ours) == len(whole) and all(torch.equal(one, other) for one, other in zip(ours, whole))


def _sources(part: nn.Module, place: int) -> list[int]:
    """Return the places of the stages that one reads besides the one before it."""
    return [j % place for j in _listed(getattr(part, "f", -1)) if j != -1 and place]


def _listed(wanted: Any) -> list[int]:
    return list(wanted) if isinstance(wanted, (list, tuple)) else [wanted]


def _copied(value: Any) -> Any:
    """Copy what enters a stage, whose code may work in place and will run again."""
    if isinstance(value, Tensor):
        return value.clone()
    if isinstance(value, (list, tuple)):
        return [_copied(item) for item in value]
    return value
