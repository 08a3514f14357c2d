"""One forward pass that follows channel labels through every operator PyTorch dispatches.

What an operator does to labels is in `operators` (shapes and arithmetic) and `layers` (what owns weights); this
module holds what they share: which tensor carries which labels, and what has been learned about the layers.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, Callable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakTensorKeyDictionary

from .arithmetic import Rescaled, note_number
from .labels import FIXED, Labels, core

LAYERS = (_ConvNd, _BatchNorm, nn.Linear)
Rule = Callable[["Trace", "Call"], "list[Tensor | None]"]


class UnknownOperatorError(Exception):
    """An operator, or one use of it, through which labels cannot be followed."""


@dataclass
class Tracked:
    """What is known of a live tensor.

    Attributes:
        labels: One label a value, in the tensor's shape.
        made_by: The layer whose raw output it is, "" if that is no layer.
        norm: The BatchNorm whose values it holds, however they were moved about since; "" after any arithmetic.
        readers: The layers that read it, "" for an operator without weights.
    """

    labels: Tensor
    made_by: str
    norm: str = ""
    readers: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Call:
    """One dispatched operator: in-place variants go by the plain name, `caller` is what the model's code called."""

    name: str
    func: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    outputs: list[Tensor]
    caller: str
    where: str

    @property
    def reason(self) -> str:
        """Say what froze a label here."""
        return f"{self.name.strip('_')} in {self.where}"


@dataclass
class Cut:
    """Parts of one tensor (labels, equally long) that keep equally many channels.

    Attributes:
        reason: Why.
        parts: The labels of each.
        row: The part whose number of channels the attribute holds under which code knows it.
        tied: Whether the parts keep the same channels, one to one.
    """

    reason: str
    parts: list[list[int]] = field(default_factory=list)
    row: list[int] = field(default_factory=list)
    tied: bool = False


def unknown(trace: Trace, call: Call) -> list[Tensor | None]:
    """Stand in for the rule of an operator that has none."""
    raise UnknownOperatorError(trace.where, call.name)


def known(trace: Trace, tensor: Any) -> Tensor:
    """Return the labels of a tensor that must have some."""
    labels = trace.labels_of(tensor)
    if labels is None:
        raise UnknownOperatorError
    return labels


