"""Methods that turn a block into another for deployment, such as RepVGG's `switch_to_deploy`, after pruning.

They read widths that the forward pass never asks for, from attributes that pruning would leave. So each method is tried
on copies: at full width, where it must leave what the block says as it is, or else it is none of these; at another
width; and where that fails, with those numbers changed that equalled the width of one of the block's own layers. What
makes it right at two other widths was read as a width. Where nothing does, the block keeps its channels.

RepVGG: Ding et al., CVPR 2021, arXiv:2101.03697.
"""

from __future__ import annotations

import dis
import functools
import inspect
import random
import re
from dataclasses import dataclass
from itertools import combinations, islice, product
from typing import TYPE_CHECKING

import torch
from torch import nn

from ..labels.sizes import ModuleAttr, set_size, sizes_of
from ..labels.tracked import tensors
from ..passes.copying import FAILURES
from ..passes.shadow import held, shadow, undisturbed, whole_pass
from ..rules.slicing import kept_places, slice_model
from .blocks import within
from .keep_counts import layer_groups

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from types import FunctionType

    from torch import Tensor

    from ..analysis.channels import Channels
    from ..labels.tracked import Value
    from .keep_counts import Even

METHODS = re.compile(r"(switch|convert|change|turn|to)_\w*deploy|deploy|fuse|merge|re_?param|slim_?down")
TOLERANCE = 1e-3  # relative to the largest value: folding a BatchNorm into a convolution rounds anew
MOST_TRIES = 256  # of numbers to change, a block
Row = tuple[int, ...]  # groups
Numbers = tuple[tuple[ModuleAttr, Row], ...]  # of modules by their names in the block, and the groups they count


@dataclass(frozen=True)
class Said:
    """What a module was given in a pass and what it gave out."""

    args: tuple[object, ...]
    kwargs: dict[str, object]
    outputs: list[Tensor]


def deployed(model: nn.Module, channels: Channels) -> tuple[dict[ModuleAttr, Row], dict[str, str]]:
    """Return the attributes that such methods read as widths, and of the blocks that stay whole the method.

    Args:
        model: The model; it is only copied.
        channels: Its channels.

    Returns:
        Attribute -> the row of groups whose kept number it holds, as in `Channels`; block -> method.
    """
    methods = list(_methods_within(model))
    names = list(dict(methods))  # each once
    copies = _Copies(model, channels, names)
    attributes: dict[ModuleAttr, Row] = {}
    stuck: dict[str, str] = {}
    known: dict[type, list[tuple[ModuleAttr, ...]]] = {}
    for name, method in methods:
        if copies.serve(name, method, times=1):
            continue
        if channels.norms and not copies.whole.serves(name, method):
            continue  # what does not serve at full width either is no such method
        needed = copies.first_that_serves(name, method, _guesses(model, channels, name, known))
        if needed is None:
            stuck[name] = method
            continue
        rows = dict(needed)
        known.setdefault(type(model.get_submodule(name)), []).append(tuple(rows))
        for key, row in rows.items():
            attributes[_full(name, key)] = row
    return attributes, stuck


def _methods_within(model: nn.Module) -> Iterator[tuple[str, str]]:
    """Give the name of every module that has such methods, with each of them."""
    for name, module in model.named_modules():
        for method in methods_of(module, name):
            yield name, method


def methods_of(module: nn.Module, name: str) -> Iterator[str]:
    """Give the methods of a module that look like such, and that take no arguments."""
    kind: type = type(module)
    for method in _methods_of(kind):
        if name or method != "fuse":  # upstream's, of the whole model, which knows its layers and speaks
            yield method


@functools.lru_cache(maxsize=256)
def _methods_of(kind: type) -> tuple[str, ...]:
    if kind.__module__.startswith("torch."):
        return ()
    methods = []
    for method in dir(kind):
        if not METHODS.match(method) or hasattr(nn.Module, method):
            continue
        function = inspect.getattr_static(kind, method)
        if inspect.isfunction(function) and _calls(function) and not _needs_arguments(function):
            methods.append(method)
    return tuple(methods)


def _calls(function: FunctionType) -> bool:
    """Whether a function calls anything: one that only sets attributes, as upstream's heads do, makes no weights."""
    return any(instruction.opname.startswith("CALL") for instruction in dis.get_instructions(function))


def _needs_arguments(method: FunctionType) -> bool:
    """Whether a method cannot be called with nothing but the module."""
    _, *parameters = inspect.signature(method).parameters.values()
    for parameter in parameters:
        optional = parameter.default is not parameter.empty
        if not optional and parameter.kind not in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}:
            return True
    return False


