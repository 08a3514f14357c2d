"""Ctrl-C, and its like, at a moment at which nothing may be left half done."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from slimfork.git.repo import Repository

ENDING_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


@contextmanager
def uninterrupted(repository: Repository) -> Iterator[None]:
    """Let Ctrl-C wait for the end of the block, for this process and for git below it; a closed terminal, too."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    seen: list[int] = []

    def later(number: int, frame: FrameType | None) -> None:
        del frame
        seen.append(number)

    before = {number: signal.signal(number, later) for number in ENDING_SIGNALS}
    repository.own_session = True
    try:
        yield
    finally:
        repository.own_session = False
        for number, handler in before.items():
            signal.signal(number, handler)
    if seen:
        raise KeyboardInterrupt
