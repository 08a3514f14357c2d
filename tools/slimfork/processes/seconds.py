"""A time limit that a person types."""

from __future__ import annotations

from typing import Any

import click

MOST_SECONDS = 1e8  # seconds; three years


class Seconds(click.FloatRange):
    """A number of seconds, more than none: `nan` and `inf` are numbers to Python, and no time to any clock."""

    name = "seconds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number, or refuse what is none."""
        try:
            seconds = float(value)
        except ValueError:
            seconds = 0.0
        if not 0 < seconds <= MOST_SECONDS:
            self.fail(f"{value!r} is no number of seconds", param, ctx)
        return seconds


SECONDS = Seconds()
