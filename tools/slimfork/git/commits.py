"""Commits before they are written: messages with trailers, and the stream that `git fast-import` reads. Pure.

Author, dates and messages are fixed, so the same pins and patches give the same hashes on every machine.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slimfork.terminal.naming import is_tag, spec_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from slimfork.codemods.patch import Patch
    from slimfork.codemods.patch_plan import PatchPlan
    from slimfork.releases.pins import Pin

MAIL = "apply-patches@slimfork.invalid"  # RFC 2606: nobody's, so that nobody but us is the author of our commits
WHO = f"apply-patches <{MAIL}>"
NO_DATE = 1673308800  # 2023-01-10, the day of ultralytics 8.0.0: for a pin without a date
OVERLAY = "slim"
COMPAT = "compat"

PATCH, OVERLAY_ID = "Patch-Id", "Overlay-Id"
NO_PATCH, NO_OVERLAY = "Reverted-Patch-Id", "Reverted-Overlay-Id"
LEFT_OUT, UPSTREAM = "Left-Out", "Upstream"
REPLACED = "Replaced-Handmade"
UPGRADED = "Upgraded-From"
NOTHING = "nothing"
OURS = (PATCH, OVERLAY_ID, NO_PATCH, NO_OVERLAY, LEFT_OUT, REPLACED, UPGRADED)
ANY = (*OURS, UPSTREAM)
TRAILER = re.compile(rf"^({'|'.join(ANY)}): (\S.*?)\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A commit to be written.

    Attributes:
        message: The whole message.
        when: Author's and committer's time in seconds since 1970.
        files: Path to mode and content of what it changes; None takes a file away.
        patch: The id of the patch that it applies, or "".
    """

    message: str
    when: int
    files: Mapping[str, tuple[str, bytes] | None]
    patch: str = ""

    @property
    def subject(self) -> str:
        """The first line of the message."""
        return self.message.partition("\n")[0]


def upstream_trailer(upstream: str, version: str, proof: str) -> str:
    """Return the value that names a release: `ultralytics==8.4.190 sha256=...`, `yolov5@v7.0 commit=...`.

    Args:
        upstream: The family of releases.
        version: The release.
        proof: The pinned hash of the artifact or of the commit, empty when it is not pinned.
    """
    kind = "commit" if is_tag(version) else "sha256"
    return f"{spec_of(upstream, version)} " + (f"{kind}={proof}" if proof else "unpinned")


def message(subject: str, paragraphs: Sequence[str], trailers: Sequence[tuple[str, str]]) -> str:
    """Return a commit message: subject, paragraphs, trailers."""
    parts = [subject.strip()]
    for paragraph in paragraphs:
        if paragraph.strip():
            parts.append(" ".join(paragraph.split()))
    parts.append("\n".join(f"{key}: {value}" for key, value in trailers))
    return "\n\n".join(parts) + "\n"


def _each(key: str, values: Sequence[str]) -> list[tuple[str, str]]:
    """Return a trailer for each of several values of a key."""
    return [(key, value) for value in values]


def import_message(pin: Pin, trailer: str) -> str:
    """Return the message of a pristine import."""
    whole = f"The files of {pin.filename} as published."
    if pin.is_tag:
        whole = f"The files of {pin.version} as they are in commit {pin.commit}, without links and submodules."
    return message(f"Import {pin.upstream} {pin.version}", [whole], [(UPSTREAM, trailer)])


def patch_message(patch: Patch, trailer: str) -> str:
    """Return the message of the commit of a patch."""
    body = [patch.why, f"May go: {patch.until}" if patch.until else ""]
    return message(patch.title, body, [(PATCH, patch.id), (UPSTREAM, trailer)])


def overlay_message(trailer: str, *, update: bool, left_out: Sequence[str]) -> str:
    """Return the message of the commit of the overlay."""
    subject = f"{'Update' if update else 'Add'} the slim package"
    trailers = [(OVERLAY_ID, OVERLAY), (UPSTREAM, trailer), *_each(LEFT_OUT, left_out)]
    return message(subject, ["The pruning package and the prune script of this release line."], trailers)


def handmade_message(patches: Sequence[str], places: Sequence[str], trailer: str) -> str:
    """Return the message of the commit that takes out what was done by hand: whose edits, and where they stood."""
    stood = "\n".join(f"  {place}" for place in places)
    trailers = [*_each(REPLACED, patches), (UPSTREAM, trailer)]
    text = message("Take out the write-up's edits made by hand", [], trailers)
    return text.replace("\n\n", f"\n\nThe patches make them anew. They stood in\n{stood}\n\n", 1)


