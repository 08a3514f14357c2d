"""Pins: every published release of an upstream, with the hash of its artifact or the commit of its tag."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from slimfork.processes.parts import clear_parts, part_of
from slimfork.terminal import ui
from slimfork.terminal.content import patches_root
from slimfork.terminal.errors import UsageError
from slimfork.terminal.naming import UPSTREAMS, is_tag, spec_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

HEADER = """\
# Every published release of {0}: version, hash, bytes, date, requires-python, file, and why it was yanked.
# Written by `apply-patches pins refresh {0}`: review the diff, do not edit.
"""
LARGEST = 256 << 20  # bytes of a source distribution; the largest that is pinned has 1.3 MB
FILENAME = r"[A-Za-z0-9][\w.-]*\.tar\.gz"
LINE = re.compile(
    r"(?P<version>\S+) +"
    r"(?:sha256:(?P<sha256>[0-9a-f]{64})|git:(?P<commit>[0-9a-f]{40})) +"
    r"(?P<size>\d+|-) +"
    r"(?P<uploaded>\d{4}-\d\d-\d\d|-) +"
    r"(?P<requires_python>\S+) +"
    rf"(?P<filename>{FILENAME}|-)"
    r"(?: +yanked: (?P<yanked>.+))?"
)
TAG = re.compile(r"[A-Za-z][A-Za-z0-9_]*(?:[.-][A-Za-z0-9_]+)*")
NO_VERSION = Version("0")
SPEC = re.compile(r"(?P<upstream>[A-Za-z][\w.-]*)(?:(?P<operator>==|@)(?P<version>[\w.+!-]+))?", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """One published release: an artifact on the package index, or a git tag.

    An artifact has `filename`, `sha256` and `size` (bytes), a tag has `commit` and a `version` such as `v7.0`.
    `uploaded` is the day (UTC) of the upload, or of the commit; `yanked` is the reason, empty when it is not.
    """

    upstream: str
    version: str
    filename: str = ""
    sha256: str = ""
    size: int = 0
    uploaded: date | None = None
    requires_python: str = ""
    yanked: str = ""
    commit: str = ""

    @property
    def is_tag(self) -> bool:
        """Whether this is a git tag, and not an artifact."""
        return is_tag(self.version)

    @property
    def spec(self) -> str:
        """What `find` finds this pin by: `ultralytics==8.4.190`, `yolov5@v7.0`."""
        return spec_of(self.upstream, self.version)

    @property
    def proof(self) -> str:
        """What proves its content: the SHA-256 of the artifact, or the commit."""
        return self.commit or self.sha256

    @property
    def proof_in_words(self) -> str:
        """Its proof as a person is shown it: `sha256 0123456789abcdef`, `commit 915bbf294bb7`."""
        return f"commit {self.commit[:12]}" if self.is_tag else f"sha256 {self.sha256[:16]}"

    @property
    def order(self) -> tuple[bool, Version, date, str]:
        """The sort key of a lock: artifacts by version, then tags by date, since a branch's name has no order."""
        version = NO_VERSION if self.is_tag else Version(self.version)
        return self.is_tag, version, (self.is_tag and self.uploaded) or date.min, self.version

    def as_json(self) -> dict[str, Any]:
        """Return the pin as plain data, with null for what it does not have."""
        names = ("upstream", "version", "filename", "sha256", "requires_python", "yanked", "commit")
        texts = {name: getattr(self, name) or None for name in names}
        uploaded = self.uploaded and self.uploaded.isoformat()
        return {**texts, "spec": self.spec, "size": self.size or None, "uploaded": uploaded}


def lock_path(upstream: str) -> Path:
    """Return the lock file of an upstream."""
    if upstream not in UPSTREAMS:
        raise UsageError(f"unknown upstream {upstream!r}", hint=f"one of {', '.join(UPSTREAMS)}")
    return patches_root() / f"{upstream}.lock"


def load(upstream: str) -> tuple[Pin, ...]:
    """Return every pin of an upstream, oldest first, the git tags last."""
    path = lock_path(upstream)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        hint = f"apply-patches pins refresh {upstream}"
        raise UsageError(f"cannot read {path}: {error}", hint=hint) from error
    return parse(text, upstream=upstream, where=str(path))


def artifacts_of(pinned: Sequence[Pin]) -> list[Pin]:
    """Return the pins of artifacts on the package index."""
    return [pin for pin in pinned if not pin.is_tag]


