"""What operators that move values about do to channel labels: views, permutations, cutting into parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .heads import cut_parts, note_view
from .labels import varying
from .trace import UnknownOperatorError, known

if TYPE_CHECKING:
    from torch import Tensor

    from .trace import Call, Rule, Trace


def moved(trace: Trace, call: Call) -> list[Tensor | None]:
    """Do to the labels what is done to the values; they may end up along one dimension, or as heads along two."""
    labels = known(trace, call.args[0])
    if "view" in call.name or "reshape" in call.name:
        result = labels.reshape(call.outputs[0].shape)
        note_view(trace, call, labels, result)
    else:
        result = call.func(labels, *call.args[1:], **call.kwargs)
        if len(varying(result)) > max(1, len(varying(labels))):
            raise UnknownOperatorError
    return [result]


def split(trace: Trace, call: Call) -> list[Tensor | None]:
    """Cut labels into parts. `chunk` follows a changed width by itself; a size comes from an attribute."""
    labels = known(trace, call.args[0])
    parts = list(call.func(labels, *call.args[1:], **call.kwargs))
    dim = (call.args[2] if len(call.args) > 2 else call.kwargs.get("dim", 0)) % labels.ndim  # noqa: PLR2004
    if dim in varying(labels):
        cut_parts(trace, call, labels, parts, dim)
    return list(parts)


def sliced(trace: Trace, call: Call) -> list[Tensor | None]:
    """Take one of several even parts, whose size comes from an attribute; or slice where there are no labels."""
    labels = known(trace, call.args[0])
    result = call.func(labels, *call.args[1:], **call.kwargs)
    dim = (call.args[1] if len(call.args) > 1 else 0) % labels.ndim
    size, width = result.shape[dim], labels.shape[dim]
    if size == width or dim not in varying(labels):
        return [result]
    first = (call.args[2] or 0) if len(call.args) > 2 else 0  # noqa: PLR2004 - (x, dim, start, end, step)
    step = call.args[4] if len(call.args) > 4 else 1  # noqa: PLR2004
    if step != 1 or size == 0 or width % size or first % size:
        raise UnknownOperatorError
    cut_parts(trace, call, labels, list(labels.chunk(width // size, dim)), dim)
    return [result]


VIEW_RULES: dict[str, Rule] = {
    **dict.fromkeys(
        (
            *("view", "_unsafe_view", "reshape", "_reshape_alias", "permute", "transpose", "t", "expand", "squeeze"),
            *("unsqueeze", "repeat", "flip", "pixel_shuffle", "pixel_unshuffle", "movedim"),
        ),
        moved,
    ),
    **dict.fromkeys(("split", "split_with_sizes"), split),
    "slice": sliced,
}
