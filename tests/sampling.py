"""Which of many cases are tried by default: a few of every kind. The others are tried with `-m slow`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable


def sampled(cases: Iterable[Any], by_default: Collection[Any]) -> list[Any]:
    """Return cases as parameters, those that are not among the sample marked slow; a tuple is several values.

    Raises:
        ValueError: The sample names what is no case.
    """
    every = list(cases)
    if unknown := [case for case in by_default if case not in every]:
        raise ValueError(f"no such cases: {unknown}")
    return [
        pytest.param(
            *(case if isinstance(case, tuple) else (case,)), marks=() if case in by_default else pytest.mark.slow
        )
        for case in every
    ]
