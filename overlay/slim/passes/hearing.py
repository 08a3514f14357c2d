"""What is heard of operators in a pass besides the values: which numbers they get, and which positions they choose."""

from __future__ import annotations

import functools
from collections import Counter, defaultdict, deque
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ..labels.rescaling import Key
from .dispatch import Mode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..labels.tracked import Operator, Value

# Types of arguments that may hold a number which is no size, no dimension and no position; and the type of those that
# may hold one where an overload is called by it, as `aten.mul.Tensor`.
NUMERIC = {"number", "float", "Optional[number]", "Optional[float]"}
EITHER = "Tensor"
# The numbers of these count positions, or are a layer's own.
UNHEARD = {
    *("arange", "linspace", "range", "native_batch_norm", "_native_batch_norm_legit_no_training", "native_layer_norm"),
    *("native_group_norm", "cudnn_batch_norm", "_native_batch_norm_legit", "_batch_norm_no_update"),
}
FACTORS = {"mul", "div"}  # to which a tensor without dimensions is a number as well
CHOICES = {"topk", "sort", "argsort", "max", "min", "kthvalue", "argmax", "argmin"}

unheard = torch._C._DisableTorchDispatch  # noqa: SLF001 - what `torch.utils` itself has to step out of a mode

_known: dict[Operator, tuple[str, tuple[int, ...], tuple[str, ...]]] = {}


@functools.lru_cache(maxsize=1024)
def operator_name(func: Operator) -> str:
    """Return `silu` for `aten.silu_.default`."""
    name = str(func).split(".")[1] if "." in str(func) else str(func)
    return name[:-1] if name.endswith("_") and not name.endswith("__") else name


def numbers(func: Operator, args: tuple[Value, ...], kwargs: dict[str, Value]) -> list[float | Tensor]:
    """Return the numbers among the arguments of an operator that code may have computed."""
    name, places, names = _signature(func)
    if not places:
        return []
    found: list[float | Tensor] = []
    for value in _given(args, kwargs, places, names):
        if _is_number(value) or (name in FACTORS and _is_scalar(value)):
            found.append(value)
    return found


def _given(
    args: tuple[Value, ...], kwargs: dict[str, Value], places: tuple[int, ...], names: tuple[str, ...]
) -> Iterator[Value]:
    """Yield the arguments at these places, and those of these names, as far as they are given."""
    for place in places:
        if place < len(args):
            yield args[place]
    for name in names:
        if name in kwargs:
            yield kwargs[name]


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_scalar(value: object) -> bool:
    return isinstance(value, Tensor) and value.ndim == 0 and value.dtype != torch.bool


def _signature(func: Operator) -> tuple[str, tuple[int, ...], tuple[str, ...]]:
    """Return the plain name of an operator, and which of its arguments may be numbers, by place and by name."""
    signature = _known.get(func)
    if signature is None:
        name, schema = operator_name(func), getattr(func, "_schema", None)
        arguments = schema.arguments if schema is not None and name not in UNHEARD else ()
        kinds = NUMERIC | {EITHER} if EITHER in getattr(func, "_overloadname", "") else NUMERIC
        places, names = [], []
        for place, argument in enumerate(arguments):
            if str(argument.type) in kinds:
                places.append(place)
                names.append(argument.name)
        signature = _known[func] = name, tuple(places), tuple(names)
    return signature


def has_code(_: str, module: nn.Module) -> bool:
    """Whether a module is more than one of PyTorch's own without others in it."""
    return bool(module._modules) or not type(module).__module__.startswith("torch.nn.modules.")  # noqa: SLF001


class Hearing(Mode):
    """Hears a pass; a second one is given the choices of the first, where they are as good there."""

    def __init__(self, first: Hearing | None = None, *, tolerance: float = 1e-4) -> None:
        super().__init__()
        self.tolerance = tolerance
        self.modules: list[tuple[str, Counter[str]]] = []  # those that run, and how often each operator got numbers
        self.numbers: defaultdict[Key, list[tuple[float, ...]]] = defaultdict(list)  # by call of the module
        self.choices: defaultdict[Key, deque[Tensor]] = defaultdict(deque)
        self.told = {key: deque(those) for key, those in first.choices.items()} if first is not None else None

    def meet(self, func: Operator, args: tuple[Value, ...], kwargs: dict[str, Value]) -> Value:
        """Run the operator."""
        name, places, _ = _signature(func)
        given = numbers(func, args, kwargs) if places and self.modules else ()
        if given:
            self.numbers[self._key(name)].append(tuple(map(float, given)))
        result = func(*args, **kwargs)
        return self._chosen(name, args, kwargs, result) if name in CHOICES and self.modules else result

    def _key(self, name: str) -> Key:
        module, times = self.modules[-1]
        times[name] += 1
        return Key(module, name, times[name])

    def _chosen(self, name: str, args: tuple[Value, ...], kwargs: dict[str, Value], result: Value) -> Value:
        """Return what an operator chose, or what the first pass chose where that is as good.

        What is chosen among equals is left to rounding; what depends on it could not be compared.
        """
        values, positions = result if isinstance(result, tuple) else (None, result)
        if positions is None or positions.dtype != torch.int64 or positions.ndim != args[0].ndim:
            return result
        key = self._key(f"choice of {name}")
        if self.told is None:
            self.choices[key].append(positions.clone())
            return result
        told = self.told[key].popleft() if self.told.get(key) else positions
        dim = _dim(name, args, kwargs)
        if told.shape != positions.shape or torch.equal(told, positions) or bool((told >= args[0].shape[dim]).any()):
            return result
        best, theirs = args[0].gather(dim, positions), args[0].gather(dim, told)
        limit = self.tolerance * float(best[best.isfinite()].abs().max()) if bool(best.isfinite().any()) else 0.0
        if not bool(((best == theirs) | ((best - theirs).abs() <= limit)).all()):
            return result
        return told.clone() if values is None else (theirs, told.clone())


def _dim(name: str, args: tuple[Value, ...], kwargs: dict[str, Value]) -> int:
    """Return the dimension along which an operator chooses."""
    place = 2 if name in {"topk", "kthvalue"} else 1
    given = kwargs.get("dim", args[place] if len(args) > place else -1)
    dim: int = given if isinstance(given, int) and not isinstance(given, bool) else -1
    return dim % int(args[0].ndim)
