"""What a trainer of ultralytics calls at its events."""

from __future__ import annotations

from typing import Callable, TypeVar

Trainer = TypeVar("Trainer")


def listen(
    callbacks: dict[str, list[Callable[[Trainer], None]]], event: str, listener: Callable[[Trainer], None]
) -> None:
    """Have a trainer call a listener at one of its events, once however often this is asked for.

    Args:
        callbacks: Event -> what this trainer calls then; the list is replaced, since early releases share theirs among
            all trainers.
        event: When to call it.
        listener: What is called with the trainer.
    """
    listeners = callbacks.get(event, [])
    if listener not in listeners:
        callbacks[event] = [*listeners, listener]
