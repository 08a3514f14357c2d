"""Numbers of channels that code binds to each other, or to an attribute, through the sizes that it asks for."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from .labels import core, unsigned, varying
from .sizes import LAYER_WIDTHS, Source, layer_side, terms_of
from .tracked import Cut, UnknownOperatorError, pieces_of_all

if TYPE_CHECKING:
    from collections.abc import Sequence
    from fractions import Fraction

    from torch import Tensor

    from ..passes.trace import Trace
    from .reason import Reason


def bind(trace: Trace, rows: Sequence[Tensor], each: object, reason: Reason) -> None:
    """Demand that each row of labels keeps as many channels as a size says that code asks for.

    Args:
        trace: The trace.
        rows: Labels, shape (size,) each.
        each: The size of each: a plain number stays what it is, and so do the channels.
        reason: What asked.

    Raises:
        UnknownOperatorError: Channels cannot be cut as finely as the size is.
    """
    terms = terms_of(each)
    if not terms:
        for row in rows:
            trace.labels.freeze(row, reason)
    elif len(terms) == 1:
        (source, share), *_ = terms
        if share < 0:
            raise UnknownOperatorError
        _bind_to(trace, _resolved(trace, source), share, unsigned(rows), reason)
    else:  # the parts of a sum are told apart where they are cut; the sum is alike for all
        bind_alike(trace, rows, reason)


def bind_alike(trace: Trace, rows: Sequence[Tensor], reason: Reason) -> None:
    """Demand that rows keep equally many channels, whatever their number."""
    if len(rows) > 1:
        first = int(rows[0][0].abs())
        trace.attention.heads[first] = key = f"rows from {first} of {len(rows[0])}"
        trace.cut(key, reason, list(rows))


def unbind_alike(trace: Trace, rows: Sequence[Tensor]) -> None:
    """Take back `bind_alike` of rows that are cut further: not their size counts but that of their parts."""
    key = trace.attention.heads.pop(int(rows[0][0].abs()), None)
    cut = trace.cuts.pop(key, None) if key else None
    if key and cut:
        gone = unsigned(rows)
        cut.parts = [part for part in cut.parts if part not in gone]
        if cut.parts:
            trace.cuts[key] = cut


def tie(trace: Trace, labels: Tensor, dims: Sequence[int], reason: Reason) -> Tensor:
    """Let what lies along some dimensions live and die together; return the labels, alike along these."""
    for dim in dims:
        if dim not in varying(labels):
            continue
        first = labels.narrow(dim, 0, 1)
        trace.labels.unite(core(first.expand_as(labels)).expand_as(labels), labels, reason)
        zero = (labels > 0).all(dim, keepdim=True)
        labels = torch.where(zero, first.abs(), -first.abs()).expand_as(labels)
    return labels


def _bind_to(trace: Trace, source: Source, share: Fraction, rows: list[list[int]], reason: Reason) -> None:
    whole = list(source.row)
    if whole and share == 1 and all(row == whole for row in rows):
        return
    cut = trace.cuts.get(source) or Cut(reason, [whole] if whole else [])
    times = cut.times * share.denominator // math.gcd(cut.times, share.denominator)
    new = pieces_of_all(rows, share.numerator * times // share.denominator)
    cut.refine(times // cut.times)
    cut.times = times
    for piece in new:
        cut.add(piece)
    trace.cuts[source] = cut


def _resolved(trace: Trace, source: Source) -> Source:
    """Return the row that a layer's width counts, for that of a layer; any other source as it is."""
    if source.module not in trace.layers or source.attribute not in LAYER_WIDTHS:
        return source
    side = layer_side(trace.layers[source.module], source.attribute)
    labels = (trace.outputs if side == "out" else trace.inputs).get(source.module)
    if labels is None:
        raise UnknownOperatorError
    return Source(row=tuple(labels.abs().tolist()))
