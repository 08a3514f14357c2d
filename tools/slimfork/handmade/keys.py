"""Keys that somebody added to a settings file by hand for the strength of a penalty. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slimfork.handmade.handmade import Change, HandEdit, shaped, split, stripped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slimfork.handmade.handmade import Files


@dataclass(frozen=True, slots=True, kw_only=True)
class HandmadeKey:
    """A top-level key of YAML files; our own line with it is none of a person's.

    Attributes:
        files: Shapes of the paths.
        key: The key.
        own: The lines that the patch adds.
        section: Where a write-up has it.
    """

    files: tuple[str, ...]
    key: str
    own: tuple[str, ...]
    section: str

    def find(self, patch: str, files: Files, pristine: Files | None) -> Iterator[HandEdit]:
        """Find the lines that hold the key."""
        shape = re.compile(rb"(\xef\xbb\xbf)?[\"']?%b[\"']?\s*:" % re.escape(self.key.encode()))
        for path in shaped(files, self.files):
            known = stripped((pristine or {}).get(path, b"")).union(map(str.encode, self.own))
            for at, line in enumerate(split(files[path])):
                if shape.match(line) and line.strip() not in known:
                    value = line.partition(b":")[2].partition(b"#")[0].strip()
                    what = f"the key `{self.key}` of a sparsity penalty ({self.section})"
                    why = "" if re.fullmatch(rb"[-+.\deE]+", value) else "its value is no number on its line"
                    changes = () if why else (Change(start=at, end=at + 1),)
                    yield HandEdit(patch=patch, path=path, line=at + 1, what=what, changes=changes, refusal=why)


def members(patch: str, path: str, content: bytes, key: str, section: str) -> Iterator[HandEdit]:
    """Yield where a key was added to a constant that lists the keys of a kind, such as CFG_FLOAT_KEYS."""
    element = re.compile(
        rb"[\"']%b[\"'][ \t]*,[ \t]*|,[ \t]*[\"']%b[\"'](?=[ \t]*[\])}])" % ((re.escape(key.encode()),) * 2)
    )
    for at, line in enumerate(split(content)):
        if element.search(line) and b"[" not in line.split(b"=")[0] and not line.lstrip().startswith(b"#"):
            rest = element.sub(b"", line)
            change = Change(start=at, end=at + 1, lines=(rest,) if rest.strip() else ())
            what = f"the key `{key}` of a sparsity penalty ({section})"
            yield HandEdit(patch=patch, path=path, line=at + 1, what=what, changes=(change,))
