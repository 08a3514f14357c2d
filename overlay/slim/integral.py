"""The integral of Distribution Focal Loss: each side of a box is the mean of a distribution over bins.

Li et al., "Generalized Focal Loss", NeurIPS 2020, arXiv:2006.04388. Upstream's own module has it in `DFL.forward`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor, nn


def integral(logits: Tensor, conv: nn.Conv2d) -> Tensor:
    """Return the mean bin of every distribution.

    In an ONNX file the softmax is over the last axis. ONNX Runtime's is over no other: it transposes before and after,
    which takes a millisecond at 320 px, whatever the model's size. Elsewhere this is upstream's own expression.

    Args:
        logits: Of shape (batch, 4, bins, anchors).
        conv: Upstream's convolution, whose weight of shape (1, bins, 1, 1) holds the bins' values.

    Returns:
        Of shape (batch, 4, anchors), in bins.
    """
    if torch.onnx.is_in_onnx_export():
        return (logits.transpose(2, 3).softmax(3) @ conv.weight.view(-1, 1)).squeeze(3)
    batch, sides, _, anchors = logits.shape
    means: Tensor = conv(logits.transpose(2, 1).softmax(1))
    return means.view(batch, sides, anchors)
