"""The input of a model: how many channels its pictures have, and a first convolution for another number of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch.nn.modules.conv import _ConvNd

from .log import tell

if TYPE_CHECKING:
    from torch import nn

FOCUS = 4  # pixels that YOLOv5's Focus puts behind one another
KEYS = ("channels", "ch")  # of the YAML: today's, and that of early releases and YOLOv5


def channels_of(model: nn.Module) -> int | None:
    """Return how many channels the pictures have; the YAML's number is shared between models and overwritten."""
    name = _first(model)
    if name is None:
        return None
    first: Any = model.get_submodule(name)
    parts = name.split(".")
    owners = [model.get_submodule(".".join(parts[:depth])) for depth in range(1, len(parts))]
    focused = any(type(owner).__name__ == "Focus" for owner in owners)
    return int(first.in_channels) // (FOCUS if focused else 1)


def change_channels(model: nn.Module, built: nn.Module) -> None:
    """Give a pruned model a first convolution for other pictures; like upstream, keep the weights of what both have.

    Args:
        model: The pruned model; changed in place.
        built: The unpruned one that upstream has built for the new pictures.
    """
    name, before, now = _first(model) or "", channels_of(model), channels_of(built)
    old: Any = model.get_submodule(name)
    inputs: Any = built.get_submodule(name).in_channels
    fresh = type(old)(inputs, old.out_channels, old.kernel_size, old.stride, old.padding, bias=old.bias is not None)
    common = min(inputs, old.in_channels)
    fresh.weight.data[:, :common] = old.weight.data[:, :common]
    if old.bias is not None:
        fresh.bias.data.copy_(old.bias.data)
    owner, _, own = name.rpartition(".")
    setattr(model.get_submodule(owner), own, fresh.to(old.weight))
    whole: Any = model
    whole.yaml = in_yaml(whole.yaml, now)
    tell(f"slim: a first convolution for pictures of {now} channels on a pruned model for {before}")


def in_yaml(yaml: dict[str, Any], channels: int | None) -> dict[str, Any]:
    """Return a model's YAML with this number of channels, where it has one."""
    return {**yaml, **{key: channels for key in KEYS if key in yaml}}


def _first(model: nn.Module) -> str | None:
    return next((name for name, module in model.named_modules() if isinstance(module, _ConvNd)), None)
