"""What a model gives out, in whatever it puts it: outputs stay, since nobody knows who reads them."""

from __future__ import annotations

from collections import deque
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from ..labels.reason import Reason
from ..labels.tracked import tensors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from .trace import Trace

GIVEN = Reason("output of the model")
HOLDING = (list, tuple, set, frozenset, deque)
NUMBERS = set("biufc")  # kinds of arrays
CODE = (nn.Module, type, FunctionType, MethodType, BuiltinFunctionType, ModuleType)  # which holds more than is given


def give_out(trace: Trace, result: object) -> None:
    """Freeze the outputs of a model; what later layers read as well is a feature map, and free to narrow.

    Args:
        trace: The trace, at the end of a pass.
        result: What the model gives out.
    """
    left: list[tuple[list[Tensor], Reason]] = []
    for part in reached(result):
        if isinstance(part, Tensor):
            _give_out(trace, part)
        else:
            left = trace.left  # any of it may be in numbers that are no tensor, and that nobody compares
    for planes, reason in left:
        for plane in planes:
            trace.labels.freeze(plane, reason)


def _give_out(trace: Trace, tensor: Tensor) -> None:
    known = trace.tracked.get(tensor)
    if known is None or not known.readers:
        trace.planes.freeze(tensor, GIVEN)
    if known is not None:
        known.readers.append("")


def laid_out(result: object) -> object:
    """Return a model's result so that it can be compared: a list of all in it where more is than `tensors` finds."""
    known = set(map(id, tensors(result)))
    found = list(reached(result))
    if known.issuperset(map(id, found)):
        return result
    laid: list[Tensor] = []
    numbers: list[float] = []
    for part in found:
        if isinstance(part, float):
            numbers.append(part)
        else:
            laid.append(torch.as_tensor(part))
    return [*laid, torch.tensor(numbers, dtype=torch.float64)]


def reached(value: object) -> Iterator[Tensor | NDArray[Any] | float]:
    """Yield the tensors, arrays and numbers in a value, also those in sets and in attributes of objects, once each."""
    waiting: list[object] = [value]
    seen: dict[int, object] = {}
    while waiting:
        part = waiting.pop()
        if id(part) in seen or isinstance(part, CODE):
            continue
        seen[id(part)] = part  # so that its id stays its own
        if isinstance(part, (Tensor, float)) or (isinstance(part, np.ndarray) and part.dtype.kind in NUMBERS):
            yield part
        else:
            waiting += _within(part)


def _within(part: object) -> list[object]:
    """Return what an object holds: its items, and its attributes, in slots or not."""
    held: list[object] = []
    if isinstance(part, dict):
        held += part.values()
    elif isinstance(part, HOLDING):
        held += part
    held += getattr(part, "__dict__", {}).values()
    for kind in type(part).__mro__:
        slots = vars(kind).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            held.append(getattr(part, name, None))
    return held
