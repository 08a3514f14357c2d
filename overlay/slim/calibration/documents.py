"""Where a split of a data set lies, by upstream's own reading of its YAML; nothing that the YAML says is run."""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import filterfalse
from pathlib import Path
from typing import TYPE_CHECKING, Callable

from ..files.sealed import swapped
from ..writing.log import first_line
from .datasets import CalibrationError, takes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    Document = dict[str, object]  # a YAML that has keys

REMOTE = re.compile(r"[a-z0-9]{2,}:/", re.IGNORECASE)
LEFT_OUT = ("download", "test", "minival", "validation")
CLASSES: Document = {"names": {0: "thing"}, "nc": 1}  # of a YAML that says none, which calibration does without


@dataclass(frozen=True)
class Split:
    """A split of a data set.

    Attributes:
        content: The YAML as it says.
        resolved: What upstream makes of it, the split as its `train`.
        places: Its folders, list files and images, whole paths.
    """

    content: Document
    resolved: Document
    places: list[Path]

    def paths(self) -> list[str]:
        """Return its places as upstream takes them."""
        return list(map(str, self.places))


def split_of(source: Path, check: Callable[[str], Document], split: str, task: str) -> Split:
    """Find a split of a data set.

    Args:
        source: The data set, as the user named it.
        check: Upstream's function that reads a data set's YAML, by name, and resolves its paths.
        split: `train` or `val`.
        task: What the model is for, for what is said.

    Raises:
        CalibrationError: There is no such YAML, it does not say where, or nothing is there.
    """
    refuse_remote(source)
    seen: list[Document] = []
    try:
        with _first_document(seen, split):
            resolved = check(str(source))
    except Exception as error:  # upstream raises anything, SyntaxError among it
        fault = _fault(seen[0], split) if seen else ""
        if seen and not fault and isinstance(error, OSError):  # a name that no file system has
            raise CalibrationError(nothing_at(source, [_named(seen[0], split)], split, seen[0])) from error
        raise CalibrationError(f"{source}: {fault or _unread(source, error, bool(seen), task)}") from error
    fault = _fault(seen[0], split)
    if fault:
        raise CalibrationError(f"{source}: {fault}")
    places = [Path(str(entry)).absolute() for entry in _listed(resolved["train"])]
    missing = list(filterfalse(_exists, places))
    if missing:
        raise CalibrationError(nothing_at(source, missing, split, seen[0]))
    return Split(seen[0], resolved, places)


def refuse_remote(source: Path) -> None:
    """Refuse an address.

    Raises:
        CalibrationError: It is one.
    """
    if REMOTE.match(str(source)):
        raise CalibrationError(f"{source}: no data set YAML can be read there (an address): get the data set first")


def nothing_at(source: Path, places: Sequence[object], split: str, content: Document, *, what: str = "images") -> str:
    """Say where there are no images, of which split, and what is not done about it."""
    hint = "; its `download:` is not run: get the images first" if content.get("download") else ""
    return f"{source}: no {what} at {', '.join(map(str, places))} (`{split}:`){hint}"


def check_there(source: Path, split: Split, files: list[str]) -> None:
    """Refuse a split to validate on that lacks an image.

    Raises:
        CalibrationError: It does; names the first.
    """
    for file in files:
        if not Path(file).is_file():
            raise CalibrationError(nothing_at(source, [file], "val", split.content, what="image"))


def for_validation(source: Path, split: Split, train: Split, folder: Path) -> Path:
    """Write a data set's YAML for upstream: with the paths that it found itself, and without `download:`.

    Args:
        source: The user's YAML, or its name.
        split: Where its `val` lies.
        train: Where its `train` does.
        folder: Where to write the other YAML, under the same name.
    """
    import yaml  # noqa: PLC0415 - upstream requires it

    places: Document = {}
    for name, those in (("train", train), ("val", split)):
        lines = those.paths()
        places[name] = lines if len(lines) > 1 else lines[0]
    root = split.resolved.get("path")
    whole = {"path": str(Path(str(root)).absolute())} if root else {}
    written = folder / (source.stem + ".yaml")
    text = yaml.safe_dump({**_kept(split.content), **whole, **places})  # escaped: some read no UTF-8
    written.write_text(text, encoding="utf-8")
    return written


def _unread(source: Path, error: Exception, read: bool, task: str) -> str:
    """Say why upstream does not take a YAML."""
    if read:
        return f"upstream does not take it ({first_line(error)})"
    kind = "is a folder" if source.is_dir() else first_line(error)
    return f"no data set YAML can be read there ({kind}); this model takes {takes(task)}"


def _fault(content: Document, split: str) -> str:
    """Say what is missing in a YAML, or is no path."""
    if not content.get("train"):
        return "has no `train:` entry"
    named = _named(content, split)
    if not named:
        return f"has no `{split}:` entry"
    if all(isinstance(entry, str) for entry in _listed(named)) and isinstance(content.get("path"), (str, type(None))):
        return ""
    return f"`{split}:` and `path:` are to be paths, or `{split}:` a list of them"


def _named(content: Document, split: str) -> object:
    return content.get(split) or (content.get("validation") if split == "val" else None)  # as today's upstream has it


def _only(content: Document, split: str) -> Document:
    """Put a split where upstream resolves a path without asking what is there, and leave out what else it would do."""
    if _fault(content, split):
        return {"train": ".", "val": None, **CLASSES}  # refused afterwards: upstream may catch what is raised in it
    return {**_kept(content), **_classes(content), "train": _named(content, split), "val": None}


def _kept(content: Document) -> Document:
    """Return a YAML without what upstream would do beside it."""
    return {key: value for key, value in content.items() if key not in LEFT_OUT}


def _classes(content: Document) -> Document:
    """Return as many classes as a YAML says, by names for which upstream fetches no font and no list of names.

    Their number too: YOLOv5 before v6.2 asks for `nc`, which later YAMLs leave out.
    """
    names = content.get("names")
    if isinstance(names, (list, tuple)):
        plain: list[str] | dict[object, str] = list(map(str, range(len(names))))
    elif isinstance(names, dict):
        plain = {key: str(key) for key in names}
    else:
        return {} if {"names", "nc"} & set(content) else CLASSES
    return {"names": plain} if "nc" in content else {"names": plain, "nc": len(plain)}


def _listed(entries: object) -> list[object]:
    """Return the entries of a split, of which there may be one or a list."""
    return entries if isinstance(entries, list) else [entries]


def _exists(place: Path) -> bool:
    try:
        return place.exists()
    except (OSError, ValueError):  # a name that no file system has
        return False


@contextmanager
def _first_document(seen: list[Document], split: str) -> Iterator[None]:
    """Note the first YAML that is read meanwhile, and let its reader have but one split of it.

    It is `yaml.load` that every release calls, by itself or in `safe_load`.
    """
    import yaml  # noqa: PLC0415 - upstream requires it

    load: Callable[..., object] = yaml.load

    def read(*arguments: object, **options: object) -> object:
        value = load(*arguments, **options)
        if seen:
            return value
        seen.append(dict(value) if isinstance(value, dict) else {})
        return _only(seen[0], split)

    with swapped((yaml, "load", read)):
        yield
