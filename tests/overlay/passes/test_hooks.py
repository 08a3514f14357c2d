"""Hooks of the user's: what they change is followed, what only looks on costs nothing, and none of them is called.

Also of: `slim.passes.copying`.
"""

from __future__ import annotations

import copy
from collections import defaultdict, deque
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn

from slim.analysis.channels import analyse
from slim.passes.hook_code import only_looks
from slim.pruning.apply import apply_plan, mask_plan
from slim.pruning.plan import make_plan
from tests.overlay import small
from tests.overlay.networks import assert_same, differ, photo, randomise, run

if TYPE_CHECKING:
    from collections.abc import Callable

SEEN: dict[str, Any] = {}
COUNTS: defaultdict[str, int] = defaultdict(int)
ROWS: list[Any] = []
KINDS: set[Any] = set()


def network() -> small.Residual:
    torch.manual_seed(0)
    return randomise(small.Residual())  # type: ignore[return-value]


def assert_pruned_is_masked(model: Any) -> None:
    channels = analyse(model)
    plan = make_plan(model, channels, ratio=0.3)
    pruned, masked = copy.deepcopy(model), copy.deepcopy(model)
    apply_plan(pruned, plan, channels, fold=False)
    mask_plan(masked, plan, channels)
    assert_same(run(pruned, photo(32)), run(masked, photo(32)))
    assert differ(run(model, photo(32)), run(masked, photo(32)))


class Adder:
    def __init__(self, amount: float) -> None:
        self.amount = amount
        self.calls = 0

    def __call__(self, _: nn.Module, __: Any, output: Tensor) -> Tensor:
        self.calls += 1
        return self.shifted(output)

    def shifted(self, output: Tensor) -> Tensor:
        return output + self.amount

    def method(self, _: nn.Module, __: Any, output: Tensor) -> Tensor:
        return output + self.amount


def in_place(_: nn.Module, __: Any, output: Tensor) -> None:
    output.add_(0.5)


def written(_: nn.Module, __: Any, output: Tensor) -> None:
    output[:, 0] = 1.5


def deep(_: nn.Module, __: Any, output: Tensor) -> None:
    helper(output)


def helper(output: Tensor) -> None:
    output.mul_(2).sub_(1)


def maybe(_: nn.Module, __: Any, output: Tensor) -> Any:
    if output.shape[1] > 1000:
        return None
    return output.flip(1)


def amounts(amount: float, _: nn.Module, __: Any, output: Tensor) -> Tensor:
    return output + amount


CHANGING: dict[str, Callable[[Any], Any]] = {
    "lambda": lambda m: m.first.register_forward_hook(lambda *got: got[-1] + 0.5),
    "activation": lambda m: m.first[0].register_forward_hook(lambda _, __, output: output.sigmoid()),
    "object": lambda m: m.first.register_forward_hook(Adder(0.5)),
    "method": lambda m: m.second.register_forward_hook(Adder(0.25).method),
    "partial": lambda m: m.second.register_forward_hook(partial(amounts, 0.75)),
    "in place": lambda m: m.first.register_forward_hook(in_place),
    "written": lambda m: m.first.register_forward_hook(written),
    "deep": lambda m: m.stem.register_forward_hook(deep),
    "flips": lambda m: m.first.register_forward_hook(maybe),
    "input": lambda m: m.first.register_forward_pre_hook(lambda _, args: (args[0] + 1,)),
    "input of a layer": lambda m: m.second[0].register_forward_pre_hook(lambda _, args: args[0].flip(1)),
    "words": lambda m: m.first.register_forward_hook(lambda _, __, ___, output: output - 0.5, with_kwargs=True),
    "input and words": lambda m: m.second.register_forward_pre_hook(
        lambda _, args, kwargs: ((args[0].exp(),), kwargs), with_kwargs=True
    ),
    "always": lambda m: m.second.register_forward_hook(lambda *got: got[-1].cumsum(1), always_call=True),
    "in training and not": lambda m: m.first.register_forward_hook(lambda m, _, out: out if m.training else out + 1),
    "another's": lambda m: m.first.register_forward_hook(lambda _, __, output: output * m.stem[1].weight.sum()),
}


