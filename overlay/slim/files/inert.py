"""A network that was read brings nothing to be called: neither a hook nor a function in the place of a layer."""

from __future__ import annotations

import importlib
import re
from types import FunctionType
from typing import TYPE_CHECKING

from torch import nn

from ..models.admission import admit
from .pickles import NotACheckpointError

if TYPE_CHECKING:
    from pathlib import Path

ASK = "; a .pt can run any program: if you know who made it, --trust"
# Hooks of torch's own that compute a weight from others: read, so that it can be said where they are, and refused.
COMPUTED = re.compile(r"torch\.nn\.utils\.(prune\.\w+|weight_norm\.WeightNorm|spectral_norm\.SpectralNorm\w*)")


class UntrustedError(ValueError):
    """A checkpoint asks for more than is allowed; the message names it."""


def check_inert(path: Path, checkpoint: object) -> None:
    """Refuse a network that brings something to be called: a hook, or a class in the place of a layer.

    Raises:
        UntrustedError: It does; with the layer.
    """
    values = checkpoint.values() if isinstance(checkpoint, dict) else [checkpoint]
    for model in values:
        if isinstance(model, nn.Module) and any(map(_computes, model.modules())):
            try:
                admit(model)
            except ValueError as error:
                raise NotACheckpointError(f"{path}: {error}, and save it again") from error
        for name, module in model.named_modules() if isinstance(model, nn.Module) else ():
            for attribute, value in vars(module).items():
                hook = attribute.endswith("_hooks") and value
                called = isinstance(value, (type, FunctionType)) or COMPUTED.fullmatch(_kind(value))
                if hook or (called and attribute != "detect"):
                    raise UntrustedError(f"{path}: {name or 'the model'} brings something to call, {attribute}{ASK}")


def hook_of(name: str) -> type | None:
    """Return the class of one of torch's hooks that compute a weight, by its full name; None of anything else."""
    module, _, own = name.rpartition(".")
    hook = getattr(importlib.import_module(module), own, None) if COMPUTED.fullmatch(name) else None
    return hook if isinstance(hook, type) and hook.__module__ == module else None


def _computes(module: nn.Module) -> bool:
    return any(COMPUTED.fullmatch(_kind(hook)) for hook in module._forward_pre_hooks.values())  # noqa: SLF001


def _kind(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__name__}"
