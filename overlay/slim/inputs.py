"""The input of a model: its first convolution, whose inputs are those of the pictures, and one for other pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch.nn.modules.conv import _ConvNd

from .log import tell

if TYPE_CHECKING:
    from torch import nn

KEYS = ("channels", "ch")  # of a picture, in the YAML: today's key, and that of early releases and YOLOv5


def first_convolution(model: nn.Module) -> str | None:
    """Return the name of the convolution that reads the pictures."""
    return next((name for name, module in model.named_modules() if isinstance(module, _ConvNd)), None)


def inputs_of(model: nn.Module) -> int | None:
    """Return how many inputs it has: the channels of a picture, or in YOLOv5's Focus four times as many."""
    name = first_convolution(model)
    layer: Any = None if name is None else model.get_submodule(name)
    return None if layer is None else int(layer.in_channels)


def change_inputs(model: nn.Module, built: nn.Module) -> None:
    """Give a pruned model a first convolution for other pictures; like upstream, keep the weights of what both have.

    Args:
        model: The pruned model; changed in place.
        built: The unpruned one that upstream has built for the new pictures.
    """
    name, inputs = first_convolution(model) or "", inputs_of(built) or 0
    old: Any = model.get_submodule(name)
    fresh = type(old)(inputs, old.out_channels, old.kernel_size, old.stride, old.padding, bias=old.bias is not None)
    common = min(inputs, old.in_channels)
    fresh.weight.data[:, :common] = old.weight.data[:, :common]
    if old.bias is not None:
        fresh.bias.data.copy_(old.bias.data)
    owner, _, own = name.rpartition(".")
    setattr(model.get_submodule(owner), own, fresh.to(old.weight))
    whole: Any = model
    theirs: Any = built.yaml
    whole.yaml = {**whole.yaml, **{key: theirs[key] for key in KEYS if key in theirs}}
    tell(f"slim: a first convolution of {inputs} inputs on a pruned model whose own has {old.in_channels}")
