"""Passes that together reach all of a model: inference, training, its own loss, and images of other sizes.

What no pass reaches keeps its input width, so that what feeds it must too. Each pass that reaches something new is
followed with labels, and tried again at other widths.
"""

from __future__ import annotations

from collections import defaultdict
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..labels.labels import core
from ..labels.made_up import batches, hyperparameters
from ..labels.reason import Reason
from ..labels.tracked import tensors
from .caller import Caller
from .copying import FAILURES
from .dispatch import Mode
from .flops import unconvolved
from .outputs import give_out
from .shadow import train_branches, undisturbed, watched, whole_pass

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ..labels.tracked import Operator, Value
    from .trace import Trace

# Height and width in pixels of images that may take another way: small, larger, of another shape, and not even at
# stride 32. The largest is last, since time grows with the area.
SIZES = ((32, 32), (96, 160), (128, 128), (256, 256), (640, 640))
BATCH = 2  # images, where more than one is shown


@dataclass(frozen=True)
class Pass:
    """One way to run a model.

    Attributes:
        shape: Of the image, (B, C, H, W).
        training: Whether to take the branches of training.
        batch: Number of the made-up batch to run the model's own `loss` on, or None for its forward pass.
        calls: How many modules ran before it failed at full width; None if it did not fail.
    """

    shape: tuple[int, ...]
    training: bool = False
    batch: int | None = None
    calls: int | None = None


def run_pass(twin: nn.Module, way: Pass, shown: Tensor | None = None) -> object:
    """Run a copy of a model in one way, on a black image where none of that shape is given."""
    if way.training:
        train_branches(twin)
    else:
        twin.eval()
    if shown is None or tuple(shown.shape) != way.shape:
        shown = torch.zeros(way.shape, device=next(twin.parameters()).device)
    if way.batch is None:
        return whole_pass(twin, shown)
    whole: Any = twin  # upstream's, which has a loss that no Module need have
    with hyperparameters(twin):
        return whole.loss(batches(twin, shown)[way.batch])


def dry_run(twin: nn.Module, shown: Tensor) -> None:
    """Run a copy in inference and, as far as it goes, in training."""
    with undisturbed(twin):
        run_pass(twin, Pass(tuple(shown.shape)), shown)
        with suppress(*FAILURES):
            run_pass(twin, Pass(tuple(shown.shape), training=True), shown)


def follow(twin: nn.Module, trace: Trace, shown: Tensor, opaque: Sequence[str] = ()) -> list[Pass]:
    """Run a model in inference and, where that misses layers, in whatever other ways reach more; return the ways.

    Args:
        twin: A shadow of the model.
        trace: Follows the labels.
        shown: The image.
        opaque: Modules of which nobody knows what they give out.
    """
    first = Pass(tuple(shown.shape))
    ways, tried = [first], [first]
    with _frozen(twin, trace, opaque), undisturbed(twin):
        _followed(twin, trace, shown, first, [])
        for way in _more_ways(twin, trace, shown):
            if way.batch is not None and _lost(tried):
                continue
            missing, visited = _unreached(trace), trace.visited()
            tried.append(_attempted(twin, trace, shown, way))
            if way.batch is None or _unreached(trace) != missing:
                ways.append(tried[-1])
            else:  # a loss that reaches nothing new would only take time in each trial
                trace.unvisit(visited)
    if _unreached(trace) and not _whole(twin, tried):
        _freeze_readable(trace)
    return ways


def _more_ways(twin: nn.Module, trace: Trace, shown: Tensor) -> Iterator[Pass]:
    """Give one way after the other to reach what is still missing."""
    shape = tuple(shown.shape)
    if _unreached(trace):
        yield Pass(shape, training=True)
    for number, _ in enumerate(batches(twin, shown) if _unreached(trace) and hasattr(twin, "loss") else ()):
        yield Pass((BATCH, *shape[1:]), training=True, batch=number)
        if not _unreached(trace):
            break
    for way in _reaching(twin, trace, shape) if _unreached(trace) else ():
        if _unreached(trace):
            yield way


def _lost(ways: Sequence[Pass]) -> bool:
    """Whether a loss ran to its end."""
    return any(way.batch is not None and way.calls is None for way in ways)


