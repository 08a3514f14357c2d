"""Where a key of a YAML file is, and where its value ends, by the parser's own marks. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCK_SCALARS = ("|", ">")
LINE_END = re.compile("\r\n|[\r\n]|$")
STARTS = (yaml.MappingStartEvent, yaml.SequenceStartEvent)
ENDS = (yaml.MappingEndEvent, yaml.SequenceEndEvent)


class YamlError(ValueError):
    """What is wrong with a YAML file, in one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A key of the outermost mapping.

    Attributes:
        key: The key as it is read.
        column: How far it is indented, in characters.
        end: Where its value ends, in characters from the start.
        whole_lines: Whether it ends where a line begins, as the text of a block does.
    """

    key: str
    column: int
    end: int
    whole_lines: bool


def decoded(content: bytes) -> str:
    """Return a file as text that becomes the same bytes again with `encoded`."""
    return content.decode("utf-8", "surrogateescape")


def encoded(text: str) -> bytes:
    """Return the bytes of a text."""
    return text.encode("utf-8", "surrogateescape")


def _readable(content: bytes) -> str:
    """Return a text of the same length that YAML reads: what is no UTF-8 is left out by upstream."""
    return re.sub("[\udc80-\udcff]", "\ufffd", decoded(content))


@lru_cache(maxsize=64)  # every edit asks several times
def loaded(content: bytes) -> dict[Any, Any]:
    """Return what a YAML file says; nothing where that is not a mapping.

    Raises:
        YamlError: It cannot be read, or holds several documents.
    """
    try:
        value = yaml.safe_load(_readable(content))
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise YamlError(f"it does not parse: {' '.join(str(error).split())}") from error
    return value if isinstance(value, dict) else {}


@lru_cache(maxsize=64)
def entries(content: bytes) -> tuple[Entry, ...]:
    """Return the keys of the outermost mapping, in order, each as often as it stands there.

    Raises:
        YamlError: It cannot be read, or its mapping is in braces, to which no line can be added.
    """
    if not loaded(content):
        return ()
    events: list[Any] = list(yaml.parse(_readable(content), yaml.SafeLoader))
    if events[2].flow_style:
        raise YamlError("its mapping is in braces, to which no line can be added")
    return tuple(_entries(events[3:]))


def _entries(events: list[Any]) -> Iterator[Entry]:
    """Yield the entries of a mapping from what the parser says behind its start."""
    depth, is_key = 0, True
    key: Any = None
    end: Any = None
    for event in events:
        if isinstance(event, yaml.MappingEndEvent) and depth == 0:
            return
        depth += isinstance(event, STARTS) - isinstance(event, ENDS)
        if is_key:
            key = event if key is None else key
        elif end is None or (not isinstance(event, STARTS) and event.start_mark.index < event.end_mark.index):
            end = event  # a block's own end is where the next one begins: the last of what is in it counts
        if depth:
            continue
        if not is_key and isinstance(key, yaml.ScalarEvent) and end is not None:
            whole, start = getattr(end, "style", None) in BLOCK_SCALARS, cast("yaml.Mark", key.start_mark)
            yield Entry(key=key.value, column=start.column, end=end.end_mark.index, whole_lines=whole)
        if not is_key:
            key = end = None
        is_key = not is_key


def insertion(text: str, entry: Entry) -> tuple[int, str]:
    """Return where new lines go behind an entry, and the line end before that place, empty at the end of the file."""
    if entry.whole_lines:
        start = max(text.rfind(end, 0, entry.end) + 1 for end in "\r\n")
        if start and not text[start : entry.end].strip(" "):
            return start, "\r\n" if text[:start].endswith("\r\n") else text[start - 1]
    match = LINE_END.search(text, entry.end)
    return (match.end(), match[0]) if match else (len(text), "")
