"""A user's forward hooks on a copy of a model, where they must leave no trace on the user's side.

A hook that gives back a value changes what the model computes, and must do so on the copy as well. One that only looks
on is not called at all where its code says so; the others run as copies of themselves, on copies of what they hold.
"""

from __future__ import annotations

import dis
from functools import partial
from types import BuiltinFunctionType, CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any, Callable, NoReturn

from ..labels.tracked import tensors
from .copying import FAILURES, PLAIN, Copied, NotCopiedError, copied

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

    from .copying import Memo

Hook = Callable[..., object]
SETS = ("_forward_hooks", "_forward_pre_hooks")
# These packages only compute; what another package does when it is called, nobody knows.
COMPUTING = {"torch", "torchvision", "numpy", "math", "operator", "functools", "itertools", "collections", "copy"}
REACHING_OUT = {"open", "input", "exec", "eval", "compile", "__import__", "breakpoint"}
GLOBAL = {"LOAD_GLOBAL", "LOAD_NAME"}
WRITING = {"STORE_SUBSCR", "DELETE_SUBSCR", "STORE_SLICE", "YIELD_VALUE", "RETURN_GENERATOR", "IMPORT_NAME"}


def carried_hooks(module: nn.Module, memo: Memo) -> dict[str, dict[int, Hook]]:
    """Return by set and number the hooks of a module that its copy must have, on copies of what they hold."""
    carried: dict[str, dict[int, Hook]] = {}
    for name in SETS:
        for number, hook in vars(module)[name].items():
            if not only_looks(hook):
                try:
                    carried.setdefault(name, {})[number] = on_copies(hook, memo)
                except NotCopiedError:
                    continue
    return carried


def opaque_hooks(model: nn.Module, memo: Memo) -> list[str]:
    """Name the modules with a hook that may give back a value, and that cannot be tried without a trace."""
    return [name for name, module in model.named_modules() if _has_opaque(module, memo)]


def _has_opaque(module: nn.Module, memo: Memo) -> bool:
    return any(_opaque(hook, memo) for hook in _hooks(module))


def _hooks(module: nn.Module) -> Iterator[Hook]:
    for name in SETS:
        yield from vars(module)[name].values()


def _opaque(hook: Hook, memo: Memo) -> bool:
    if only_looks(hook):
        return False
    try:
        on_copies(hook, memo)
    except NotCopiedError:
        return True
    return False


def drop_onlookers(twin: nn.Module, run: Callable[[], object]) -> list[str]:
    """Leave out the hooks on a copy that turn out only to look on; name the modules whose hooks do not work there.

    Args:
        twin: A shadow of the model.
        run: Runs it.
    """
    places = list(_places(twin))
    watches = {(name, kind, number): _Watch(vars(m)[kind][number]) for name, m, kind, number in places}
    for name, module, kind, number in places:
        vars(module)[kind][number] = watches[name, kind, number]
    if places:
        run()
    for name, module, kind, number in places:
        watch = watches[name, kind, number]
        vars(module)[kind][number] = watch.hook
        if watch.failed or (watch.called and not watch.acted):
            del vars(module)[kind][number]
    return list(dict.fromkeys(name for name, _, kind, number in places if watches[name, kind, number].failed))


def _places(model: nn.Module) -> Iterator[tuple[str, nn.Module, str, int]]:
    """Yield where each hook is: its module's name, the module, the set, and its number there."""
    for name, module in model.named_modules():
        for kind in SETS:
            for number in vars(module)[kind]:
                yield name, module, kind, number


class _Watch:
    """Calls a hook and notes what it does."""

    def __init__(self, hook: Hook) -> None:
        self.hook = hook
        self.called = self.acted = self.failed = False

    def __call__(self, *args: object, **kwargs: object) -> object:
        given = tensors((args[1:], kwargs))
        before = [tensor._version for tensor in given]  # noqa: SLF001 - autograd's own count of changes in place
        self.called = True
        try:
            result = self.hook(*args, **kwargs)
        except FAILURES:
            self.failed = True
            return None
        self.acted = self.acted or result is not None or before != [tensor._version for tensor in given]  # noqa: SLF001
        return result


def only_looks(hook: Hook) -> bool:
    """Whether the code of a hook itself shows that it gives back None and writes into nothing that it is given."""
    function, owner = _function_of(hook)
    if function is None:
        return False
    code = function.__code__
    steps = list(dis.get_instructions(code))
    names = {str(name) for part in _codes(code) for name in part.co_names}
    writes = any(name.endswith("_") and not name.endswith("__") for name in names) or "setattr" in names
    writes = writes or any(step.opname in WRITING or step.opname.startswith("INPLACE") for step in steps)
    writes = writes or any(step.opname == "BINARY_OP" and step.argrepr.endswith("=") for step in steps)
    writes = writes or any(step.opname == "STORE_ATTR" and step.argval == "data" for step in steps)
    writes = writes or any(isinstance(const, tuple) and "out" in const for const in code.co_consts)
    return not writes and _returns_none(steps) and not _calls_code(function, owner, names)


