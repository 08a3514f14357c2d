"""One forward pass that follows channel labels through every operator PyTorch dispatches.

What an operator does to labels is in `operators` (shapes and arithmetic) and `layers` (what owns weights); this
module holds what they share: which tensor carries which labels, and what has been learned about the layers.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Callable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.weak import WeakTensorKeyDictionary

from ..labels.aliases import Aliases, in_place, overwritten
from ..labels.asking import Asked
from ..labels.labels import FIXED, Labels, core, varying
from ..labels.planes import Planes
from ..labels.reason import Reason
from ..labels.rescaling import Factors, Key, Rescaled
from ..labels.tracked import Attention, Call, Cut, Mark, Plane, Tracked, UnknownOperatorError, Visit, layers_of, tensors
from .dispatch import Mode
from .hearing import has_code, numbers, operator_name, unheard
from .outputs import laid_out

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from ..labels.sizes import ModuleAttr
    from ..labels.tracked import Operator, Value

Rule = Callable[["Trace", "Call"], "list[Tensor | None]"]


def unknown(trace: Trace, call: Call) -> list[Tensor | None]:
    """Stand in for the rule of an operator that has none."""
    raise UnknownOperatorError(trace.where, call.name)


def known(trace: Trace, tensor: object) -> Tensor:
    """Return the labels of a tensor that must have some."""
    labels = trace.labels_of(tensor)
    if labels is None:
        raise UnknownOperatorError
    return labels


class Trace(Mode):
    """Follows labels; the rules map an operator's name to what it does to them, with a layer's weight or without."""

    def __init__(
        self, model: nn.Module, rules: dict[str, Rule], layer_rules: dict[str, Rule], *, named: bool = True
    ) -> None:
        super().__init__()
        self.labels = Labels()
        self.rules, self.layer_rules = rules, layer_rules
        self.tracked: MutableMapping[Tensor, Tracked] = WeakTensorKeyDictionary()
        # A Linear's weight, turned -> its name.
        self.transposed: MutableMapping[Tensor, str] = WeakTensorKeyDictionary()
        self.layers = layers_of(model)
        self.owner: dict[int, str] = {}
        self.outputs: dict[str, Tensor] = {}  # layer -> labels of its output channels
        self.inputs: dict[str, Tensor] = {}  # convolution or Linear -> labels of its input channels
        self.tainted: dict[str, Reason] = {}  # layer -> why its weights must stay as they are
        self.planes = Planes(self, model)
        self.vectors: dict[str, dict[int, Tensor]] = {}  # parameter or buffer of no layer -> dimension -> labels
        self.zeros: MutableMapping[Tensor, bool] = WeakTensorKeyDictionary()  # a number in a tensor -> is it zero?
        self.unfolded: defaultdict[str, list[int]] = defaultdict(list)  # module -> channels that its own code mixes
        self.counts: dict[ModuleAttr, Tensor] = {}  # what counts channels -> their labels
        self.cuts: dict[object, Cut] = {}  # the source of the size, or any other key -> cut
        self.raw: list[Tracked] = []  # every layer's output, to learn who reads it
        self.stack: list[tuple[str, nn.Module]] = [("", model)]
        self.attention = Attention()
        self.rescaled: dict[Key, Rescaled] = {}
        self.factors = Factors(self)
        self.code: list[tuple[str, Counter[str]]] = [("", Counter())]  # modules with code, and operators with numbers
        self.visits: defaultdict[str, list[Visit]] = defaultdict(list)  # module -> its calls
        self.visiting: list[Visit] = []
        self.cores: dict[int, Plane] = {}  # labels of a tensor by id -> themselves, so that their id stays theirs
        self.entering: defaultdict[str, list[Tensor]] = defaultdict(list)  # module -> labels of its arguments
        self.left: list[tuple[list[Tensor], Reason]] = []  # labels of what has gone where no operator is heard
        self.caller = ""
        self.asked = Asked()
        self.named = named  # whether sizes say what they count
        self.aliases = Aliases()
        self.rows: set[tuple[int, ...]] = set()  # labels along a dimension that may get shorter
        for name, layer in self.layers.items():
            for tensor in (layer.weight, layer.running_mean if isinstance(layer, _BatchNorm) else None):
                if isinstance(tensor, Tensor):
                    first = self.owner.setdefault(id(tensor), name)
                    if first != name:
                        self.tainted[first] = self.tainted[name] = Reason(f"weight shared by {first} and {name}")

    def meet(self, func: Operator, args: tuple[Value, ...], kwargs: dict[str, Value]) -> Value:
        """Run the operator, then say what it did to the labels."""
        result = func(*args, **kwargs)
        written = [args[place] for place in in_place(func)]
        before = list(map(self.labels_of, written))
        for tensor in tensors(result):
            self.aliases.note(tensor)
        name, inputs = operator_name(func), tensors((*args, *kwargs.values()))
        self.attention.multiplied[self.stack[-1][0]] += name == "bmm"
        if name == "scalar_tensor":
            self.zeros[result] = args[0] == 0
        call = Call(name, func, args, kwargs, tensors(result), self.where)
        if name not in SHAPE_ONLY and any(map(self._is_known, inputs)):
            self._follow(call, inputs)
            for tensor, labels in zip(written, before):
                self._spread(tensor, labels)
        self._follow_factors(call, inputs)
        return result

    def _follow_factors(self, call: Call, inputs: list[Tensor]) -> None:
        key = None
        if numbers(call.func, call.args, call.kwargs):
            module, times = self.code[-1]
            times[call.name] += 1
            key = Key(module, call.name, times[call.name])
        self.factors.follow(call, inputs, self._layer_at_work(call, inputs), key)

    def _is_known(self, tensor: Tensor) -> bool:
        return tensor in self.tracked or self.planes.know(tensor) or bool(self.layer_of(tensor))

    def _spread(self, written: Tensor, before: Tensor | None) -> None:
        """Let what an operator wrote in place be known of all that shares the memory."""
        new = self.labels_of(written)
        if new is None or new is before or (before is not None and torch.equal(new, before)):
            return
        sharing, base = self.aliases.others(written), written._base  # noqa: SLF001 - the tensor that it is a view of
        if base is not None and id(base) not in map(id, sharing):
            sharing.append(base)
        for other in sharing:
            labels = overwritten(other, self.labels_of(other), written, new)
            if labels is not None:
                self.tracked[other] = Tracked(labels, "")

    def _follow(self, call: Call, inputs: list[Tensor]) -> None:
        # Sources first: an in-place operator replaces what is known of its own input.
        sources = [self.tracked[t] for t in inputs if t in self.tracked]
        layer = self._layer_at_work(call, inputs)
        for source in sources:
            source.readers.append(layer)
        if not layer:
            self.planes.meet(inputs)
            if call.name not in WHOLE_RULES and any(t in self.planes for t in inputs):
                self.planes.follow(call, inputs)
                return
        rule = (self.layer_rules if layer else self.rules).get(call.name, unknown)
        labels = self.apply(call, rule)
        if labels is None:
            self._give_up(call, inputs)
        for output, label in zip(call.outputs, labels or []):
            if label is not None:
                self.tracked[output] = known = Tracked(label, layer)
                if layer:
                    self.raw.append(known)

    def _layer_at_work(self, call: Call, inputs: list[Tensor]) -> str:
        """Return the layer whose weight an operator uses as layers do, or ""."""
        if call.name not in self.layer_rules:
            return ""
        for tensor in inputs:
            layer = self.layer_of(tensor)
            if layer:
                computed = call.name in TURNS and not isinstance(self.layers.get(layer), nn.Linear)
                return "" if computed else layer
        return ""

    def apply(self, call: Call, rule: Rule | None = None) -> list[Tensor | None] | None:
        """Return what the rule of an operator says, or None where it cannot follow, as with a shape it knows not."""
        try:
            return (rule or self.rules.get(call.name, unknown))(self, call)
        except (UnknownOperatorError, LookupError, RuntimeError, TypeError, ValueError):
            return None

    def _give_up(self, call: Call, inputs: list[Tensor]) -> None:
        for tensor in inputs:
            for plane in self.planes.of(tensor):
                self.labels.freeze(plane, call.reason)
            layer = self.layer_of(tensor)
            if layer:
                self.tainted.setdefault(layer, call.reason)
        for tensor in call.outputs:
            self.planes.put(tensor, [])

    def note(self, tensor: Tensor, labels: Tensor) -> None:
        """Remember the labels of a tensor that no layer made."""
        self.tracked[tensor] = Tracked(labels, "")

    def forget(self, tensor: Tensor) -> Tracked | None:
        """Forget what is known of a tensor, and return it."""
        return self.tracked.pop(tensor, None)

    def own_labels(self, name: str, width: int) -> Tensor:
        """Return the labels of a layer's output channels, the same at every call."""
        if name not in self.outputs:
            self.outputs[name] = self.labels.new(width)
        return self.outputs[name]

    def enter(self, name: str, module: nn.Module, arguments: object) -> None:
        """Note that a module runs, and what enters it."""
        if not name:
            self.attention.multiplied.clear()
        self.stack.append((name, module))
        self.code.append((name, Counter()) if has_code(name, module) else self.code[-1])
        self.visiting.append(Visit(self._marks(arguments)))
        self.visits[name].append(self.visiting[-1])
        for tensor in tensors(arguments):
            self.entering[name] += self.planes.of(tensor)

    def leave(self, module: nn.Module, result: object) -> None:
        """Note what leaves a module; those still running in it have failed, and its code has caught that."""
        found = None
        while found is not module:
            name, found = self.stack.pop()
            self.code.pop()
            visit = self.visiting.pop()
        visit.leaving += self._marks(result if name else laid_out(result))

    def visited(self) -> dict[str, int]:
        """Return how often each module was called so far."""
        return {name: len(visits) for name, visits in self.visits.items()}

    def unvisit(self, visited: dict[str, int]) -> None:
        """Take back the calls since then, for a pass that is not run again."""
        for name, visits in self.visits.items():
            del visits[visited.get(name, 0) :]

    def abandon(self) -> None:
        """Forget the modules that were running: their code has failed."""
        del self.stack[1:], self.code[1:], self.visiting[:]

    def _marks(self, value: object) -> list[Mark]:
        with unheard():
            return list(map(self._mark, tensors(value)))

    def _mark(self, tensor: Tensor) -> Mark:
        planes = [self.cores.setdefault(id(labels), Plane(labels)) for labels in self.planes.of(tensor)]
        return Mark(planes, self.factors.of(tensor))

    @property
    def where(self) -> str:
        """Name of the innermost module that is running."""
        return self.stack[-1][0] or "the model"

    def layer_of(self, tensor: Tensor) -> str:
        """Return the name of the layer whose weight (or a Linear's transposed weight) this is, or ""."""
        return self.owner.get(id(tensor)) or self.transposed.get(tensor) or ""

    def labels_of(self, tensor: object) -> Tensor | None:
        """Return a tensor's labels, in its own shape, or None if it carries none."""
        known = self.tracked.get(tensor) if isinstance(tensor, Tensor) else None
        return None if known is None else known.labels

    def vector(self, tensor: Tensor, dim: int) -> Tensor:
        """Return the labels along one dimension, shape (size,); where they differ along others, rows are tied."""
        size = tensor.shape[dim]
        if tensor in self.planes:
            found = self.planes.along(tensor, dim, Reason.at(self.caller, self.where))
            return torch.full((size,), FIXED) if found is None else found
        labels = self.labels_of(tensor)
        if labels is None:
            return torch.full((size,), FIXED)
        dim %= tensor.ndim
        if varying(labels) not in ([], [dim]):
            return self._tied(labels, dim)
        return core(labels).flatten().expand(size)

    def _tied(self, labels: Tensor, dim: int) -> Tensor:
        """Tie rows that lie beside each other one to one, as what is done to all of them alike demands."""
        if dim not in varying(labels):
            raise UnknownOperatorError
        rows = core(labels).movedim(dim, -1).reshape(-1, labels.shape[dim])
        self.labels.unite(rows[:1].expand_as(rows), rows, Reason.at(self.caller, self.where))
        return torch.where((rows > FIXED).all(0), rows[0].abs(), -rows[0].abs())

    def shorten(self, rows: list[Tensor]) -> None:
        """Remember that there may be fewer along rows of labels, where a tensor has others along other dimensions."""
        for row in rows:
            self.rows.add(tuple(row.abs().tolist()))

    def cut(self, key: object, reason: Reason, parts: list[Tensor]) -> None:
        """Demand that these parts, and any others cut under the same key, keep equally many channels."""
        cut = self.cuts.setdefault(key, Cut(reason))
        for part in parts:
            cut.add(part.abs().tolist())


TURNS = {"t", "transpose", "permute"}  # what a Linear does to its weight before it is used
# The rules of these look at several planes of a tensor themselves.
WHOLE_RULES = {
    *("convolution", "deform_conv2d", "mm", "mv", "addmm", "baddbmm", "bmm", "native_batch_norm"),
    *("cudnn_batch_norm", "miopen_batch_norm", "_native_batch_norm_legit", "native_group_norm", "native_layer_norm"),
}
# These read a tensor's shape or type, never its values.
SHAPE_ONLY = {
    *("new_zeros", "new_ones", "new_empty", "new_full", "new_empty_strided"),
}