def _whole(twin: nn.Module, ways: Sequence[Pass]) -> bool:
    """Whether training ran to its end, with the model's own loss where it has one: what is missing then is not used."""
    return _lost(ways) if hasattr(twin, "loss") else any(way.training and way.calls is None for way in ways)


def _attempted(twin: nn.Module, trace: Trace, shown: Tensor, way: Pass) -> Pass:
    calls: list[str] = []
    try:
        _followed(twin, trace, shown, way, calls)
    except FAILURES:  # training wants targets as well, and another size may suit nobody
        trace.abandon()
        return replace(way, calls=len(calls))
    return way


def _followed(twin: nn.Module, trace: Trace, shown: Tensor, way: Pass, calls: list[str]) -> None:
    """Run a model in one way with labels, and note which modules are called."""

    def enter(name: str, module: nn.Module, arguments: object) -> None:
        calls.append(name)
        trace.enter(name, module, arguments)

    with watched(twin, enter, trace.leave), Caller(trace), trace:
        result = run_pass(twin, way, shown)
    if way.batch is None:  # no loss
        give_out(trace, result)


@contextmanager
def _frozen(twin: nn.Module, trace: Trace, opaque: Iterable[str]) -> Iterator[None]:
    """Freeze what these modules take and give."""

    def freeze(name: str, *values: object) -> None:
        for tensor in tensors(values):
            known = trace.tracked.get(tensor)
            if known is not None:
                trace.labels.freeze(known.labels, Reason.at("hook", name or "the model"))

    with ExitStack() as stack:
        for name in opaque:
            module = twin.get_submodule(name)
            handle = module.register_forward_hook(lambda _, args, output, name=name: freeze(name, args, output))
            stack.callback(handle.remove)
        yield


def _unreached(trace: Trace) -> list[str]:
    """Name the layers that no pass has used, whole or in any other way."""
    return [name for name in trace.layers if name not in trace.outputs and name not in trace.tainted]


def _reaching(twin: nn.Module, trace: Trace, shape: tuple[int, ...]) -> list[Pass]:
    """Return ways to reach layers that are still missing, of several that reach the same the first."""
    missing = {id(trace.layers[name].weight) for name in _unreached(trace)}
    reaching = []
    for way in _other_images(shape):
        with _Seen(missing) as seen, suppress(*FAILURES):
            run_pass(twin, way)
        if seen.used:
            reaching.append(way)
            missing -= seen.used
        if not missing:
            break
    return reaching


def _other_images(shape: tuple[int, ...]) -> Iterator[Pass]:
    """Give the ways to run a model on more images than one, and on images of other sizes: inference, then training."""
    shapes = [(BATCH, *shape[1:])]
    for size in SIZES:
        shapes.append((BATCH if size == SIZES[1] else 1, shape[1], *size))
    for other in shapes:
        yield Pass(other)
        yield Pass(other, training=True)


class _Seen(Mode):
    """Notes which weights are used, and convolves nothing: only the way matters that the code takes."""

    def __init__(self, weights: set[int]) -> None:
        super().__init__()
        self.weights = weights  # by their ids
        self.used: set[int] = set()

    def meet(self, func: Operator, args: tuple[Value, ...], kwargs: dict[str, Value]) -> Value:
        self.used |= self.weights.intersection(map(id, args))
        convolves = str(func).startswith("aten.convolution.")
        return unconvolved(*args) if convolves else func(*args, **kwargs)


def _freeze_readable(trace: Trace) -> None:
    """Freeze every feature map that a layer which nobody could reach might read."""
    widths: defaultdict[int, str] = defaultdict(str)
    for name in _unreached(trace):
        layer = trace.layers[name]
        width = getattr(layer, "in_channels", getattr(layer, "in_features", 0))
        widths[width] = widths[width] or name
    entering = [core(labels).flatten() for labels in chain.from_iterable(trace.entering.values())]
    for labels in [*entering, *trace.outputs.values()]:
        name = widths.get(len(labels), "")
        if name:
            trace.labels.freeze(labels, Reason.at("no pass", name))
