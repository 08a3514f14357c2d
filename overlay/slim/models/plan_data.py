"""What stands in a plan's JSON: every key, its type and its bounds, checked in one place."""

from __future__ import annotations

import json
import math
from typing import Any, Callable, Final, TypedDict

FORMAT = 1
EARLIER: Final = "before"  # beside the keys of a plan where it rides in a checkpoint: the plans of earlier rounds
VALUE_SHOWN = 40  # characters of a value that are said


class PlanError(ValueError):
    """A plan that does not fit: the message names the layer and what to do."""


class PlanData(TypedDict, total=False):
    """A plan as plain data, as `Plan` explains it; in a checkpoint with the rounds before it."""

    before: list[PlanData]
    format: int
    keep: dict[str, list[int]]
    min_channels: int
    notes: list[str]
    ratio: float | None
    removed: dict[str, list[str]]
    round_to: int
    threshold: float
    widths: dict[str, int]


def read_json(text: str) -> Any:  # as `json` has it: what it holds is for `check_plan` to say
    """Read JSON; a key that is there twice is an error.

    Raises:
        PlanError: It is not JSON, or nothing that a plan is.
    """
    try:
        return json.loads(text, object_pairs_hook=_each_once)
    except PlanError:
        raise
    except RecursionError:
        raise PlanError("the plan is nested too deeply for one: make it again") from None
    except ValueError as error:  # JSONDecodeError, or a number of more digits than Python reads
        raise PlanError(f"the plan is not JSON: {error}") from error


def _each_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    entries = dict(pairs)
    if len(entries) < len(pairs):
        keys, _ = zip(*pairs)
        twice = next(key for key in keys if keys.count(key) > 1)
        raise PlanError(f"the plan has {_shown(twice)} twice: correct it, or make it again")
    return entries


def check_plan(data: object) -> None:
    """Refuse what is no plan, by key.

    Raises:
        PlanError: As it says.
    """
    if not isinstance(data, dict) or type(data.get("format")) is not int or data["format"] != FORMAT:
        raise PlanError(f"not a pruning plan of format {FORMAT}: make it again with this version")
    _check_keys(data)
    for key, (fits, wanted) in TYPES.items():
        if not fits(data[key]):
            raise PlanError(f"the plan's {key} is {_shown(data[key])}, not {wanted}: correct it, or make it again")
    for key, fits in ITEMS.items():
        if not isinstance(data[key], dict):
            raise PlanError(f"the plan's {key} is not by layer: make it again")
        for layer, value in data[key].items():
            if not fits(value):
                raise PlanError(f"the plan's {key} of {_bare(layer)} is {_shown(value)}: correct it, or make it again")


def _check_keys(data: dict[str, object]) -> None:
    missing = [key for key in TYPES if key not in data]
    if missing:
        raise PlanError(f"the plan lacks {', '.join(missing)}: make it again")
    for key in data:
        if key not in {*TYPES, "format", EARLIER}:
            raise PlanError(f"the plan has a key {_shown(key)} that no plan has: correct it, or make it again")


def _shown(value: object) -> str:
    """Write a value as JSON, in few characters."""
    try:
        text = json.dumps(value)
    except RecursionError:
        return "nested too deeply"
    return text if len(text) <= VALUE_SHOWN else f"{text[:VALUE_SHOWN]}..."


def _bare(name: str) -> str:
    return json.dumps(name)[1:-1][:200]


def _whole(value: object, least: int) -> bool:
    return type(value) is int and value >= least


def _number(value: object, below: float = math.inf) -> bool:
    try:
        return (type(value) is int or type(value) is float) and math.isfinite(value) and 0 <= value < below
    except OverflowError:  # an integer that no float is as large as
        return False


def _list_of(kind: type) -> Callable[[object], bool]:
    return lambda value: type(value) is list and all(type(item) is kind for item in value)


Fits = Callable[[object], bool]

# Of what type the values by layer are; which channels there are is for the model to say.
ITEMS: dict[str, Fits] = {"keep": _list_of(int), "widths": lambda value: _whole(value, 1), "removed": _list_of(str)}
TYPES: dict[str, tuple[Fits, str]] = {
    "keep": (lambda _: True, ""),
    "widths": (lambda _: True, ""),
    "removed": (lambda _: True, ""),
    "threshold": (_number, "a finite number of at least 0"),
    "ratio": (lambda value: value is None or _number(value, 1), "null or a share from 0 to below 1"),
    "round_to": (lambda value: _whole(value, 1), "a whole number of at least 1"),
    "min_channels": (lambda value: _whole(value, 1), "a whole number of at least 1"),
    "notes": (_list_of(str), "a list of strings"),
}
