"""What the code of a hook itself shows: what it is made of, and whether it only looks on."""

from __future__ import annotations

import dis
from functools import partial
from types import CellType, CodeType, FunctionType, MethodType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .hooks import Hook

WRITING = {"STORE_SUBSCR", "DELETE_SUBSCR", "STORE_SLICE", "YIELD_VALUE", "RETURN_GENERATOR", "IMPORT_NAME"}


def only_looks(hook: Hook) -> bool:
    """Whether the code of a hook itself shows that it gives back None and writes into nothing that it is given."""
    function, owner = function_of(hook)
    if function is None:
        return False
    code = function.__code__
    steps = list(dis.get_instructions(code))
    names: set[str] = set()
    for part in codes(code):
        names.update(map(str, part.co_names))
    if any(map(_named_as_writing, names)) or any(map(_writes, steps)) or any(map(_names_out, code.co_consts)):
        return False
    return _returns_none(steps) and not _calls_code(function, owner, names)


def _named_as_writing(name: str) -> bool:
    """Whether it is the name of what writes into a tensor, as `add_`, or into any object."""
    return name == "setattr" or (name.endswith("_") and not name.endswith("__"))


def _writes(step: dis.Instruction) -> bool:
    if step.opname == "BINARY_OP":
        return step.argrepr.endswith("=")
    if step.opname == "STORE_ATTR":
        return bool(step.argval == "data")
    return step.opname in WRITING or step.opname.startswith("INPLACE")


def _names_out(const: object) -> bool:
    """Whether a constant names the arguments of a call, and `out` among them."""
    return isinstance(const, tuple) and "out" in const


def function_of(hook: object) -> tuple[FunctionType | None, object]:
    """Return the function that a hook is made of, and the object that it is a method of."""
    if isinstance(hook, partial):
        return function_of(hook.func)
    if isinstance(hook, MethodType):
        return (hook.__func__ if isinstance(hook.__func__, FunctionType) else None), hook.__self__
    if isinstance(hook, FunctionType):
        return hook, None
    call = _call_of(type(hook))
    return (call if isinstance(call, FunctionType) else None), hook


def _call_of(kind: type) -> object:
    """Return what runs when an object of a class is called, as the class holds it."""
    for base in kind.__mro__:
        if "__call__" in vars(base):
            return vars(base)["__call__"]
    return None


def codes(code: CodeType) -> Iterator[CodeType]:
    """Yield the code of a function, and of the functions that it defines."""
    yield code
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield from codes(const)


def _returns_none(steps: list[dis.Instruction]) -> bool:
    for before, step in zip([None, *steps], steps):
        if step.opname == "RETURN_CONST" and step.argval is not None:
            return False
        if step.opname == "RETURN_VALUE":
            plain = before is not None and before.opname == "LOAD_CONST" and before.argval is None
            if step.is_jump_target or not plain:
                return False
    return True


def _calls_code(function: FunctionType, owner: object, names: set[str]) -> bool:
    """Whether it may call Python code of the user's, which might do anything to what it is given."""
    held: list[object] = []
    for name in names:
        held.append(function.__globals__.get(name))
        if owner is not None:
            held.append(getattr(type(owner), name, None))
    for cell in function.__closure__ or ():
        if full(cell):
            held.append(cell.cell_contents)
    return any(isinstance(value, (FunctionType, MethodType, partial)) for value in held)


def full(cell: CellType) -> bool:
    """Whether a cell of a closure holds anything yet."""
    try:
        cell.cell_contents  # noqa: B018 - that is how a cell is asked
    except ValueError:
        return False
    return True
