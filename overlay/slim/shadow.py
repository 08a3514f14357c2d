"""A copy of a model to run forward passes on, so that the model itself does not change by a bit."""

from __future__ import annotations

import copy
import gc
from collections import OrderedDict
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.dropout import _DropoutNd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SIDES = (64, 128, 256, 640)  # pixels; a transformer's top-k wants more positions than 64 pixels give

PLAIN = {bool, int, float, str, tuple, type(None)}  # a tuple is looked into no further: it is sizes, or as constant

# What a model's code may raise when shapes do not suit it.
FAILURES = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


def shadow(model: nn.Module) -> nn.Module:
    """Copy a model's structure, buffers and caches, but share its weights; without hooks, float32, in eval mode."""
    memo: dict[int, Any] = {id(p): nn.Parameter(p.detach().float(), requires_grad=False) for p in model.parameters()}
    modules = list(model.modules())
    memo |= {id(module): type(module).__new__(type(module)) for module in modules}
    for module in modules:
        # Not copied first and cleared then: what a hook has caught in training carries gradients and cannot be copied.
        memo |= {id(hooks): OrderedDict() for hooks in (module._forward_hooks, module._forward_pre_hooks)}  # noqa: SLF001
    for module in modules:
        # Attribute by attribute, of which most are plain: deepcopy takes five times as long to find that out.
        memo[id(module)].__dict__.update(_copied_items(vars(module), memo))
    twin: nn.Module = memo[id(model)]
    return twin.eval()


def _copied_items(values: dict[str, Any], memo: dict[int, Any]) -> dict[str, Any]:
    return {key: value if type(value) in PLAIN else _copied(value, memo) for key, value in values.items()}


def _copied(value: Any, memo: dict[int, Any]) -> Any:
    if type(value) in {OrderedDict, set} and not value:  # hooks: each module has nine such
        return type(value)()
    if type(value) is Tensor and id(value) not in memo:
        memo[id(value)] = value.detach().to(torch.float32 if value.is_floating_point() else value.dtype, copy=True)
    if type(value) is dict and all(type(key) is str for key in value):
        return _copied_items(value, memo)
    return memo[id(value)] if id(value) in memo else copy.deepcopy(value, memo)


def train_branches(twin: nn.Module) -> None:
    """Take the branches of training, but leave BatchNorm and dropout in eval mode."""
    twin.train()
    for module in twin.modules():
        if isinstance(module, (_BatchNorm, _DropoutNd)):
            module.eval()


def image(twin: nn.Module, side: int, batch: int = 1) -> Tensor:
    """Return a black image, shape (batch, channels, side, side), on the model's device.

    How many channels an image has stands in the YAML; the first convolution is asked only where there is none, since
    YOLOv5's Focus gives it four times as many.

    Raises:
        ValueError: If the model has no convolution.
    """
    first = next((m for m in twin.modules() if isinstance(m, _ConvNd)), None)
    if first is None:
        raise ValueError("the model has no convolution: there is nothing to prune")
    yaml = getattr(twin, "yaml", None)
    said = [yaml.get("channels"), yaml.get("ch")] if isinstance(yaml, dict) else []
    channels = next((count for count in said if isinstance(count, int)), first.in_channels)
    return torch.zeros(batch, channels, side, side, device=first.weight.device)


def whole_pass(twin: nn.Module, shown: Tensor) -> Any:
    """Run a model so that all of it runs, and return what it says; YOLOE is given prompts as well as the image.

    Only with a prompt of each kind do the encoders of prompts in its head run, of which one reads feature maps.
    """
    layers = getattr(twin, "model", None)
    head: Any = layers[-1] if isinstance(layers, nn.Sequential) else None
    if not hasattr(head, "savpe"):
        return twin(shown)
    side = shown.shape[2] // int(min(twin.stride))  # type: ignore[arg-type]
    visual = shown.new_ones(len(shown), 1, side, side)
    return twin(shown, tpe=shown.new_zeros(len(shown), 1, head.embed), vpe=visual)


@contextmanager
def watched(
    twin: nn.Module, enter: Callable[[str, nn.Module, Any], Any], leave: Callable[[nn.Module, Any], Any]
) -> Iterator[None]:
    """Call `enter(name, module, arguments)` before each module's forward and `leave(module, result)` after it.

    What they return, unless it is None, takes the place of the arguments, ((...), {...}), or of the result.
    """
    handles = []
    for name, module in twin.named_modules():
        handles += [
            module.register_forward_pre_hook(
                lambda m, args, kwargs, name=name: enter(name, m, (args, kwargs)), with_kwargs=True
            ),
            module.register_forward_hook(lambda m, _, result: leave(m, result)),
        ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def undisturbed(twin: nn.Module) -> Iterator[None]:
    """Compute without gradients, and put every random generator back."""
    devices = sorted({p.device.index or 0 for p in twin.parameters() if p.device.type == "cuda"})
    with torch.random.fork_rng(devices=devices), torch.no_grad():
        yield


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one thread, and without the collection of cyclic garbage.

    Thousands of tiny operators gain nothing from two threads, and on a busy machine lose tenfold; and as many small
    objects would each few thousand have all that PyTorch has imported looked through.
    """
    threads, collecting = torch.get_num_threads(), gc.isenabled()
    torch.set_num_threads(1)
    gc.disable()
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        if collecting:
            gc.enable()