class _Copy:
    """A copy of the model that lacks some groups, and what its blocks said on noise."""

    def __init__(self, model: nn.Module, channels: Channels, lost: set[int], names: Iterable[str]) -> None:
        self.lost = lost
        self.twin = shadow(model)
        slice_model(self.twin, channels, lost)
        self.said: dict[str, Said] = {}
        handles = []
        for name in names:
            block = self.twin.get_submodule(name)
            handles.append(block.register_forward_hook(functools.partial(self._note, name), with_kwargs=True))
        noise = torch.rand(channels.example, generator=torch.Generator().manual_seed(0))
        with held(handles), undisturbed(self.twin):
            whole_pass(self.twin, noise.to(next(self.twin.parameters()).device))

    def _note(self, name: str, _: nn.Module, args: tuple[object, ...], kwargs: dict[str, object], out: object) -> None:
        self.said.setdefault(name, Said(_cloned(args), kwargs, _cloned(tensors(out))))

    def serves(self, name: str, method: str, numbers: Numbers = ()) -> bool:
        """Whether a block says the same before and after its method, with these numbers changed."""
        said = self.said.get(name)
        if said is None:
            return False
        block = shadow(self.twin.get_submodule(name))
        for held_by, row in numbers:
            set_size(block.get_submodule(held_by.module), held_by.attribute, len(kept_places(row, self.lost)))
        try:
            with undisturbed(self.twin):
                before = tensors(block(*_cloned(said.args), **said.kwargs))
                getattr(block, method)()
                after = tensors(block(*_cloned(said.args), **said.kwargs))
        except FAILURES:
            return False
        return _agree(before, said.outputs) and _agree(after, said.outputs)


class _Copies:
    """Copies of several widths, made when they are asked for."""

    def __init__(self, model: nn.Module, channels: Channels, names: Iterable[str]) -> None:
        self.model, self.channels, self.names = model, channels, names
        self.made: list[_Copy] = []

    @functools.cached_property
    def whole(self) -> _Copy:
        """A copy of full width."""
        return _Copy(self.model, self.channels, set(), self.names)

    def serve(self, name: str, method: str, numbers: Numbers = (), *, times: int = 2) -> bool:
        """Whether a block serves with these numbers changed, at so many widths."""
        for seed in range(times):
            if len(self.made) <= seed:
                self.made.append(_Copy(self.model, self.channels, _some_of_each(self.channels, seed), self.names))
            if not self.made[seed].serves(name, method, numbers):
                return False
        return True

    def first_that_serves(self, name: str, method: str, guesses: Iterable[Numbers]) -> Numbers | None:
        """Return the first numbers with which a block serves when they are changed, or None."""
        for numbers in guesses:
            if self.serve(name, method, numbers):
                return numbers
        return None


def _guesses(
    model: nn.Module, channels: Channels, block: str, known: dict[type, list[tuple[ModuleAttr, ...]]]
) -> Iterator[Numbers]:
    """Give numbers to change: those that a block of the same class needed, then one, two, and all."""
    module = model.get_submodule(block)
    choices = _choices(module, channels, block)
    sets: list[tuple[ModuleAttr, ...]] = []
    for keys in known.get(type(module), []):
        if choices.keys() >= set(keys):
            sets.append(keys)
    for size in (1, 2, len(choices)):
        if size:
            sets += combinations(choices, size)
    yield from islice(_numbers(sets, choices), MOST_TRIES)


def _choices(module: nn.Module, channels: Channels, block: str) -> dict[ModuleAttr, list[Row]]:
    """Return the attributes of a block that nobody knows for widths yet, each with the rows that it may count."""
    rows = _rows_by_length(channels, block)
    choices: dict[ModuleAttr, list[Row]] = {}
    for place, part in module.named_modules():
        if type(part).__module__.startswith("torch."):
            continue
        for attribute, size in dict(sizes_of(part)).items():
            key = ModuleAttr(place, attribute)
            if size in rows and _full(block, key) not in channels.attributes:
                choices[key] = rows[size]
    return choices


def _rows_by_length(channels: Channels, block: str) -> dict[int, list[Row]]:
    """Return the rows that the layers of a block take and give, by their number of channels."""
    rows: dict[int, list[Row]] = {}
    for layers in (channels.inputs, channels.outputs):
        for name, row in layers.items():
            if within(name, block) and row not in rows.setdefault(len(row), []):
                rows[len(row)].append(row)
    return rows


def _numbers(sets: Iterable[tuple[ModuleAttr, ...]], choices: Mapping[ModuleAttr, list[Row]]) -> Iterator[Numbers]:
    """Give for each set of attributes every choice of rows that they may count."""
    for keys in sets:
        for rows in product(*(choices[key] for key in keys)):
            yield tuple(zip(keys, rows))


def _full(block: str, key: ModuleAttr) -> ModuleAttr:
    """Return an attribute of a block with the name that its module has in the whole model."""
    return key._replace(module=".".join(filter(None, (block, key.module))))


def _some_of_each(channels: Channels, seed: int) -> set[int]:
    """Return some groups of each layer group, of each another number, where all that stay even can spare it."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    counts = list(layer_groups(channels).values())
    spare: list[list[int]] = []
    room: dict[Even, int] = {}
    for count in counts:
        free = channels.free(count.groups)
        spare.append(free)
        room[count.even] = min(room.get(count.even, count.even.size - 1), len(free))
    drop = {even: min(most, chance.randint(1, max(1, most // 2))) for even, most in room.items()}
    some: set[int] = set()
    for count, free in zip(counts, spare):
        some.update(free[: drop[count.even]])
    return some


def _cloned(value: object) -> Value:
    """Copy the tensors in arguments, for code that works in place."""
    if isinstance(value, torch.Tensor):
        return value.clone()
    if isinstance(value, (list, tuple)):
        return type(value)([_cloned(item) for item in value])
    return value


def _agree(ours: list[Tensor], theirs: list[Tensor]) -> bool:
    return len(ours) == len(theirs) and all(map(_close, ours, theirs))


def _close(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape:
        return False
    limit = TOLERANCE * float(other.abs().max()) if other.numel() else 0.0
    return torch.allclose(one.float(), other.float(), rtol=0, atol=limit)
