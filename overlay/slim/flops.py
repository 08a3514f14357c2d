"""Count a model's floating-point operations, in any torch since 2.0, without changing the model."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from .shadow import image

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn


def count_flops(model: nn.Module, imgsz: int) -> float:
    """Return the floating-point operations of one picture, 2 a multiply-add, as YOLO's GFLOPs are counted.

    Convolutions and matrix products count; additions, activations and pooling, a few percent, do not.

    Args:
        model: Stays as it is; a copy is run in eval mode.
        imgsz: Side of the picture in pixels.
    """
    copy = deepcopy(model).float().eval()
    with torch.no_grad(), _MultiplyAdds() as counted:
        copy(image(copy, imgsz))
    return 2.0 * float(counted.total)


class _MultiplyAdds(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts multiply-adds of what runs under it, as torch.utils.flop_counter does; torch 2.0 has none."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total: int = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        del types
        out = func(*args, **(kwargs or {}))
        count = _COUNTS.get(func.overloadpacket._qualified_op_name)  # noqa: SLF001 - "aten::mm", in every torch
        if count:
            self.total += count(args, out)
        return out


def _convolution(args: tuple[Any, ...], out: Tensor) -> int:
    """Count a convolution: a kernel a value of the output, or of the input when transposed."""
    image, weight, transposed = args[0], args[1], args[6]
    return int((image if transposed else out).numel() * weight[0].numel())


def _attention(args: tuple[Any, ...], out: Tensor) -> int:
    """Count both products of scaled dot-product attention: queries with keys, weights with values."""
    del out
    query, key, value = args[:3]  # (..., tokens, width)
    return int(query.numel() * key.shape[-2] + query.shape[:-1].numel() * value.shape[-2] * value.shape[-1])


_COUNTS: dict[str, Callable[[tuple[Any, ...], Any], int]] = {
    "aten::convolution": _convolution,
    "aten::mm": lambda args, out: out.numel() * args[0].shape[-1],
    "aten::bmm": lambda args, out: out.numel() * args[0].shape[-1],
    "aten::addmm": lambda args, out: out.numel() * args[1].shape[-1],
    "aten::baddbmm": lambda args, out: out.numel() * args[1].shape[-1],
    "aten::_scaled_dot_product_flash_attention_for_cpu": lambda args, out: _attention(args, out[0]),
    "aten::_scaled_dot_product_flash_attention": lambda args, out: _attention(args, out[0]),
    "aten::_scaled_dot_product_efficient_attention": lambda args, out: _attention(args, out[0]),
}