def _function_of(hook: object) -> tuple[FunctionType | None, object]:
    """Return the function that a hook is made of, and the object that it is a method of."""
    if isinstance(hook, partial):
        return _function_of(hook.func)
    if isinstance(hook, MethodType):
        return (hook.__func__ if isinstance(hook.__func__, FunctionType) else None), hook.__self__
    if isinstance(hook, FunctionType):
        return hook, None
    call = next((vars(kind)["__call__"] for kind in type(hook).__mro__ if "__call__" in vars(kind)), None)
    return (call if isinstance(call, FunctionType) else None), hook


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield from _codes(const)


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
    held = [function.__globals__.get(name) for name in names]
    held += [cell.cell_contents for cell in function.__closure__ or () if _full(cell)]
    held += [getattr(type(owner), name, None) for name in names] if owner is not None else []
    return any(isinstance(value, (FunctionType, MethodType, partial)) for value in held)


def _full(cell: CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018 - that is how a cell is asked
    except ValueError:
        return False
    return True


def on_copies(hook: Hook, memo: Memo) -> Hook:
    """Return a hook made anew on copies of all that it can reach.

    Raises:
        NotCopiedError: It reaches something of which there is only one.
    """
    own = dict(memo)  # what is given up halfway must not be taken for a copy
    made = _value(hook, own)
    function, owner = _function_of(hook)
    if owner is hook and function is not None and not _computes(function):
        made = MethodType(_anew(function, own), made)
    memo.update(own)
    return made


def _value(value: Copied, memo: Memo) -> Copied:
    if type(value) in PLAIN or _computes(value):
        return value
    if id(value) in memo:
        made: Copied = memo[id(value)]
        return made
    make = next((make for kind, make in _MADE.items() if isinstance(value, kind)), None)
    return copied(value, memo, strictly=True) if make is None else make(value, memo)


def _partial(value: partial[object], memo: Memo) -> partial[object]:
    words = {name: _value(word, memo) for name, word in value.keywords.items()}
    return partial(_value(value.func, memo), *_value(value.args, memo), **words)


def _method(value: MethodType, memo: Memo) -> MethodType:
    return MethodType(_value(value.__func__, memo), _value(value.__self__, memo))


def _builtin(value: BuiltinFunctionType, memo: Memo) -> Hook:
    if value.__self__ is None or isinstance(value.__self__, ModuleType):
        raise NotCopiedError(f"{value!r} is not copied")
    method: Hook = getattr(_value(value.__self__, memo), value.__name__)
    return method


def _only_one(value: object, memo: Memo) -> NoReturn:
    del memo
    raise NotCopiedError(f"{value!r} is not copied")


def _computes(value: object) -> bool:
    """Whether it is a module, class or function of Python's, PyTorch's or NumPy's that only computes."""
    if not isinstance(value, (ModuleType, type, FunctionType, BuiltinFunctionType)):
        return False
    bound = getattr(value, "__self__", None)
    if bound is not None and not isinstance(bound, ModuleType):
        return False
    place = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None) or "builtins"
    return place.split(".")[0] in COMPUTING or (place == "builtins" and value.__name__ not in REACHING_OUT)


def _anew(function: FunctionType, memo: Memo) -> FunctionType:
    """Return a function with globals, cells and defaults of its own; printing says nothing."""
    steps = [step for code in _codes(function.__code__) for step in dis.get_instructions(code)]
    if any(step.opname == "IMPORT_NAME" for step in steps):
        raise NotCopiedError(f"{function.__name__} imports")
    names = {str(step.argval) for step in steps if step.opname in GLOBAL}
    known = function.__globals__
    if any(name in REACHING_OUT and name not in known for name in names):
        raise NotCopiedError(f"{function.__name__} reaches out")
    own = dict(known)
    cells = tuple(CellType() for _ in function.__closure__ or ())
    made = FunctionType(function.__code__, own, function.__name__, None, cells)
    memo[id(function)] = made
    own.update({name: _value(known[name], memo) for name in names if name in known})
    if "print" in names and "print" not in known:
        own["print"] = _unsaid
    for cell, old in zip(cells, function.__closure__ or ()):
        if _full(old):
            cell.cell_contents = _value(old.cell_contents, memo)
    made.__defaults__ = _value(function.__defaults__, memo)
    made.__kwdefaults__ = _value(function.__kwdefaults__, memo)
    return made


def _unsaid(*_: object, **__: object) -> None:
    """Print nothing."""


_MADE: dict[type, Callable[[Any, Memo], Any]] = {  # each takes and gives what its key says
    tuple: lambda value, memo: tuple(_value(item, memo) for item in value),
    partial: _partial,
    MethodType: _method,
    FunctionType: _anew,
    BuiltinFunctionType: _builtin,
    ModuleType: _only_one,
    type: _only_one,
}