def choice_message(trailer: str, left_out: Sequence[str]) -> str:
    """Return the message of a commit that changes no file: it says what is left out of the fork from now on."""
    subject = f"Leave out {', '.join(left_out)}" if left_out else "Leave out nothing"
    return message(subject, [], [*_each(LEFT_OUT, left_out or [NOTHING]), (UPSTREAM, trailer)])


def revert_message(patches: Sequence[Patch], trailer: str, *, overlay: bool) -> str:
    """Return the message of the commit that takes patches, and maybe the overlay, out again."""
    one = len(patches) == 1
    what = [f"the patch {patches[0].id}" if one else f"{len(patches)} patches"] if patches else []
    what += ["the slim package"] if overlay else []
    trailers = [(NO_PATCH, patch.id) for patch in patches] + ([(NO_OVERLAY, OVERLAY)] if overlay else [])
    body = [f"It was: {patches[0].title}"] if one else []
    return message(f"Take out {' and '.join(what)}", body, [*trailers, (UPSTREAM, trailer)])


def trailers(text: str) -> dict[str, tuple[str, ...]]:
    """Return our trailers of a message, wherever they stand: a squash leaves them in its middle."""
    values: dict[str, tuple[str, ...]] = {}
    for key, value in TRAILER.findall(text):
        values[key] = (*values.get(key, ()), value)
    return values


def signed(text: str, when: int) -> bytes:
    """Return the end of a commit of ours as git keeps it: author, committer and message; the time is of both."""
    who = f"{WHO} {when} +0000"
    return f"author {who}\ncommitter {who}\n\n{text}".encode()


def stream(drafts: Sequence[Draft], *, start: str | None, ref: str) -> bytes:
    """Return the fast-import stream of a chain of commits on `ref`, marked :1, :2, ...; `start` is its parent."""
    return b"".join([*chain(drafts, start=start, ref=ref, first=1), b"done\n"])


def chain(drafts: Sequence[Draft], *, start: str | None, ref: str, first: int) -> Iterator[bytes]:
    """Yield the stream of a chain of commits; `start` is a commit, a mark, or None for a root commit."""
    for mark, draft in enumerate(drafts, first):
        who = f"{WHO} {draft.when} +0000"
        yield f"commit {ref}\nmark :{mark}\nauthor {who}\ncommitter {who}\n".encode()
        yield _data(draft.message.encode())
        if start and mark == first:
            yield f"from {start}\n".encode()
        for path, file in sorted(draft.files.items()):
            name = _quoted(path)
            if file is None:
                yield b"D " + name + b"\n"
            else:
                mode, content = file
                yield b"M " + mode.encode("ascii") + b" inline " + name + b"\n" + _data(content)
        yield b"\n"


def pointer(ref: str, mark: int) -> bytes:
    """Return the stream that sets a ref to a marked commit."""
    return f"reset {ref}\nfrom :{mark}\n\n".encode()


def _data(content: bytes) -> bytes:
    return b"data %d\n%b\n" % (len(content), content)


def _quoted(path: str) -> bytes:
    escaped = path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'.encode("utf-8", "surrogateescape")


def with_modes(changes: Mapping[str, bytes | None], mode: Callable[[str], str]) -> dict[str, tuple[str, bytes] | None]:
    """Return the files of a `Draft`: path to mode and content; None stays None, for what goes."""
    return {path: None if new is None else (mode(path), new) for path, new in changes.items()}


def drafts(
    plan: PatchPlan,
    overlay: Mapping[str, bytes | None],
    *,
    mode: Callable[[str], str],
    trailer: str,
    when: int,
    update: bool = False,
    left_out: Sequence[str] = (),
    chosen: bool = False,
) -> list[Draft]:
    """Return a commit for each pending patch and one for the overlay.

    Args:
        plan: What the patches do.
        overlay: Path to new content of the overlay's files that change; None for those that go.
        mode: Gives the git mode of a path.
        trailer: The release, as `upstream_trailer` writes it.
        when: Time of the commits in seconds since 1970.
        update: Whether the overlay was there before.
        left_out: The ids of patches that are left out, and `COMPAT` for all compatibility patches.
        chosen: Whether that differs from what the fork says of itself so far.
    """
    made = []
    for step in plan.steps:
        if step.state == "pending":
            text, files = patch_message(step.patch, trailer), with_modes(step.changes, mode)
            made.append(Draft(message=text, when=when, files=files, patch=step.patch.id))
    if overlay:
        text = overlay_message(trailer, update=update, left_out=left_out)
        made.append(Draft(message=text, when=when, files=with_modes(overlay, mode)))
    elif chosen:
        made.append(Draft(message=choice_message(trailer, left_out), when=when, files={}))
    return made