class Trace(TorchDispatchMode):  # type: ignore[no-untyped-call]  # PyTorch's own __init_subclass__
    """Follows labels; the rules map an operator's name to what it does to them, with a layer's weight or without."""

    def __init__(self, model: nn.Module, rules: dict[str, Rule], layer_rules: dict[str, Rule]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.labels = Labels()
        self.rules, self.layer_rules = rules, layer_rules
        self.tracked: Any = WeakTensorKeyDictionary()
        self.transposed: Any = WeakTensorKeyDictionary()  # a view of a Linear's weight -> the layer's name
        self.layers = {name: m for name, m in model.named_modules() if isinstance(m, LAYERS)}
        self.owner: dict[int, str] = {}
        self.outputs: dict[str, Tensor] = {}  # layer -> labels of its output channels
        self.inputs: dict[str, Tensor] = {}  # convolution or Linear -> labels of its input channels
        self.tainted: dict[str, str] = {}  # layer -> why its weights must stay as they are
        self.cuts: dict[tuple[str, str], Cut] = {}  # (module, attribute) or (reason, "") -> cut
        self.vectors: dict[str, Tensor] = {}  # parameter with a value a channel -> its labels, in its own shape
        self.raw: list[Tracked] = []  # every layer's output, to learn who reads it
        self.stack: list[tuple[str, nn.Module]] = [("", model)]
        self.wholes: dict[tuple[str, str], list[int]] = {}  # like a cut's, of all heads together
        self.shaped: defaultdict[str, list[list[list[int]]]] = defaultdict(list)  # module -> rows of what it has viewed
        self.heads: dict[int, tuple[str, str]] = {}  # first label of what is seen as heads -> key of that cut
        self.rescaled: list[Rescaled] = []
        self.multiplied = 0  # products of two activations so far in this pass
        self.products: dict[str, list[int]] = {}  # "<module>:<number>" of such a product -> what it takes longer for
        self.computed: dict[tuple[str, str], str] = {}  # (module, attribute) -> the arithmetic that it enters
        self.entering: defaultdict[str, list[Tensor]] = defaultdict(list)  # module -> labels of its arguments
        self.caller = ""
        self.asked: Any = ()  # the caller's own sizes: PyTorch dispatches a view without its -1
        for name, layer in self.layers.items():
            for tensor in (layer.weight, layer.running_mean if isinstance(layer, _BatchNorm) else None):
                if isinstance(tensor, Tensor):
                    first = self.owner.setdefault(id(tensor), name)
                    if first != name:
                        self.tainted[first] = self.tainted[name] = f"weight shared by {first} and {name}"

        for name, parameter in model.named_parameters():
            if name.rpartition(".")[0] not in self.layers and 1 < parameter.numel() == max(parameter.shape, default=1):
                self.vectors[name] = self.labels.new(parameter.numel()).view(parameter.shape)
                self.tracked[parameter] = Tracked(-self.vectors[name], "")

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # PyTorch would import its compiler, two seconds, only to keep it away from this mode

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run the operator, then say what it did to the labels."""
        del types
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        name, inputs = operator_name(func), tensors((*args, *kwargs.values()))
        self.multiplied += name == "bmm"
        if name in {"mul", "div"} and len(args) > 1 and isinstance(args[1], float):
            note_number(self, name, args[0], args[1])
        if name not in SHAPE_ONLY and any(t in self.tracked or self.layer_of(t) for t in inputs):
            self._follow(Call(name, func, args, kwargs, tensors(result), self.caller, self.where), inputs)
        return result

    def _follow(self, call: Call, inputs: list[Tensor]) -> None:
        # Sources first: an in-place operator replaces what is known of its own input.
        sources = [self.tracked[t] for t in inputs if t in self.tracked]
        norm = sources[0].norm if len(sources) == 1 and call.name in MOVES else ""
        layer = next((name for t in inputs if (name := self.layer_of(t))), "")
        rule = (self.layer_rules if layer else self.rules).get(call.name, unknown)
        try:
            labels = rule(self, call)
        except UnknownOperatorError:
            self._give_up(call, inputs)
            labels = []
        for source in sources:
            source.readers.append(layer)
        for output, label in zip(call.outputs, labels):
            if label is not None:
                norm = layer if isinstance(self.layers.get(layer), _BatchNorm) else norm
                self.tracked[output] = known = Tracked(label, layer, norm)
                if layer:
                    self.raw.append(known)

    def _give_up(self, call: Call, inputs: list[Tensor]) -> None:
        for tensor in inputs:
            if tensor in self.tracked:
                self.labels.freeze(self.tracked[tensor].labels, call.reason)
            layer = self.layer_of(tensor)
            if layer:
                self.tainted.setdefault(layer, call.reason)
        for tensor in call.outputs:
            self.tracked.pop(tensor, None)

    def enter(self, name: str, module: nn.Module, arguments: Any) -> None:
        """Note that a module runs, and what enters it."""
        self.multiplied = self.multiplied if name else 0
        self.stack.append((name, module))
        self.entering[name] += [known.labels for t in tensors(arguments) if (known := self.tracked.get(t)) is not None]

    @property
    def where(self) -> str:
        """Name of the innermost module that is running."""
        return self.stack[-1][0] or "the model"

    def layer_of(self, tensor: Any) -> str:
        """Return the name of the layer whose weight (or a Linear's transposed weight) this is, or ""."""
        name = self.owner.get(id(tensor)) or self.transposed.get(tensor) or ""
        return str(name)

    def labels_of(self, tensor: Any) -> Tensor | None:
        """Return a tensor's labels, in its own shape, or None if it carries none."""
        known = self.tracked.get(tensor) if isinstance(tensor, Tensor) else None
        return None if known is None else known.labels

    def vector(self, tensor: Tensor, dim: int) -> Tensor:
        """Return the labels along one dimension, shape (size,); they may differ along no other."""
        labels = self.labels_of(tensor)
        size = tensor.shape[dim]
        if labels is None:
            return torch.full((size,), FIXED)
        small = core(labels)
        dim %= tensor.ndim
        if any(length > 1 for other, length in enumerate(small.shape) if other != dim):
            raise UnknownOperatorError
        return small.flatten().expand(size)

    def cut(self, key: tuple[str, str], reason: str, parts: list[Tensor]) -> None:
        """Demand that these parts, and any others cut under the same key, keep equally many channels."""
        cut = self.cuts.setdefault(key, Cut(reason))
        for part in parts:
            row = [abs(label) for label in part.tolist()]
            cut.row = cut.row or row
            if row not in cut.parts:
                cut.parts.append(row)


class Caller(TorchFunctionMode):
    """Notes the Python-level name of a call: `chunk` follows a changed width, `split` is given one."""

    def __init__(self, trace: Trace) -> None:
        super().__init__()
        self.trace = trace

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Note the name and go on."""
        del types
        self.trace.caller = getattr(func, "__name__", "")
        sizes = args[SIZES_OF.get(self.trace.caller, NO_SIZES)]
        self.trace.asked = tuple(sizes[0]) if sizes and isinstance(sizes[0], (tuple, list)) else sizes
        return func(*args, **(kwargs or {}))


# Where sizes are among the arguments of a call.
SIZES_OF = {"view": slice(1, None), "reshape": slice(1, None), "split": slice(1, 2)}
NO_SIZES = slice(0)
# These put values elsewhere and do nothing else to them.
MOVES = {
    *("view", "_unsafe_view", "reshape", "_reshape_alias", "permute", "transpose", "expand", "squeeze", "unsqueeze"),
    *("clone", "detach", "alias", "contiguous", "split", "split_with_sizes", "slice"),
}
# These read a tensor's shape or type, never its values.
SHAPE_ONLY = {
    *("zeros_like", "ones_like", "empty_like", "full_like", "rand_like", "randn_like"),
    *("new_zeros", "new_ones", "new_empty", "new_full", "new_empty_strided"),
}


def operator_name(func: Any) -> str:
    """Return `silu` for `aten.silu_.default`."""
    name = str(func).split(".")[1] if "." in str(func) else str(func)
    return name[:-1] if name.endswith("_") and not name.endswith("__") else name


def tensors(value: Any) -> list[Tensor]:
    """Collect the tensors in nested lists, tuples and dicts, in order."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [tensor for item in value for tensor in tensors(item)]
    return []
