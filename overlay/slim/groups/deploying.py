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
from ..rules.slicing import slice_model
from .blocks import within
from .keep_counts import layer_groups

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from types import FunctionType

    from torch import Tensor

    from ..analysis.channels import Channels
    from ..labels.tracked import Value

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
    methods = [(name, method) for name, module in model.named_modules() for method in methods_of(module, name)]
    names = dict.fromkeys(name for name, _ in methods)
    narrow = _Copies(model, channels, names)
    methods = [(name, method) for name, method in methods if not narrow.serve(name, method, times=1)]
    if methods and channels.norms:  # what does not serve at full width either is no such method
        whole = _Copy(model, channels, set(), names)
        methods = [(name, method) for name, method in methods if whole.serves(name, method)]
    attributes: dict[ModuleAttr, Row] = {}
    stuck: dict[str, str] = {}
    known: dict[type, list[tuple[ModuleAttr, ...]]] = {}
    for name, method in methods:
        guesses = _guesses(model, channels, name, known)
        needed = next((numbers for numbers in guesses if narrow.serve(name, method, numbers)), None)
        if needed is None:
            stuck[name] = method
            continue
        known.setdefault(type(model.get_submodule(name)), []).append(tuple(key for key, _ in needed))
        attributes.update({_full(name, key): row for key, row in needed})
    return attributes, stuck


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
        if not inspect.isfunction(function) or not _calls(function):
            continue
        _, *parameters = inspect.signature(function).parameters.values()
        if all(p.default is not p.empty or p.kind in {p.VAR_POSITIONAL, p.VAR_KEYWORD} for p in parameters):
            methods.append(method)
    return tuple(methods)


def _calls(function: FunctionType) -> bool:
    """Whether a function calls anything: one that only sets attributes, as upstream's heads do, makes no weights."""
    return any(instruction.opname.startswith("CALL") for instruction in dis.get_instructions(function))


class _Copy:
    """A copy of the model that lacks some groups, and what its blocks said on noise."""

    def __init__(self, model: nn.Module, channels: Channels, lost: set[int], names: Iterable[str]) -> None:
        self.lost = lost
        self.twin = shadow(model)
        slice_model(self.twin, channels, lost)
        self.said: dict[str, Said] = {}
        handles = [
            self.twin.get_submodule(name).register_forward_hook(
                lambda _, args, kwargs, out, name=name: self._note(name, args, kwargs, out), with_kwargs=True
            )
            for name in names
        ]
        noise = torch.rand(channels.example, generator=torch.Generator().manual_seed(0))
        with held(handles), undisturbed(self.twin):
            whole_pass(self.twin, noise.to(next(self.twin.parameters()).device))

    def _note(self, name: str, args: tuple[object, ...], kwargs: dict[str, object], out: object) -> None:
        self.said.setdefault(name, Said(_cloned(args), kwargs, [tensor.clone() for tensor in tensors(out)]))

    def serves(self, name: str, method: str, numbers: Numbers = ()) -> bool:
        """Whether a block says the same before and after its method, with these numbers changed."""
        said = self.said.get(name)
        if said is None:
            return False
        block = shadow(self.twin.get_submodule(name))
        for held_by, row in numbers:
            set_size(
                block.get_submodule(held_by.module), held_by.attribute, sum(group not in self.lost for group in row)
            )
        try:
            with undisturbed(self.twin):
                before = tensors(block(*_cloned(said.args), **said.kwargs))
                getattr(block, method)()
                after = tensors(block(*_cloned(said.args), **said.kwargs))
        except FAILURES:
            return False
        return _agree(before, said.outputs) and _agree(after, said.outputs)


class _Copies:
    """Copies of other widths, made when they are asked for."""

    def __init__(self, model: nn.Module, channels: Channels, names: Iterable[str]) -> None:
        self.model, self.channels, self.names = model, channels, names
        self.made: list[_Copy] = []

    def serve(self, name: str, method: str, numbers: Numbers = (), *, times: int = 2) -> bool:
        """Whether a block serves with these numbers changed, at so many widths."""
        for seed in range(times):
            if len(self.made) <= seed:
                self.made.append(_Copy(self.model, self.channels, _some_of_each(self.channels, seed), self.names))
            if not self.made[seed].serves(name, method, numbers):
                return False
        return True


def _guesses(
    model: nn.Module, channels: Channels, block: str, known: dict[type, list[tuple[ModuleAttr, ...]]]
) -> Iterator[Numbers]:
    """Give numbers to change: those that a block of the same class needed, then one, two, and all."""
    rows: dict[int, list[Row]] = {}
    for layers in (channels.inputs, channels.outputs):
        for name, row in layers.items():
            if within(name, block) and row not in rows.setdefault(len(row), []):
                rows[len(row)].append(row)
    module = model.get_submodule(block)
    choices: dict[ModuleAttr, list[Row]] = {}
    for place, part in module.named_modules():
        if not type(part).__module__.startswith("torch."):
            sizes = {ModuleAttr(place, attribute): size for attribute, size in sizes_of(part)}
            choices.update({key: rows[size] for key, size in sizes.items() if size in rows})
    choices = {key: found for key, found in choices.items() if _full(block, key) not in channels.attributes}
    sets = [keys for keys in known.get(type(module), []) if choices.keys() >= set(keys)]
    for size in (1, 2, len(choices)):
        if size:
            sets += combinations(choices, size)
    yield from islice(_numbers(sets, choices), MOST_TRIES)


def _numbers(sets: Iterable[tuple[ModuleAttr, ...]], choices: Mapping[ModuleAttr, list[Row]]) -> Iterator[Numbers]:
    """Give for each set of attributes every choice of rows that they may count."""
    for keys in sets:
        for rows in product(*(choices[key] for key in keys)):
            yield tuple(zip(keys, rows))


def _full(block: str, key: ModuleAttr) -> ModuleAttr:
    """Return an attribute of a block with the name that its module has in the whole model."""
    return key._replace(module=".".join(part for part in (block, key.module) if part))


def _some_of_each(channels: Channels, seed: int) -> set[int]:
    """Return some groups of each layer group, of each another number, where all that stay even can spare it."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    counts = list(layer_groups(channels).values())
    spare = {count.layer_group: channels.free(count.groups) for count in counts}
    room: dict[int, int] = {}
    for count in counts:
        room[id(count.even)] = min(room.get(id(count.even), count.even.size - 1), len(spare[count.layer_group]))
    drop = {even: min(most, chance.randint(1, max(1, most // 2))) for even, most in room.items()}
    return {group for count in counts for group in spare[count.layer_group][: drop[id(count.even)]]}


def _cloned(value: object) -> Value:
    """Copy the tensors in arguments, for code that works in place."""
    if isinstance(value, torch.Tensor):
        return value.clone()
    if isinstance(value, (list, tuple)):
        return type(value)([_cloned(item) for item in value])
    return value


def _agree(ours: list[Tensor], theirs: list[Tensor]) -> bool:
    return len(ours) == len(theirs) and all(a.shape == b.shape and _close(a, b) for a, b in zip(ours, theirs))


def _close(one: Tensor, other: Tensor) -> bool:
    limit = TOLERANCE * float(other.abs().max()) if other.numel() else 0.0
    return torch.allclose(one.float(), other.float(), rtol=0, atol=limit)
