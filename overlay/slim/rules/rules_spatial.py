"""What operators on images do to channel labels: pooling, padding, resizing, sampling, unfolding, pixel shuffles.

Each works along its last dimensions, and mixes what lies along them: the labels may not vary there.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import torch

from ..labels.labels import FIXED, varying
from ..labels.tracked import UnknownOperatorError
from ..passes.trace import known
from .rules_reductions import untouched, with_places

if TYPE_CHECKING:
    from torch import Tensor

    from ..labels.tracked import Call
    from ..passes.trace import Rule, Trace


def resized(trace: Trace, call: Call) -> list[Tensor | None]:
    """Pool or interpolate: zero in, zero out; the places of maxima may be any."""
    labels = known(trace, call.args[0])
    kept = untouched(call, labels, _last(labels, _rank(call.name)))
    return with_places(call, kept)


def _rank(name: str) -> int:
    """Return how many dimensions an operator works along, as its name says: `max_pool2d` two."""
    found = re.search(r"(\d)d", name)
    return int(found.group(1)) if found else 2


def _last(labels: Tensor, count: int) -> list[int]:
    return list(range(labels.ndim - count, labels.ndim))


def padded(trace: Trace, call: Call) -> list[Tensor | None]:
    """Pad, or crop, where there are no labels; with another value than zero a silent channel says it at the border."""
    labels, pads = known(trace, call.args[0]), list(call.args[1])
    dims = [labels.ndim - 1 - place // 2 for place, pad in enumerate(pads) if pad]
    kept = untouched(call, labels, dims)
    value = call.args[2] if len(call.args) > 2 else call.kwargs.get("value", 0)  # noqa: PLR2004 - (x, pad, value)
    return [kept if call.name != "constant_pad_nd" or value == 0 else -kept.abs()]


def unpooled(trace: Trace, call: Call) -> list[Tensor | None]:
    """Put maxima back to their places, which belong to the same channels."""
    labels, places = known(trace, call.args[0]), known(trace, call.args[1])
    trace.labels.unite(labels, places, call.reason)
    return [untouched(call, labels, _last(labels, _rank(call.name)))]


def sampled(trace: Trace, call: Call) -> list[Tensor | None]:
    """Read an image at the places of a grid: each channel alone; the grid's own channels are coordinates, and stay."""
    labels, grid = trace.labels_of(call.args[0]), trace.labels_of(call.args[1])
    if grid is not None:
        trace.labels.freeze(grid, call.reason)
    if labels is None:
        return [None]
    return [untouched(call, labels, _last(labels, labels.ndim - 2))]


def unfolded(trace: Trace, call: Call) -> list[Tensor | None]:
    """`unfold`, (b, c, h, w) to (b, c * taps, places): each channel comes as often as a kernel has taps."""
    labels, result = known(trace, call.args[0]), call.outputs[0]
    channels = _channels(labels)
    row = channels.repeat_interleave(result.shape[-2] // len(channels))
    return [row.view(-1, 1).expand(result.shape)]


def _channels(labels: Tensor) -> Tensor:
    """Return the labels of an image's channels, shape (c,); they may vary along no other dimension."""
    dim = labels.ndim - 3
    if varying(labels) not in ([], [dim]):
        raise UnknownOperatorError
    return labels.movedim(dim, -1).reshape(-1, labels.shape[dim])[0]


def folded(trace: Trace, call: Call) -> list[Tensor | None]:
    """`fold`, (b, c * taps, places) to (b, c, h, w): a sum over the taps of a channel, which go together."""
    labels, result = known(trace, call.args[0]), call.outputs[0]
    dim = labels.ndim - 2
    if varying(labels) not in ([], [dim]):
        raise UnknownOperatorError
    row = labels.movedim(dim, -1).reshape(-1, labels.shape[dim])[0]
    return [_gathered(trace, call, row, result.shape[-3]).view(-1, 1, 1).expand(result.shape)]


def _gathered(trace: Trace, call: Call, row: Tensor, count: int) -> Tensor:
    """Tie each of `count` blocks of a row to one channel, and return these, shape (count,)."""
    blocks = row.view(count, -1)
    trace.labels.unite(blocks[:, :1].expand_as(blocks), blocks, call.reason)
    return torch.where((blocks > FIXED).all(1), blocks[:, 0].abs(), -blocks[:, 0].abs())


def shuffled(trace: Trace, call: Call) -> list[Tensor | None]:
    """`pixel_shuffle`: channels become pixels, so that those which make up one go together; and the other way round."""
    labels, result = known(trace, call.args[0]), call.outputs[0]
    channels, count = _channels(labels), result.shape[-3]
    if call.name == "pixel_shuffle":
        row = _gathered(trace, call, channels, count)
    else:
        row = channels.repeat_interleave(count // len(channels))
    return [row.view(-1, 1, 1).expand(result.shape)]


SPATIAL_RULES: dict[str, Rule] = {
    **dict.fromkeys(
        (
            *("max_pool2d_with_indices", "max_pool3d_with_indices", "max_pool2d", "max_pool3d", "avg_pool1d"),
            *("avg_pool2d", "avg_pool3d", "_adaptive_avg_pool2d", "_adaptive_avg_pool3d", "adaptive_avg_pool1d"),
            *("adaptive_max_pool2d", "adaptive_max_pool3d", "fractional_max_pool2d"),
            *("upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d", "_upsample_nearest_exact1d"),
            *("_upsample_nearest_exact2d", "_upsample_nearest_exact3d", "upsample_linear1d", "upsample_bilinear2d"),
            *("upsample_trilinear3d", "upsample_bicubic2d", "_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa"),
        ),
        resized,
    ),
    **dict.fromkeys(
        (
            *("constant_pad_nd", "reflection_pad1d", "reflection_pad2d", "reflection_pad3d"),
            *("replication_pad1d", "replication_pad2d", "replication_pad3d"),
        ),
        padded,
    ),
    **dict.fromkeys(("max_unpool2d", "max_unpool3d"), unpooled),
    **dict.fromkeys(("grid_sampler_2d", "grid_sampler_3d", "cudnn_grid_sampler"), sampled),
    "im2col": unfolded,
    "col2im": folded,
    **dict.fromkeys(("pixel_shuffle", "pixel_unshuffle"), shuffled),
}
