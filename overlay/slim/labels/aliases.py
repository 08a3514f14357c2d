"""Tensors that share memory: what is written to one in place is read through the others."""

from __future__ import annotations

import functools
import weakref
from collections import defaultdict
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .labels import FIXED

if TYPE_CHECKING:
    from .tracked import Operator


class Aliases:
    """Knows which live tensors lie in which memory."""

    def __init__(self) -> None:
        self._sharing: defaultdict[int, list[weakref.ref[Tensor]]] = defaultdict(list)

    def note(self, tensor: Tensor) -> None:
        """Remember where a tensor lies."""
        self._sharing[memory(tensor)].append(weakref.ref(tensor))

    def others(self, tensor: Tensor) -> list[Tensor]:
        """Return the other live tensors in the same memory."""
        place = memory(tensor)
        found: dict[int, Tensor] = {}
        for ref in self._sharing[place]:
            other = ref()
            if other is None or other is tensor or memory(other) != place:
                continue
            found[id(other)] = other
        return list(found.values())


def memory(tensor: Tensor) -> int:
    """Return what tells memory apart."""
    return int(tensor.untyped_storage()._cdata)  # noqa: SLF001 - the data pointer is null on the meta device


def overwritten(target: Tensor, labels: Tensor | None, written: Tensor, new: Tensor) -> Tensor | None:
    """Return the labels of a tensor after others were written to part of its memory; None where none of it is there.

    Args:
        target: The tensor.
        labels: Its labels so far, in its shape; None if it had none.
        written: The tensor that was written to.
        new: What is written, in the shape of `written`.
    """
    if target.dtype != written.dtype:
        return None
    length = target.untyped_storage().nbytes() // target.element_size()
    flat = torch.full((length,), FIXED)
    view = flat.as_strided(target.shape, target.stride(), target.storage_offset())
    if labels is not None:
        once = view
        for dim, stride in enumerate(target.stride()):
            if stride == 0 and target.shape[dim] > 1:  # expanded: all places along it lie in one
                once, labels = once.narrow(dim, 0, 1), labels.narrow(dim, 0, 1)
        once.copy_(labels)
    before = view.clone()
    flat.as_strided(written.shape, written.stride(), written.storage_offset()).copy_(new)
    return None if torch.equal(before, view) else view.clone()


@functools.cache
def in_place(func: Operator) -> tuple[int, ...]:
    """Return the places of an operator's arguments that it writes to."""
    arguments = enumerate(func._schema.arguments) if hasattr(func, "_schema") else ()  # noqa: SLF001
    return tuple(i for i, a in arguments if a.alias_info is not None and a.alias_info.is_write and not a.kwarg_only)
