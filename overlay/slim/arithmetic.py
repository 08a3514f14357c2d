"""Numbers that code computes from a size which pruning changes, as attention does from that of a head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .labels import core
from .sizes import sizes_of

if TYPE_CHECKING:
    from .trace import Trace

POWERS = (1, -1, 0.5, -0.5)


@dataclass(frozen=True)
class Rescaled:
    """Outputs of a BatchNorm that code multiplies by a power of an attribute which changes when channels go."""

    norm: str
    channels: tuple[int, ...]
    attribute: tuple[str, str]
    power: float


def note_number(trace: Trace, name: str, tensor: Any, number: float) -> None:
    """Note a multiplication by a power of a size: for the BatchNorm right before it to make up for, or for nobody.

    Args:
        trace: The trace.
        name: "mul" or "div".
        tensor: What is multiplied.
        number: By what. One that the module keeps as an attribute does not change with the size.
    """
    where, module = trace.stack[-1]
    if any(type(value) is float and value == number for value in vars(module).values()):
        return
    for attribute, size in sizes_of(module):
        power = _power(size, number) if size > 1 else None
        if power is None:
            continue
        known = trace.tracked.get(tensor)
        if known is None or not known.norm:
            trace.computed[where, attribute] = f"{name} in {where}"
            continue
        index = {label: i for i, label in enumerate(trace.outputs[known.norm].tolist())}
        channels = tuple(index[abs(label)] for label in core(known.labels).flatten().tolist())
        trace.rescaled.append(Rescaled(known.norm, channels, (where, attribute), -power if name == "div" else power))


def _power(size: int, number: float) -> float | None:
    return next((power for power in POWERS if float(size) ** power == number), None)
