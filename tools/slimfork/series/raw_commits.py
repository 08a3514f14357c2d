"""A commit as git keeps it, byte for byte: its name is the hash of that text, so that the text proves itself. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from slimfork.releases.objects import object_hash

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class RawCommit:
    """A commit, with everything that its hash is made of: dates, signatures and unknown headers are in `text`.

    Attributes:
        text: What `git cat-file commit` prints.
        author: `Name <mail> seconds zone`.
        when: The committer's time in seconds since 1970.
        message: Decoded as its `encoding` says, what cannot be decoded replaced; `text` has it exactly.
    """

    text: bytes
    tree: str
    parents: tuple[str, ...]
    author: str
    when: int
    message: str

    @property
    def sha(self) -> str:
        """Its hash."""
        return object_hash("commit", self.text)

    @property
    def subject(self) -> str:
        """The first line of the message, without space around it."""
        return self.message.strip().partition("\n")[0].strip()


def parse_commit(text: bytes) -> RawCommit:
    """Parse the text of a commit.

    Raises:
        ValueError: It is none, or one that says no time.
    """
    head, _, message = text.partition(b"\n\n")
    fields: dict[bytes, list[bytes]] = {}
    for line in head.split(b"\n"):
        key, _, value = line.partition(b" ")
        fields.setdefault(key, []).append(value)  # the lines of a signature have an empty key
    committer = fields.get(b"committer", [b""])[0].split()
    if not (len(fields.get(b"tree", ())) == 1 and fields.get(b"author") and len(committer) > 1):
        raise ValueError("not the text of a commit")
    kind = fields.get(b"encoding", [b"utf-8"])[0].decode("ascii", "replace")
    return RawCommit(
        text=text,
        tree=fields[b"tree"][0].decode("ascii"),
        parents=tuple(parent.decode("ascii") for parent in fields.get(b"parent", ())),
        author=_decoded(fields[b"author"][0], kind),
        when=int(committer[-2]),
        message=_decoded(message, kind),
    )


def by_sha(raws: Iterable[RawCommit]) -> dict[str, RawCommit]:
    """Return commits by their hashes."""
    return {raw.sha: raw for raw in raws}


def trees_of(raws: Iterable[RawCommit]) -> dict[str, str]:
    """Return the trees of commits by the commits' hashes."""
    return {raw.sha: raw.tree for raw in raws}


def base_of(raw: RawCommit, trees: Mapping[str, str]) -> str:
    """Return the parent that a commit is a patch on: the one whose files it has, else the first.

    Args:
        raw: A commit with a parent.
        trees: The trees of its parents.
    """
    return _with_its_files(raw, trees) or raw.parents[0]


def base_among(raw: RawCommit, trees: Mapping[str, str], standing: Collection[str]) -> str:
    """Return the parent that a commit is a patch on, of those that are among some commits, if one is."""
    parents = tuple(parent for parent in raw.parents if parent in standing)
    return base_of(replace(raw, parents=parents or raw.parents), trees)


def _with_its_files(raw: RawCommit, trees: Mapping[str, str]) -> str | None:
    """Return the first parent whose files a commit has, None where it has changed those of each."""
    for parent in raw.parents:
        if trees[parent] == raw.tree:
            return parent
    return None


def main_line(raws: Sequence[RawCommit], start: str) -> list[RawCommit]:
    """Return the commits from one to the last by the parents that they are patches on: what `git am` can follow.

    It begins where there is no parent, should it not come by `start`: a merge is followed to it.
    """
    known, trees, standing = by_sha(raws), trees_of(raws), {start}
    for raw in raws:
        if not standing.isdisjoint(raw.parents):
            standing.add(raw.sha)
    line = [raws[-1]]
    while line[-1].parents and line[-1].sha != start:
        line.append(known[base_among(line[-1], trees, standing)])
    return line[::-1]


def contributing(raws: Sequence[RawCommit], start: str) -> list[str]:
    """Return the commits after one that the files of the last one come from, oldest first.

    A merge that has the files of one of its parents has nothing from the others: they are its past, and no more.
    """
    known, trees = by_sha(raws), trees_of(raws)
    found, waiting = set[str](), [raws[-1].sha]
    while waiting:
        raw = known[waiting.pop()]
        if raw.sha in found or raw.sha == start:
            continue
        found.add(raw.sha)
        same = _with_its_files(raw, trees)
        waiting += (same,) if same else raw.parents
    return [raw.sha for raw in raws if raw.sha in found]


def _decoded(text: bytes, kind: str) -> str:
    try:
        return text.decode(kind, "replace")
    except LookupError:
        return text.decode("utf-8", "replace")
