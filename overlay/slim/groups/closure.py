"""What follows from a finished trace: missing scores, frozen siblings, parts that counting cannot keep even."""

from __future__ import annotations

from collections import defaultdict
from itertools import chain
from typing import TYPE_CHECKING

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from ..labels.labels import FIXED, core
from ..labels.reason import Reason
from .layer_groups import layer_group_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..labels.tracked import Cut
    from ..passes.trace import Trace
    from .layer_groups import LayerGroup


def settle(trace: Trace) -> None:
    """Freeze and unite until nothing more follows."""
    for name, reason in trace.tainted.items():
        for labels in (trace.outputs.get(name), trace.inputs.get(name)):
            if labels is not None:
                trace.labels.freeze(labels, reason)
    _freeze_unscored(trace)
    trace.cuts = {key: cut for key, cut in trace.cuts.items() if not _stays(trace, cut)}
    while _settle_cuts(trace):
        pass


def _freeze_unscored(trace: Trace) -> None:
    """Freeze what no BatchNorm gives a scale."""
    outputs = _output_roots(trace)
    scored: set[int] = set()
    for name, roots in outputs.items():
        if isinstance(trace.layers[name], _BatchNorm):
            scored.update(roots)
    for name, roots in outputs.items():
        trace.labels.freeze(_without(roots, scored), Reason.after(name), plainer=True)
    for name, rows in trace.vectors.items():
        for labels in rows.values():
            roots = trace.labels.find_all(labels.numpy())
            trace.labels.freeze(_without(roots, scored), Reason.after(name))


def _output_roots(trace: Trace) -> dict[str, list[int]]:
    """Return for each layer the representatives of the labels of its output channels."""
    return {name: trace.labels.find_all(labels.numpy()) for name, labels in trace.outputs.items()}


def _without(roots: Iterable[int], scored: set[int]) -> torch.Tensor:
    """Return the labels that have no scale."""
    return torch.tensor([root for root in roots if root not in scored], dtype=torch.long)


def _stays(trace: Trace, cut: Cut) -> bool:
    """Whether nothing of a cut can go, so that it demands nothing."""
    return len(_whole_parts(trace, cut)) == len(cut.parts)


def _whole_parts(trace: Trace, cut: Cut) -> list[list[int]]:
    """Return the parts of a cut that can lose nothing."""
    whole = []
    for part in cut.parts:
        if all(map(trace.labels.reason, part)):
            whole.append(part)
    return whole


def _freeze_siblings(trace: Trace, cut: Cut) -> bool:
    """A part that can lose nothing keeps the parts beside it whole; return whether that was news."""
    whole = _whole_parts(trace, cut)
    if len(whole) in {0, len(cut.parts)}:
        return False
    first = trace.labels.reason(whole[0][0])
    reason = cut.reason.beside(first) if first else cut.reason
    for part in cut.parts:
        trace.labels.freeze(torch.tensor(part), reason)
    return True


def _settle_cuts(trace: Trace) -> bool:
    """Look at every cut once; return whether anything changed."""
    rows = [list(map(trace.labels.find_all, cut.parts)) for cut in trace.cuts.values()]
    layer_groups = layer_group_of(_output_roots(trace), rows)
    changed = False
    for cut, parts in zip(trace.cuts.values(), rows):
        if _freeze_siblings(trace, cut):
            changed = True
        elif _tie(trace, cut, parts, layer_groups):
            return True  # the layer groups are others now
    return changed


def _tie(trace: Trace, cut: Cut, parts: list[list[int]], layer_groups: dict[int, LayerGroup]) -> bool:
    """Tie parts one to one unless each is one layer group, which can be counted; return whether that was news."""
    if cut.tied or len(cut.parts) == 1:
        return False
    mixed = _uncountable(parts, layer_groups)
    if mixed is None:
        return False
    size = _block(mixed, parts, layer_groups)
    if size:  # parts of parts, such as what attention gives the shape of its heads, can be counted as well
        cut.refine(len(cut.parts[0]) // size)
        return True
    for part in cut.parts[1:]:
        trace.labels.unite(torch.tensor(cut.parts[0]), torch.tensor(part), cut.reason)
    cut.tied = True
    return True


def _uncountable(parts: Iterable[list[int]], layer_groups: dict[int, LayerGroup]) -> list[int] | None:
    """Return the first part that is not one layer group, or None."""
    for part in parts:
        if not _countable(part, layer_groups):
            return part
    return None


def _countable(part: list[int], layer_groups: dict[int, LayerGroup]) -> bool:
    return FIXED not in part and len(set(part)) == len(part) and len({layer_groups[root] for root in part}) == 1


def _block(mixed: list[int], parts: list[list[int]], layer_groups: dict[int, LayerGroup]) -> int:
    """Return the size of equal blocks of all parts that can be counted, or 0, given the first part that cannot."""
    size = _run(mixed, layer_groups)
    if not size or len(mixed) % size:
        return 0
    blocks = [part[i : i + size] for part in parts for i in range(0, len(part), size)]
    return size if _uncountable(blocks, layer_groups) is None else 0


def _run(part: list[int], layer_groups: dict[int, LayerGroup]) -> int:
    """Return how many labels of one layer group a part begins with, or 0 where all are of one."""
    for index, root in enumerate(part):
        if layer_groups.get(root) != layer_groups.get(part[0]):
            return index
    return 0


def link_width(trace: Trace, module: str) -> bool:
    """Demand that what enters a module keeps as many channels as what the module views in the same shape.

    Attention gives its output the shape of its input, so that every head must keep its share of the input's width.

    Returns:
        Whether there is anything of that width.
    """
    found = False
    for rows in trace.attention.shaped[module]:
        width, size = len(rows) * len(rows[0]), len(rows[0])
        for labels in trace.entering[module]:
            entering = core(labels).flatten()
            viewed = list(chain.from_iterable(rows))
            same = trace.labels.find_all(entering.tolist()) == trace.labels.find_all(viewed)
            if len(entering) == width and not same:
                parts = [*torch.split(entering, size), *map(torch.tensor, rows)]
                trace.cut((f"width of {module}", ""), Reason.at("view", module), parts)
                found = True
    return found


def follower_of(trace: Trace) -> dict[str, str]:
    """Return for a convolution or Linear the BatchNorm that reads its output, if nothing else does."""
    readers: defaultdict[str, set[str]] = defaultdict(set)
    sources: defaultdict[str, set[str]] = defaultdict(set)
    for known in trace.raw:
        alone = len(known.readers) == 1
        readers[known.made_by].add(known.readers[0] if alone else "")
        for reader in known.readers:
            sources[reader].add(known.made_by)
    followers: dict[str, str] = {}
    for name, (reader, *others) in readers.items():
        if not others and isinstance(trace.layers.get(reader), _BatchNorm) and sources[reader] == {name}:
            followers[name] = reader
    return followers
