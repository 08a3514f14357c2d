"""Count a model's floating-point operations, in any torch since 2.0, without changing the model."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.utils.weak import WeakTensorKeyDictionary

from ..labels.tracked import Product
from .dispatch import Mode
from .shadow import image, one_thread, plain_attention, shadow, undisturbed, watched

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping, Sequence

    from torch import Tensor, nn

    from ..labels.tracked import Operator, Value


@dataclass(frozen=True)
class Operation:
    """One convolution or matrix product of a forward pass.

    Attributes:
        layer: The layer whose weight it multiplies with, "" for a product of two activations.
        product: Which product of batches of activations it is, the only kind whose channels can be followed.
        multiply_adds: How many it takes.
        entering: Shape of what it reads beside the weight.
        leaving: Shape of what it writes.
    """

    layer: str
    product: Product | None
    multiply_adds: int
    entering: tuple[int, ...]
    leaving: tuple[int, ...]


def count_flops(model: nn.Module, imgsz: int) -> float:
    """Return the floating-point operations of one image, 2 a multiply-add, as YOLO's GFLOPs are counted.

    Convolutions and matrix products count; additions, activations and pooling, a few percent, do not.

    Args:
        model: Stays as it is; a copy is run in eval mode.
        imgsz: Side of the image in pixels.
    """
    return 2.0 * sum(operation.multiply_adds for operation in operations(model, imgsz))


def operations(model: nn.Module, imgsz: int) -> list[Operation]:
    """Return what `count_flops` counts, in the order of a forward pass; only shapes matter, so none is convolved.

    The `meta` device would save the rest as well, but PyTorch imports a computer algebra system for its convolutions.
    """
    twin = shadow(model)
    listing = _Operations(twin)
    with one_thread(), plain_attention(), undisturbed(twin), watched(twin, listing.enter, listing.leave), listing:
        twin(image(twin, imgsz))
    return listing.listed


class _Operations(Mode):
    """Lists what runs under it, counted as torch.utils.flop_counter does; torch 2.0 has none."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.listed: list[Operation] = []
        self.running: list[tuple[str, nn.Module]] = []
        self.multiplied: Counter[str] = Counter()
        self.owner: MutableMapping[Tensor, str] = WeakTensorKeyDictionary()  # weight, or a view of one -> its layer
        for name, module in model.named_modules():
            if isinstance(getattr(module, "weight", None), torch.Tensor):
                self.owner.setdefault(module.weight, name)  # type: ignore[no-untyped-call]

    def meet(self, func: Operator, args: tuple[Value, ...], kwargs: dict[str, Value]) -> Value:
        name = func.overloadpacket._qualified_op_name  # noqa: SLF001 - "aten::mm", in every torch
        out = unconvolved(*args) if name == "aten::convolution" else func(*args, **kwargs)
        owners = [self.owner.get(arg, "") for arg in args if isinstance(arg, torch.Tensor)]
        if name in _VIEWS and owners[0]:
            self.owner[out] = owners[0]
        elif name in _COUNTS:
            entering = args[1] if "addmm" in name or "baddbmm" in name else args[0]
            first = out if isinstance(out, torch.Tensor) else out[0]
            count = _COUNTS[name](args, first)
            shapes = tuple(entering.shape), tuple(first.shape)
            product = self._next_product() if name == "aten::bmm" else None
            self.listed.append(Operation("".join(owners[:3]), product, count, *shapes))
        return out

    def enter(self, name: str, module: nn.Module, arguments: object) -> None:
        """Note that a module runs."""
        del arguments
        self.running.append((name, module))

    def leave(self, module: nn.Module, result: object) -> None:
        """Note that it has run, or those in it have failed, which its code has caught."""
        del result
        while self.running.pop()[1] is not module:
            continue

    def _next_product(self) -> Product:
        name, _ = self.running[-1]
        self.multiplied[name] += 1
        return Product(name, self.multiplied[name])


def _convolution(args: tuple[Value, ...], out: Tensor) -> int:
    """Count a convolution: a kernel a value of the output, or of the input when transposed."""
    image, weight, transposed = args[0], args[1], args[6]
    return int((image if transposed else out).numel() * weight[0].numel())


def unconvolved(
    image: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    strides: Sequence[int],
    paddings: Sequence[int],
    dilations: Sequence[int],
    transposed: bool,
    more: Sequence[int],
    groups: int,
) -> Tensor:
    """Return zeros in the shape that a convolution of these arguments has."""
    del bias
    sizes = []
    for axis, size in enumerate(image.shape[-len(strides) :]):
        stride, reach = strides[axis], dilations[axis] * (weight.shape[axis + 2] - 1)
        if transposed:
            sizes.append((size - 1) * stride - 2 * paddings[axis] + reach + more[axis] + 1)
        else:
            sizes.append((size + 2 * paddings[axis] - reach - 1) // stride + 1)
    channels = weight.shape[1] * groups if transposed else weight.shape[0]
    return image.new_zeros((*image.shape[: -len(strides) - 1], channels, *sizes))


def _attention(args: tuple[Value, ...], out: Tensor) -> int:
    """Count both products of scaled dot-product attention: queries with keys, weights with values."""
    del out
    query, key, value = args[:3]  # (..., tokens, width)
    return int(query.numel() * key.shape[-2] + query.shape[:-1].numel() * value.shape[-2] * value.shape[-1])


_VIEWS = {"aten::t", "aten::transpose", "aten::permute"}  # of a Linear's weight

_COUNTS: dict[str, Callable[[tuple[Value, ...], Tensor], int]] = {
    "aten::convolution": _convolution,
    "aten::mm": lambda args, out: out.numel() * args[0].shape[-1],
    "aten::bmm": lambda args, out: out.numel() * args[0].shape[-1],
    "aten::addmm": lambda args, out: out.numel() * args[1].shape[-1],
    "aten::baddbmm": lambda args, out: out.numel() * args[1].shape[-1],
    "aten::_scaled_dot_product_flash_attention_for_cpu": _attention,
    "aten::_scaled_dot_product_flash_attention": _attention,
    "aten::_scaled_dot_product_efficient_attention": _attention,
}
