"""Places that pool, pad, resize, sample and unfold images, along the right dimensions and along the channels."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - its usual name

from .rule_networks import WIDTH, Case, gated, tokens

PICTURES = {
    "pooled": Case(lambda _, x: F.max_pool2d(x, 3, 1, 1) + F.avg_pool2d(x, 3, 1, 1)),
    "pooled_to_a_size": Case(lambda _, x: gated(x, F.adaptive_max_pool2d(x, 1))),
    "pooled_by_a_norm": Case(lambda _, x: F.lp_pool2d(x.abs(), 2, 2)),
    "pooled_rows": Case(lambda _, x: gated(x, F.avg_pool1d(x.mean(3), 3, 1, 1)[..., None])),
    "unpooled": Case(lambda _, x: F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2)),
    "pooled_channels": Case(
        lambda _, x: gated(x, F.avg_pool1d(tokens(x), 3, 1, 1).transpose(1, 2).view_as(x)), frozen="avg_pool2d in place"
    ),
    "pooled_3d": Case(lambda _, x: F.max_pool3d(x, 3, 1, 1), frozen="max_pool3d_with_indices in place"),
    "pooled_turned": Case(
        lambda _, x: F.avg_pool2d(x.permute(0, 3, 2, 1), 3, 1, 1).permute(0, 3, 2, 1), frozen="avg_pool2d in place"
    ),
    "local_response": Case(lambda _, x: F.local_response_norm(x, 3), frozen="constant_pad_nd in place"),
    "padded": Case(lambda _, x: F.pad(x, (1, 2, 0, -1))),
    "padded_with_a_value": Case(
        lambda _, x: F.pad(x, (1, 1), value=1.0), frozen="no BatchNorm before convolution in after.0"
    ),
    "padded_by_reflection": Case(lambda _, x: F.pad(x, (1, 1, 1, 1), mode="reflect")),
    "padded_by_replication": Case(lambda _, x: F.pad(x, (1, 1, 1, 1), mode="replicate")),
    "padded_channels": Case(lambda _, x: F.pad(x, (0, 0, 0, 0, 1, -1)), frozen="constant_pad_nd in place"),
    "padded_channels_and_rows": Case(lambda _, x: F.pad(x, (1, 1, 0, 0, -1, 1)), frozen="constant_pad_nd in place"),
    "channels_more": Case(
        lambda _, x: F.pad(x, (0, 0, 0, 0, 0, 4)), leaving=WIDTH + 4, frozen="constant_pad_nd in place"
    ),
    "padded_tokens": Case(
        lambda _, x: F.pad(tokens(x), (1, 1), mode="reflect")[:, :, 1:-1].transpose(1, 2).reshape(x.shape),
        frozen="reflection_pad1d in place",
    ),
    "resized": Case(lambda _, x: F.interpolate(x, scale_factor=2, mode="bicubic")),
    "resized_smoothly": Case(lambda _, x: F.interpolate(x, scale_factor=0.5, mode="bilinear", antialias=True)),
    "resized_rows": Case(
        lambda _, x: gated(x, F.interpolate(x.mean(3)[..., :4], x.shape[2], mode="linear")[..., None])
    ),
    "resized_channels": Case(
        lambda _, x: F.interpolate(tokens(x), x.shape[1], mode="linear").transpose(1, 2).view_as(x),
        frozen="upsample_linear1d in place",
    ),
    "convolved_channels": Case(
        lambda s, x: gated(x, s.c(x.mean((2, 3)).unsqueeze(1)).view(x.shape[0], -1, 1, 1).sigmoid()),
        lambda: {"c": nn.Conv1d(1, 1, 3, padding=1)},
        frozen="convolution in place.c",
    ),
    "sampled": Case(
        lambda s, x: F.grid_sample(x, s.c(x).permute(0, 2, 3, 1).tanh(), align_corners=False),
        lambda: {"c": nn.Conv2d(WIDTH, 2, 1)},
    ),
    "sampled_by_theta": Case(
        lambda s, x: F.grid_sample(
            x, F.affine_grid(s.f(x.mean((2, 3))).view(-1, 2, 3), [len(x), 1, *x.shape[2:]], False), align_corners=False
        ),
        lambda: {"f": nn.Linear(WIDTH, 6)},
    ),
    "unfolded": Case(lambda _, x: F.unfold(x, 3, padding=1).view(len(x), -1, 9, *x.shape[2:]).amax(2)),
    "unfolded_and_mixed": Case(
        lambda s, x: torch.einsum(
            "bkhw,bckhw->bchw", s.c(x).softmax(1), F.unfold(x, 3, padding=1).view(len(x), -1, 9, *x.shape[2:])
        ),
        lambda: {"c": nn.Conv2d(WIDTH, 9, 1)},
    ),
    "folded": Case(lambda _, x: F.fold(F.unfold(x, 3, padding=1), x.shape[2:], 3, padding=1) / 9),
    "pixel_shuffle": Case(lambda _, x: F.pixel_shuffle(x, 2), leaving=WIDTH // 4),
    "pixel_unshuffle": Case(lambda _, x: F.pixel_unshuffle(x, 2), leaving=WIDTH * 4),
    "pixel_shuffle_and_back": Case(lambda _, x: F.pixel_unshuffle(F.pixel_shuffle(x, 2), 2)),
}