@pytest.mark.parametrize("kind", list(CHANGING))
def test_what_a_hook_changes_is_followed(kind: str) -> None:
    model = network()
    plain = run(model, photo(32))
    CHANGING[kind](model)
    assert differ(plain, run(model, photo(32)))
    assert_pruned_is_masked(model)


def test_an_object_that_changes_values_counts_no_calls() -> None:
    model, adder = network(), Adder(0.5)
    model.first.register_forward_hook(adder)
    analyse(model)
    assert adder.calls == 0


class Keeper:
    """As upstream's distillation keeps features."""

    def __init__(self, kept: dict[int, Any], index: int) -> None:
        self.kept, self.index = kept, index

    def __call__(self, _: nn.Module, __: Any, output: Any) -> None:
        self.kept[self.index] = output


def counts(module: nn.Module, *_: Any) -> None:
    COUNTS[type(module).__name__] += 1


def remembers(module: nn.Module, _: Any, output: Any) -> None:
    SEEN["latest"] = output
    ROWS.append(output.shape)
    module.shape_seen = tuple(output.shape)  # type: ignore[assignment]


def speaks(_: nn.Module, __: Any, output: Any) -> None:
    print(output.shape)  # noqa: T201


KEPT: dict[int, Any] = {}
LATEST: deque[Any] = deque(maxlen=2)
LOOKING: dict[str, Any] = {
    "append": lambda *_: ROWS.append("called"),
    "mean": lambda _, __, output: ROWS.append(output.mean()),
    "update": lambda _, __, output: SEEN.update(latest=output.detach()),
    "deque": lambda _, __, output: LATEST.append(output),
    "key": lambda _, __, output: SEEN.__setitem__("latest", output),
    "kinds": lambda _, __, output: KINDS.update((output.dtype, output.device, output.shape)),
    "count": counts,
    "remembers": remembers,
    "speaks": speaks,
    "print": lambda _, __, output: print(output.shape),  # noqa: T201
    "keeper": Keeper(KEPT, 1),
}


def traces() -> tuple[Any, ...]:
    """Return all that hooks have left so far."""
    return (
        dict(COUNTS),
        list(SEEN),
        len(ROWS),
        set(KINDS),
        list(KEPT),
        len(LATEST),
        {id(v) for v in (*SEEN.values(), *LATEST)},
    )


@pytest.mark.parametrize("kind", list(LOOKING))
def test_a_hook_that_looks_on_costs_nothing_and_is_not_called(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    model = network().train()
    expected = analyse(network())
    for module in (model.stem, model.first, model.second[1]):
        module.register_forward_hook(LOOKING[kind])
    model(photo(32))
    left = traces()
    capsys.readouterr()
    vars(model.stem).pop("shape_seen", None)
    assert analyse(model) == expected
    assert capsys.readouterr().out == ""
    assert left == traces()
    assert "shape_seen" not in vars(model.stem)


class OnlyOne:
    def __init__(self) -> None:
        self.file = Path(__file__).open(encoding="utf-8")  # noqa: SIM115

    def __call__(self, _: nn.Module, __: Any, output: Tensor) -> Any:
        return self.file.readline() and output + 0.5


def test_a_hook_that_cannot_be_copied_freezes_what_it_touches_by_name() -> None:
    model, hook = network(), OnlyOne()
    model.first.register_forward_hook(hook)
    channels = analyse(model)
    assert channels.reasons() == {"stem.1": "hook in first", "first.1": "hook in first", "second.1": "hook in first"}
    assert hook.file.tell() == 0
    hook.file.close()


@pytest.mark.parametrize(
    ("hook", "looks"),
    [
        (counts, False),  # it writes into something, and is tried on a copy
        (speaks, True),
        (in_place, False),
        (written, False),
        (deep, False),
        (maybe, False),
        (partial(speaks), True),
        (lambda *_: None, True),
        (lambda *_: ROWS or None, False),
        (lambda *_: None if ROWS else ROWS, False),
        (Adder(1.0), False),
        (Adder(1.0).method, False),
        (print, False),
    ],
)
def test_code_that_gives_back_none_and_writes_nothing_only_looks(hook: Any, looks: bool) -> None:
    assert only_looks(hook) is looks
