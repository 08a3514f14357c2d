"""A copy of a model to run forward passes on, so that the model itself does not change by a bit."""

from __future__ import annotations

import gc
from collections import OrderedDict
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.dropout import _DropoutNd

from .copying import copied_items
from .hooks import carried_hooks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from torch.utils.hooks import RemovableHandle

    from ..labels.tracked import Value
    from .copying import Memo

    Arguments = tuple[tuple[Value, ...], dict[str, Value]]  # of a module's call, by place and by name

SIDES = (64, 128, 256, 640)  # pixels; a transformer's top-k wants more positions than 64 pixels give

WRAPPERS = {"OptimizedModule", "DataParallel", "DistributedDataParallel"}
INSIDE = tuple(vars(nn.Module()))  # what PyTorch itself keeps in every module
HOOKS = tuple(name for name in INSIDE if name.endswith("_hooks"))
PARTS = ("_parameters", "_modules")  # each has its copy before anything else is copied
KNOWN = {*HOOKS, *PARTS}


class Through(nn.Module):
    """Stands on a copy for a part that `torch.compile` or a parallel wrapper holds, and runs that part."""

    def forward(self, *args: object, **kwargs: object) -> object:
        """Run what is held, as it was written."""
        return self._held()(*args, **kwargs)

    def _held(self) -> nn.Module:
        return next(iter(self._modules.values()))  # type: ignore[return-value]

    def __getattr__(self, name: str) -> Tensor | nn.Module:
        """Answer as what is held does, where the wrapper does so."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            held: Tensor | nn.Module = getattr(self._held(), name)
            return held


def shadow(model: nn.Module) -> nn.Module:
    """Copy a model's structure, buffers and caches, but share its weights; float32, in eval mode.

    Of its hooks those come along that may change what it computes, on copies of what they hold.
    """
    return shadowed(model)[0]


def shadowed(model: nn.Module) -> tuple[nn.Module, Memo]:
    """Return the `shadow` of a model, and the copies by the id of what they are of."""
    memo: Memo = {}
    for parameter in model.parameters():
        memo[id(parameter)] = nn.Parameter(parameter.detach().float(), requires_grad=False)
    modules = list(model.modules())
    for module in modules:
        memo[id(module)] = object.__new__(Through if _wraps(module) else type(module))
    for module in modules:
        # Not copied first and cleared then: what a hook has caught in training carries gradients and cannot be copied.
        for name in HOOKS:
            if vars(module).get(name):
                memo[id(vars(module)[name])] = OrderedDict()
    for module in modules:
        memo[id(module)].__dict__.update(_attributes(module, memo))
    for module in modules:
        for name, hooks in carried_hooks(module, memo).items():
            vars(memo[id(module)])[name].update(hooks)
    twin: nn.Module = memo[id(model)]
    return twin.eval(), memo


def _attributes(module: nn.Module, memo: Memo) -> dict[str, object]:
    """Return what the copy of a module has: of a wrapper, only what PyTorch keeps in every module."""
    held, wraps = vars(module), _wraps(module)
    values = {}
    for key, value in held.items():
        if key not in KNOWN and (key in INSIDE or not wraps):
            values[key] = value
    own = copied_items(values, memo)
    for name in HOOKS:
        if name in held:
            own[name] = memo.get(id(held[name]), OrderedDict())
    for name in PARTS:
        if name in held:
            own[name] = {key: memo.get(id(part)) if part is not None else None for key, part in held[name].items()}
    own.pop("_compiled_call_impl", None)
    return own


def _wraps(module: nn.Module) -> bool:
    kind = type(module)
    return kind.__module__.startswith("torch.") and kind.__name__ in WRAPPERS


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
    first = _first_convolution(twin)
    yaml = getattr(twin, "yaml", None)
    said = _channels_said(yaml) if isinstance(yaml, dict) else None
    channels = first.in_channels if said is None else said
    return torch.zeros(batch, channels, side, side, device=next(twin.parameters()).device)


def _channels_said(yaml: dict[str, Any]) -> int | None:
    for word in ("channels", "ch"):
        if isinstance(yaml.get(word), int):
            return int(yaml[word])
    return None


def _first_convolution(twin: nn.Module) -> _ConvNd:
    for module in twin.modules():
        if isinstance(module, _ConvNd):
            return module
    raise ValueError("the model has no convolution: there is nothing to prune")


def whole_pass(twin: nn.Module, shown: Tensor) -> object:
    """Run a model so that all of it runs, and return what it says; YOLOE is given prompts as well as the image.

    Only with a prompt of each kind do the encoders of prompts in its head run, of which one reads feature maps.
    """
    layers = getattr(twin, "model", None)
    head: Any = layers[-1] if isinstance(layers, nn.Sequential) else None  # of a class of upstream's
    if not hasattr(head, "savpe"):
        return twin(shown)
    side = shown.shape[2] // int(min(twin.stride))  # type: ignore[arg-type]
    visual = shown.new_ones(len(shown), 1, side, side)
    return twin(shown, tpe=shown.new_zeros(len(shown), 1, head.embed), vpe=visual)


@contextmanager
def watched(
    twin: nn.Module,
    enter: Callable[[str, nn.Module, Arguments], Arguments | None],
    leave: Callable[[nn.Module, object], object],
    which: Callable[[str, nn.Module], bool] = lambda *_: True,
) -> Iterator[None]:
    """Call `enter(name, module, arguments)` before a module's forward and `leave(module, result)` after it.

    What they return, unless it is None, takes the place of the arguments, ((...), {...}), or of the result.
    """
    handles = []
    for name, module in twin.named_modules():
        if not which(name, module):
            continue
        handles += [
            module.register_forward_pre_hook(
                lambda m, args, kwargs, name=name: enter(name, m, (args, kwargs)), with_kwargs=True
            ),
            module.register_forward_hook(lambda m, _, result: leave(m, result)),
        ]
    with held(handles):
        yield


@contextmanager
def held(handles: Iterable[RemovableHandle]) -> Iterator[None]:
    """Take hooks off a model again, whatever happens."""
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def undisturbed(twin: nn.Module) -> Iterator[None]:
    """Compute without gradients, and put every random generator back."""
    used = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    first = next(twin.parameters(), None)
    on_cuda: set[int] = set()
    for parameter in twin.parameters() if used else ():
        if parameter.device.type == "cuda":
            on_cuda.add(parameter.device.index or 0)
    # In full precision: half of the digits would pass for a difference.
    exact = torch.autocast("cpu" if first is None else first.device.type, enabled=False)
    with torch.random.fork_rng(devices=sorted(on_cuda)), torch.inference_mode(mode=False), torch.no_grad(), exact:
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


@contextmanager
def plain_attention() -> Iterator[None]:
    """Have PyTorch spell its attention out, in products and a softmax, and not in one operator with a scale inside."""
    before: dict[str, bool] = {}
    for kind in ("flash", "mem_efficient", "cudnn"):
        if hasattr(torch.backends.cuda, f"enable_{kind}_sdp"):
            before[kind] = getattr(torch.backends.cuda, f"{kind}_sdp_enabled")()
    try:
        for kind in before:
            getattr(torch.backends.cuda, f"enable_{kind}_sdp")(False)
        yield
    finally:
        for kind, enabled in before.items():
            getattr(torch.backends.cuda, f"enable_{kind}_sdp")(enabled)
