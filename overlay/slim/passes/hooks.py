"""A user's forward hooks on a copy of a model, where they must leave no trace on the user's side.

A hook that gives back a value changes what the model computes, and must do so on the copy as well. One that only looks
on is not called at all where its code says so; the others run as copies of themselves, on copies of what they hold.
"""

from __future__ import annotations

import dis
from functools import partial
from types import BuiltinFunctionType, CellType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, NoReturn

from ..labels.tracked import tensors
from .copying import FAILURES, PLAIN, Copied, NotCopiedError, copied
from .hook_code import codes, full, function_of, only_looks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, nn

    from .copying import Memo

Hook = Callable[..., object]
SETS = ("_forward_hooks", "_forward_pre_hooks")
# These packages only compute; what another package does when it is called, nobody knows.
COMPUTING = {"torch", "torchvision", "numpy", "math", "operator", "functools", "itertools", "collections", "copy"}
REACHING_OUT = {"open", "input", "exec", "eval", "compile", "__import__", "breakpoint"}
GLOBAL = {"LOAD_GLOBAL", "LOAD_NAME"}


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
    found: dict[str, None] = {}
    for place in _places(model):
        if place.module not in found and _opaque(place.hook, memo):
            found[place.module] = None
    return list(found)


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
    watches = [(place, _Watch(place.hook)) for place in _places(twin)]
    for place, watch in watches:
        place.hooks[place.number] = watch
    if watches:
        run()
    failed: dict[str, None] = {}
    for place, watch in watches:
        place.hooks[place.number] = watch.hook
        if watch.failed or (watch.called and not watch.acted):
            del place.hooks[place.number]
        if watch.failed:
            failed[place.module] = None
    return list(failed)


class _Place(NamedTuple):
    """Where a hook is: its module's name, one of the module's two sets, and its number there."""

    module: str
    hooks: dict[int, Hook]
    number: int

    @property
    def hook(self) -> Hook:
        return self.hooks[self.number]


def _places(model: nn.Module) -> Iterator[_Place]:
    for name, module in model.named_modules():
        for kind in SETS:
            hooks = vars(module)[kind]
            for number in hooks:
                yield _Place(name, hooks, number)


class _Watch:
    """Calls a hook and notes what it does."""

    def __init__(self, hook: Hook) -> None:
        self.hook = hook
        self.called = self.acted = self.failed = False

    def __call__(self, *args: object, **kwargs: object) -> object:
        given = tensors((args[1:], kwargs))
        before = _versions(given)
        self.called = True
        try:
            result = self.hook(*args, **kwargs)
        except FAILURES:
            self.failed = True
            return None
        self.acted = self.acted or result is not None or before != _versions(given)
        return result


def _versions(given: list[Tensor]) -> list[int]:
    return [tensor._version for tensor in given]  # noqa: SLF001 - autograd's own count of changes in place


def on_copies(hook: Hook, memo: Memo) -> Hook:
    """Return a hook made anew on copies of all that it can reach.

    Raises:
        NotCopiedError: It reaches something of which there is only one.
    """
    own = dict(memo)  # what is given up halfway must not be taken for a copy
    made = _value(hook, own)
    function, owner = function_of(hook)
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
    for kind, make in _MADE.items():
        if isinstance(value, kind):
            made = make(value, memo)
            break
    else:
        made = copied(value, memo, strictly=True)
    return made


def _tuple(value: tuple[object, ...], memo: Memo) -> tuple[object, ...]:
    return tuple(_value(item, memo) for item in value)


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
    names, known = _global_names(function), function.__globals__
    own = dict(known)
    cells = tuple(CellType() for _ in function.__closure__ or ())
    made = FunctionType(function.__code__, own, function.__name__, None, cells)
    memo[id(function)] = made
    for name in names:
        if name in known:
            own[name] = _value(known[name], memo)
    if "print" in names and "print" not in known:
        own["print"] = _unsaid
    for cell, old in zip(cells, function.__closure__ or ()):
        if full(old):
            cell.cell_contents = _value(old.cell_contents, memo)
    made.__defaults__ = _value(function.__defaults__, memo)
    made.__kwdefaults__ = _value(function.__kwdefaults__, memo)
    return made


def _global_names(function: FunctionType) -> set[str]:
    """Name what the code of a function looks up beyond itself.

    Raises:
        NotCopiedError: It imports, or calls what reaches out.
    """
    names: set[str] = set()
    for code in codes(function.__code__):
        for step in dis.get_instructions(code):
            if step.opname == "IMPORT_NAME":
                raise NotCopiedError(f"{function.__name__} imports")
            if step.opname in GLOBAL:
                names.add(str(step.argval))
    if (names & REACHING_OUT).difference(function.__globals__):
        raise NotCopiedError(f"{function.__name__} reaches out")
    return names


def _unsaid(*_: object, **__: object) -> None:
    """Print nothing."""


_MADE: dict[type, Callable[[Any, Memo], Any]] = {  # each takes and gives what its key says
    tuple: _tuple,
    partial: _partial,
    MethodType: _method,
    FunctionType: _anew,
    BuiltinFunctionType: _builtin,
    ModuleType: _only_one,
    type: _only_one,
}
