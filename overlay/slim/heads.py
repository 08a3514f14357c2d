"""Attention: channels seen as heads, cut into queries, keys and values, and multiplied with each other.

A `view` gives the channels a dimension of heads; then each head keeps equally many of them, and so do its queries and
keys, of which one with a scale of zero says nothing whatever the other says. How many heads there are does not change:
upstream gives attention's output the shape of its input, so that a head could go only with its share of the residual
stream, and any width that fewer heads would leave, narrower ones leave as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from .labels import FIXED, core, varying
from .sizes import Named, sizes_of
from .trace import UnknownOperatorError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from .trace import Call, Trace

HEADS = 2  # dimensions: that of the heads, and that of the channels in each


def note_view(trace: Trace, call: Call, labels: Tensor, result: Tensor) -> None:
    """Note what a view does to channels: seen as heads, joined again, or only elsewhere."""
    before, after = varying(labels), varying(result)
    name, module = trace.stack[-1]
    if len(after) > max(1, len(before)):
        if len(before) > 1 or len(after) > HEADS:
            raise UnknownOperatorError
        rows = rows_of(result, after[1])
        inferred = len(trace.asked) == result.ndim and trace.asked[after[1]] == -1
        attribute = "" if inferred else size_attribute(module, asked_size(trace, result, after[1]))
        first = int(rows[0][0].abs())
        trace.heads[first] = key = (name, attribute) if attribute else (f"heads from {first}", "")
        trace.cut(key, call.reason, rows)
    elif len(after) == 1:
        rows = rows_of(labels, before[-1]) if len(before) == HEADS else rows_of(result, after[0])
        trace.shaped[name].append([row.abs().tolist() for row in rows])
        attribute = size_attribute(module, asked_size(trace, result, after[0])) if len(rows) > 1 else ""
        if attribute:
            trace.wholes[name, attribute] = [label for row in trace.shaped[name][-1] for label in row]


def rows_of(labels: Tensor, dim: int) -> list[Tensor]:
    """Return the labels along a dimension, shape (size,), for each head."""
    across = [other for other in varying(labels) if other != dim]
    if len(across) >= HEADS:
        raise UnknownOperatorError
    wide = core(labels).expand([size if d in (*across, dim) else 1 for d, size in enumerate(labels.shape)])
    return list(wide.movedim(dim, -1).reshape(-1, labels.shape[dim]))


def heads_dim(trace: Trace, labels: Tensor) -> int | None:
    """Return the dimension of the heads, which stay as many as they are, if there is one."""
    dims = varying(labels)
    if len(dims) != HEADS:
        return None
    row = rows_of(labels, dims[1])[0].abs().tolist()
    return dims[0] if any(row in cut.parts for cut in trace.cuts.values()) else None


def forget_heads(trace: Trace, rows: list[Tensor]) -> None:
    """Take back the cut into heads that are now cut further: not their size is counted but that of the parts."""
    key = trace.heads.pop(int(rows[0][0].abs()), None)
    cut = trace.cuts.pop(key, None) if key else None
    if key and cut:
        gone = [row.abs().tolist() for row in rows]
        others = [torch.tensor(part) for part in cut.parts if part not in gone]
        if others:
            trace.cut(key, cut.reason, others)


def cut_parts(trace: Trace, call: Call, labels: Tensor, parts: list[Tensor], dim: int) -> None:
    """Demand that the parts of one size, of every head, keep equally many channels, which an attribute counts."""
    name, module = trace.stack[-1]
    rows = [rows_of(part, dim) for part in parts]
    sizes: list[int] = [part.shape[dim] for part in parts]
    if call.caller == "chunk":
        if len(set(sizes)) > 1:
            raise UnknownOperatorError
        attributes = [chunk_attribute(module, size) for size in sizes]
    else:
        if len(trace.asked) == len(sizes):
            sizes = list(trace.asked)
        attributes = [size_attribute(module, size) for size in sizes]
        if not all(attributes):
            raise UnknownOperatorError
    forget_heads(trace, rows_of(labels, dim))
    for attribute in dict.fromkeys(attributes):
        alike = [row for part, its in zip(rows, attributes) for row in part if its == attribute]
        key = (name, attribute) if attribute else (f"{call.reason}: {alike[0][0]}", "")
        trace.cut(key, call.reason, alike)


def chunk_attribute(module: nn.Module, size: int) -> str:
    """Return `c` where a module's other way to run, its `forward_split`, has the size from it."""
    return "c" if vars(module).get("c") == size else ""


def asked_size(trace: Trace, result: Tensor, dim: int) -> int:
    """Return the size of a dimension as the model's code gave it to a view, if it is one with a name."""
    asked = trace.asked[dim] if len(trace.asked) == result.ndim else None
    return asked if isinstance(asked, Named) else result.shape[dim]


def size_attribute(module: nn.Module, size: int) -> str:
    """Find where a module keeps a size that has no name: `c`, or else the only one of that value; "" if there is none.

    Raises:
        UnknownOperatorError: If it might be either of several.
    """
    if isinstance(size, Named):
        return size.attribute
    found = [name for name, value in sizes_of(module).items() if value == size]
    if "c" in found:
        return "c"
    if len(found) > 1:
        raise UnknownOperatorError
    return found[0] if found else ""


def product(trace: Trace, call: Call) -> list[Tensor | None]:
    """Multiply matrices, (b, n, m) and (b, m, p): unite what is summed over; the other channels stay what they are."""
    one, other = (trace.labels_of(value) for value in call.args[:2])
    summed = [labels is not None and dim in varying(labels) for labels, dim in ((one, 2), (other, 1))]
    beside = [labels is not None and dim in varying(labels) for labels, dim in ((one, 1), (other, 2))]
    if one is not None and other is not None and all(summed) and not any(beside):
        left, right = core(one.transpose(1, 2)), core(other)
        shape = [max(sizes) for sizes in zip(left.shape, right.shape)]
        left, right = left.expand(shape), right.expand(shape)
        if not bool(((left > FIXED) | (right > FIXED)).all()):
            raise UnknownOperatorError
        trace.labels.unite(left, right, call.reason)
        trace.products.setdefault(f"{call.where}:{trace.multiplied}", left.flatten().tolist())
        return [None]
    if any(summed) or all(beside):
        raise UnknownOperatorError
    labels = one if beside[0] else other
    if labels is None:
        raise UnknownOperatorError
    small = core(labels)
    if any(size not in {1, wanted} for size, wanted in zip(small.shape, call.outputs[0].shape)):
        raise UnknownOperatorError
    trace.products.setdefault(f"{call.where}:{trace.multiplied}", small.flatten().tolist())
    return [small.expand(call.outputs[0].shape)]
