"""Ctrl-C, and SIGTERM alike: one line and exit code 130, at any moment, with nothing half done under a final name."""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

INTERRUPTED = 130
SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """Let either signal raise KeyboardInterrupt here, and end what upstream has forked; a second one ends at once."""
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption  # signals are the main thread's
        return
    before = {}
    for number in SIGNALS:
        if signal.getsignal(number) not in {signal.SIG_IGN, None}:
            before[number] = signal.signal(number, interruption.heard)
    sys.unraisablehook = interruption.unraisable
    try:
        yield interruption
    finally:
        sys.unraisablehook = interruption.hook
        for number, handler in before.items():
            signal.signal(number, handler)


class Interruption:
    """Whether the user has pressed Ctrl-C; a library may have caught what that raised, or made something else of it."""

    def __init__(self) -> None:
        self.process, self.pressed = os.getpid(), False
        self.hook = sys.unraisablehook

    def heard(self, *_: object) -> None:
        """Answer a signal.

        Raises:
            KeyboardInterrupt: The first time.
        """
        if os.getpid() != self.process:  # a worker of a data loader has nothing to say
            os._exit(INTERRUPTED)
        if self.pressed:
            os.write(2, b"interrupted at once; what is left in hidden .part folders goes with the next run\n")
            os._exit(INTERRUPTED)
        self.pressed = True
        raise KeyboardInterrupt

    def unraisable(self, unraisable: sys.UnraisableHookArgs) -> None:
        """Keep silent about what cannot be raised because it is the interruption itself."""
        if not self.pressed:
            self.hook(unraisable)

    def check(self) -> None:
        """Raise what a library has caught.

        Raises:
            KeyboardInterrupt: The user has pressed it.
        """
        if self.pressed:
            raise KeyboardInterrupt
