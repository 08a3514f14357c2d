"""A trial: does the model's code run when every bundle of channels lacks one?

Labels cannot tell that code counts on a width, as attention does that gives its output the shape of its input, or a
`view` with the width in an attribute. So a copy is sliced and run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .copying import FAILURES
from .counting import bundles
from .passes import run_pass
from .shadow import shadow, undisturbed, watched
from .slicing import slice_model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

    from .channels import Channels
    from .passes import Pass


def failing_modules(
    model: nn.Module, channels: Channels, shown: Tensor, viewed: set[int], ways: Sequence[Pass]
) -> list[str]:
    """Name the modules, innermost first, in which a copy of the model fails that lacks a channel of every bundle.

    Args:
        model: The model; it is only copied.
        channels: Its channels as known so far.
        shown: An image on which the whole model runs.
        viewed: Groups to drop another number of, since code has given them another shape, perhaps that of something
            that would lose as many by chance.
        ways: The ways to run it. One that fails at full width as well must come as far.
    """
    twin = shadow(model)
    slice_model(twin, channels, _one_of_each(channels, viewed))
    for way in ways:
        stack: list[str] = []
        entered: list[str] = []

        def enter(name: str, *_: object, stack: list[str] = stack, entered: list[str] = entered) -> None:
            stack.append(name)
            entered.append(name)

        with watched(twin, enter, stack.pop), undisturbed(twin):
            try:
                run_pass(twin, way, shown)
            except FAILURES:
                if way.calls is None or len(entered) < way.calls:
                    return stack[::-1]
    return []


def _one_of_each(channels: Channels, viewed: set[int]) -> set[int]:
    """Return a group of each bundle, or three, where all the bundles that stay even can spare them."""
    counts = bundles(channels).values()
    spare = {count.bundle: [g for g in count.groups if g not in channels.frozen] for count in counts}
    room = {id(count.even): count.even.size - 1 for count in counts}
    for count in counts:
        room[id(count.even)] = min(room[id(count.even)], len(spare[count.bundle]))
    more = {id(count.even) for count in counts if not viewed.isdisjoint(count.groups)}
    drop = {even: min(most, 3 if even in more else 1) for even, most in room.items()}
    return {group for count in counts for group in spare[count.bundle][: drop[id(count.even)]]}