def tags_of(pinned: Sequence[Pin]) -> list[Pin]:
    """Return the pins of git tags."""
    return [pin for pin in pinned if pin.is_tag]


def by_version(pinned: Sequence[Pin]) -> dict[str, Pin]:
    """Return version or tag to pin."""
    return {pin.version: pin for pin in pinned}


def save(upstream: str, pinned: Sequence[Pin]) -> None:
    """Write the lock of an upstream: all of it, or nothing."""
    path = lock_path(upstream).resolve()
    lines = map(format_line, sorted(pinned, key=lambda pin: pin.order))
    text = HEADER.format(upstream) + "\n".join([*lines, ""])
    parse(text, upstream=upstream, where=str(path))  # what could not be read back must not be written
    part = part_of(path)
    clear_parts(path.parent, of=path.name)
    try:
        part.write_bytes(text.encode())
        part.replace(path)
    except OSError as error:
        hint = "run it in a checkout of slimfork that you can write to"
        raise UsageError(f"cannot write {path}: {error.strerror}", hint=hint) from error
    finally:
        with suppress(OSError):  # a read-only file system says so for a file that is not there, too
            part.unlink()


def parse(text: str, *, upstream: str, where: str) -> tuple[Pin, ...]:
    """Parse a lock file, strictly: each line must be as `format_line` writes it, and all of them in order."""
    pinned: list[Pin] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.startswith("#"):
            continue
        try:
            pinned.append(parse_line(line, upstream=upstream))
        except ValueError as error:
            raise _bad_line(where, number, str(error)) from error
        if len(pinned) > 1 and pinned[-2].order >= pinned[-1].order:
            raise _bad_line(where, number, f"{pinned[-1].version} is pinned twice, or out of order")
    return tuple(pinned)


def _bad_line(where: str, number: int, why: str) -> UsageError:
    return UsageError(f"{where}:{number}: {why}", hint="restore the file as git has it")


def parse_line(line: str, *, upstream: str) -> Pin:
    """Parse one line of a lock file, or raise a ValueError that says what is wrong with it."""
    match = LINE.fullmatch(line)
    if match is None:
        raise ValueError(f"not a pin: {line[:80]!r}")
    field = {name: "" if text in {None, "-"} else text for name, text in match.groupdict().items()}
    if bool(field["sha256"]) != bool(field["size"]) or bool(field["sha256"]) != bool(field["filename"]):
        raise ValueError(f"{field['version']} must have a size and a file, or be a git tag without them")
    if is_tag(field["version"]) != bool(field["commit"]) or (field["commit"] and not TAG.fullmatch(field["version"])):
        raise ValueError(f"{field['version']} must be a version with a hash, or a git tag with a commit")
    try:
        Version("0" if field["commit"] else field["version"])
        SpecifierSet(field["requires_python"])
    except (InvalidVersion, InvalidSpecifier) as error:
        raise ValueError(str(error)) from error
    day, size = field.pop("uploaded"), int(field.pop("size") or 0)
    pin = Pin(upstream=upstream, size=size, uploaded=date.fromisoformat(day) if day else None, **field)
    if format_line(pin) != line:
        raise ValueError(f"{pin.version} is not written as `pins refresh` writes it")
    return pin


def format_line(pin: Pin) -> str:
    """Return the line of a lock file; widths are fixed, so that a new release changes no other line."""
    source = f"git:{pin.commit}" if pin.is_tag else f"sha256:{pin.sha256}"
    start = f"{pin.version:<8} {source:<71} {pin.size or '-':>8} {pin.uploaded or '-'!s:<10}"
    yanked = f"  yanked: {pin.yanked}" if pin.yanked else ""
    return f"{start} {pin.requires_python or '-':<12} {pin.filename or '-'}{yanked}"


class NotPinnedError(UsageError):
    """A release that the lock file does not have."""


def find(spec: str) -> Pin:
    """Return the pin of `ultralytics==8.4.190`, `yolov5@v7.0`, or of what `newest` takes `ultralytics` alone for."""
    upstream, operator, version = split_spec(spec)
    pinned = load(upstream)
    if not version:
        return newest(pinned, upstream)
    return _find_tag(pinned, upstream, version) if operator == "@" else _find_version(pinned, upstream, version)


def _find_version(pinned: Sequence[Pin], upstream: str, version: str) -> Pin:
    artifacts = artifacts_of(pinned)
    for pin in artifacts:
        if Version(pin.version) == Version(version):
            if pin.yanked:
                ui.note(f"note: {pin.spec} was yanked from the index: {pin.yanked}")
            return pin
    near = ", ".join(nearest(version, artifacts))
    hint = f"apply-patches pins list {upstream}, or for a newer release: apply-patches pins refresh {upstream}"
    raise NotPinnedError(f"{upstream}=={version} is not pinned; nearest: {near}", hint=hint)


