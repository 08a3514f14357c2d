"""Several refs moved in one transaction, and the branch that is checked out told by its name alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from slimfork.git.gitout import checked_ref, checked_sha

if TYPE_CHECKING:
    from collections.abc import Iterable

    from slimfork.git.repo import Repository


@dataclass(frozen=True, slots=True, kw_only=True)
class RefMove:
    """A ref that goes from one commit to another; from or to None where it is not there before or afterwards."""

    ref: str
    old: str | None
    new: str | None

    @property
    def back(self) -> RefMove:
        """The way back."""
        return RefMove(ref=self.ref, old=self.new, new=self.old)


def move_refs(repository: Repository, moves: Iterable[RefMove]) -> None:
    """Move refs, all of them or none, if each still is where it was.

    Raises:
        SlimforkError: One of them is not.
    """
    lines = ["start\n", *map(_line, moves), "prepare\n", "commit\n"]
    repository.git("update-ref", "-m", "apply-patches", "--stdin", stdin="".join(lines).encode())


def _line(move: RefMove) -> str:
    name = checked_ref(move.ref)
    if move.new is None:
        return f"delete {name} {checked_sha(move.old or '')}\n"
    if move.old is None:
        return f"create {name} {checked_sha(move.new)}\n"
    return f"update {name} {checked_sha(move.new)} {checked_sha(move.old)}\n"


def check_out_name(repository: Repository, ref: str) -> None:
    """Let HEAD name a branch; files and index stay as they are, so its commit must be the one that is checked out."""
    repository.git("symbolic-ref", "-m", "apply-patches", "HEAD", checked_ref(ref))
