"""Copies of what modules and hooks hold: also of what deepcopy refuses, as tensors that training has made."""

from __future__ import annotations

import copy
import re
from collections import OrderedDict, deque
from enum import Enum
from pathlib import PurePath
from pickle import PickleError
from typing import TYPE_CHECKING, Any, Callable, TypeVar

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PLAIN = {bool, int, float, complex, str, bytes, type(None)}
# What nobody can change, and so needs no copy.
CONSTANT = (
    *(bytes, complex, range, frozenset, type(...), Enum, re.Pattern, PurePath),
    *(torch.dtype, torch.device, torch.layout, torch.memory_format, torch.Size),
)
HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: a class that Python code has defined
# What a model's code, or a hook's, may raise when shapes do not suit it.
FAILURES = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
BY_ITSELF = (
    *("__new__", "__slots__", "__deepcopy__", "__copy__", "__reduce__", "__reduce_ex__"),
    *("__getstate__", "__setstate__", "__getnewargs__", "__getnewargs_ex__"),
)
Memo = dict[int, Any]  # copies by the id of what they are of, as deepcopy's: each has the type of its original
Copied = TypeVar("Copied")
Items = TypeVar("Items", bound="dict[object, object]")


class NotCopiedError(TypeError):
    """Something of which there is only one, such as a lock or a writer of logs."""


def copied_items(values: dict[str, object], memo: Memo, *, strictly: bool = False) -> dict[str, object]:
    """Copy values attribute by attribute, of which most are plain: deepcopy takes five times as long to see that."""
    return {k: v if type(v) in PLAIN else copied(v, memo, strictly=strictly) for k, v in values.items()}


def copied(value: Copied, memo: Memo, *, strictly: bool = False) -> Copied:
    """Copy a value, tensors as constants in float32.

    Args:
        value: Anything.
        memo: What is copied already.
        strictly: Whether what has no copy is refused; it is shared otherwise.

    Raises:
        NotCopiedError: It has none.
    """
    if isinstance(value, (int, float, str, type, type(None))):  # also numbers with a name
        return value
    made: Copied
    if id(value) in memo:
        made = memo[id(value)]
    elif type(value) in _PARTS:
        made = _PARTS[type(value)](value, memo, strictly)
    elif type(value) is not nn.Parameter and _is_plain_object(type(value)):
        made = memo[id(value)] = object.__new__(type(value))
        made.__dict__.update(copied_items(vars(value), memo, strictly=strictly))
    else:
        made = _deepcopied(value, memo, strictly)
    return made


def _deepcopied(value: Copied, memo: Memo, strictly: bool) -> Copied:
    try:
        made = copy.deepcopy(value, memo)
    except (PickleError, copy.Error, *FAILURES):
        made = value
    if strictly and made is value and not isinstance(value, CONSTANT):
        raise NotCopiedError(f"{type(value).__name__} is not copied")
    return made


def _is_plain_object(kind: type) -> bool:
    """Whether an object is its `__dict__` and no more, and has no way of its own to be copied."""
    for base in kind.__mro__[:-1]:
        if not base.__flags__ & HEAP_TYPE or not vars(base).keys().isdisjoint(BY_ITSELF):
            return False
    return kind.__dictoffset__ != 0


def _each_copied(items: Iterable[object], memo: Memo, strictly: bool) -> Iterator[object]:
    for item in items:
        yield copied(item, memo, strictly=strictly)


def _tensor(value: Tensor, memo: Memo, strictly: bool) -> Tensor:
    del strictly
    dtype = torch.float32 if value.is_floating_point() else value.dtype
    made = memo[id(value)] = value.detach().to(dtype, copy=True)
    return made


def _list(value: list[object], memo: Memo, strictly: bool) -> list[object]:
    made: list[object] = []
    memo[id(value)] = made  # before its items, of which one may hold it
    made.extend(_each_copied(value, memo, strictly))
    return made


def _deque(value: deque[object], memo: Memo, strictly: bool) -> deque[object]:
    made: deque[object] = deque(maxlen=value.maxlen)
    memo[id(value)] = made
    made.extend(_each_copied(value, memo, strictly))
    return made


def _tuple(value: tuple[object, ...], memo: Memo, strictly: bool) -> tuple[object, ...]:
    if PLAIN.issuperset(map(type, value)):  # sizes
        return value
    return tuple(_each_copied(value, memo, strictly))


def _dict(value: Items, memo: Memo, strictly: bool) -> Items:
    made = memo[id(value)] = type(value)()
    for key, item in value.items():
        made[copied(key, memo, strictly=strictly)] = copied(item, memo, strictly=strictly)
    return made


def _set(value: set[object], memo: Memo, strictly: bool) -> set[object]:
    made = memo[id(value)] = set(_each_copied(value, memo, strictly))
    return made


_PARTS: dict[type, Callable[[Any, Memo, bool], Any]] = {  # each takes and gives what its key says
    Tensor: _tensor,
    set: _set,
    list: _list,
    deque: _deque,
    tuple: _tuple,
    dict: _dict,
    OrderedDict: _dict,
}