def _find_tag(pinned: Sequence[Pin], upstream: str, name: str) -> Pin:
    """Return the pin of a tag, also when the `v` before its number was left out."""
    tags = by_version(tags_of(pinned))
    if not tags:
        plain = name.removeprefix("v")
        hint = f"{upstream}=={'VERSION' if is_tag(plain) else plain}"
        raise UsageError(f"{upstream}@{name} is not pinned: {upstream} has no git tags", hint=hint)
    pin = tags.get(name) or tags.get(f"v{name}")
    if pin is None:
        near = (get_close_matches(name, tags, n=1) or [list(tags)[-1]])[0]
        hint = f"{upstream}@{near}, or to pin it: apply-patches pins add {upstream}@{name}"
        raise UsageError(f"{upstream}@{name} is not pinned; the tags are {', '.join(tags)}", hint=hint)
    return pin


def split_spec(spec: str) -> tuple[str, str, str]:
    """Split `ultralytics==8.4.190` into upstream, operator (`==`, or `@` for a git tag) and version or tag."""
    match = SPEC.fullmatch(spec.replace(" ", ""))
    if match is None or (not match["operator"] and re.fullmatch(r"v\d[\w.]*|master|main", match["upstream"])):
        raise _not_a_spec(spec)
    upstream, operator, version = match.groups("")
    upstream = upstream.lower()
    lock_path(upstream)  # an unknown upstream is the first thing to complain about
    if operator != "==":
        return upstream, operator, version
    if version in by_version(tags_of(load(upstream))) or version.startswith("v"):
        hint = f"{upstream}@{version} for the git tag, {upstream}==VERSION for the package index"
        raise UsageError(f"{spec!r} mixes a version and a tag", hint=hint)
    try:
        Version(version)
    except InvalidVersion as error:
        hint = f"{upstream}==VERSION, or {upstream} alone for its newest release"
        raise UsageError(f"{version!r} in {spec!r} is not a version", hint=hint) from error
    return upstream, operator, version


def _not_a_spec(spec: str) -> UsageError:
    """Return the error for a spec without its upstream, with the upstreams that have that version or tag."""
    name = spec.strip()
    plain = name.removeprefix("v")
    having = []
    for upstream in UPSTREAMS:
        having += [pin.spec for pin in load(upstream) if pin.version in {name, plain, f"v{plain}"}]
    if not (having or plain[:1].isdigit()):
        return UsageError(f"{spec!r} is not UPSTREAM==VERSION or UPSTREAM@TAG", hint="ultralytics==VERSION")
    return UsageError(f"{spec!r} does not name its upstream", hint=" or ".join(having) or f"ultralytics=={plain}")


def newest(pinned: Sequence[Pin], upstream: str) -> Pin:
    """Return the release that the bare name of an upstream stands for.

    That is the last tag with a number where there are tags, and else the newest artifact. YOLOv5 is the official
    repository to whoever says YOLOv5, though git is needed to get it: what the index has under that name is somebody
    else's repackaging, with imports and dependencies of its own, and `master` is no release.
    """
    numbered = [pin for pin in pinned if re.match(r"v\d", pin.version)]
    return max(numbered, key=lambda pin: pin.order) if numbered else newest_artifact(pinned, upstream)


def newest_artifact(pinned: Sequence[Pin], upstream: str) -> Pin:
    """Return the newest artifact that is neither yanked nor a pre-release."""
    usable = [pin for pin in artifacts_of(pinned) if not (pin.yanked or Version(pin.version).is_prerelease)]
    if not usable:
        raise UsageError(f"{upstream} has no usable pin", hint=f"apply-patches pins refresh {upstream}")
    return max(usable, key=lambda pin: pin.order)


def nearest(version: str, pinned: Sequence[Pin], count: int = 4) -> list[str]:
    """Return the versions next to one that is not there, those below first, each side nearest first."""
    wanted = Version(version)
    below = [pin.version for pin in pinned if Version(pin.version) < wanted][::-1]
    above = [pin.version for pin in pinned if Version(pin.version) > wanted]
    half = count // 2
    few_below = below[: max(half, count - len(above))]
    few_above = above[: max(half, count - len(below))]
    return [*few_below, *few_above]
