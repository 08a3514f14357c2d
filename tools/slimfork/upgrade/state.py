"""What an upgrade that waits for the user knows, in a file in git's folder: written whole, or as it was before."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from slimfork.git.guards import UPGRADE
from slimfork.terminal.errors import UsageError
from slimfork.terminal.words import typed

if TYPE_CHECKING:
    from slimfork.git.repo import Repository


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """An upgrade under way.

    Attributes:
        branch: The branch that moves in the end, by its full name.
        old: Where it is until then.
        upstream, was, version: The upstream, and the release before and afterwards.
        trailer: The new release, as `upstream_trailer` writes it.
        choices: What is left out of the fork: ids of patches, and `COMPAT` for all compatibility patches.
        left: The import that the commits have stood on.
        imported: The new import.
        base: The last commit of ours on it.
        became: Commit to what stands in its place.
        dropped: What the new release has made as well.
        skipped: What the user leaves out.
        picking: The commit that waits for the user, or "" while everything fits.
        change: A commit with one parent that changes the same: git lays that one out.
        guessing: Whether git would follow files to others that are merely like them as it does so.
        onto: The new commit that is to be checked out, beside that conflict; "" while the user's branch is.
        clashed: The files in which it does not fit.
        laid_out: Whether git has left its conflict in the checkout: until then, nothing there is the user's work.
        tip: Where the branch comes to, once all commits are made.
        aborting: Whether the user has it undone.
        whole: Whether the checkout has a history of its own, and moves by one merge: `left` and `imported` are then
            the two releases, and the one commit to make again is the second.
        linear: Whether the old commits go from the history of the branch.
        verify: Whether the fork is to be trained before the branch moves.
    """

    branch: str
    old: str
    upstream: str
    was: str
    version: str
    trailer: str
    choices: list[str]
    left: str
    imported: str
    base: str
    became: dict[str, str]
    dropped: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    picking: str = ""
    change: str = ""
    guessing: bool = False
    onto: str = ""
    clashed: list[str] = field(default_factory=list)
    laid_out: bool = False
    tip: str = ""
    aborting: bool = False
    whole: bool = False
    linear: bool = False
    verify: bool = False

    @property
    def work_branch(self) -> str:
        """The branch that is checked out while the user resolves a conflict."""
        return f"refs/heads/upgrade-to-{self.version}"

    def write(self, repository: Repository) -> Waiting:
        """Write it to the disk itself, and return it."""
        file = repository.git_dir / UPGRADE
        part = file.with_name(f"{UPGRADE}.part")
        with part.open("w", encoding="ascii") as stream:
            json.dump(asdict(self), stream)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(file)
        return self

    def but(self, repository: Repository, **changes: Any) -> Waiting:
        """Write it with changes, and return that."""
        return replace(self, **changes).write(repository)


def read_waiting(repository: Repository) -> Waiting | None:
    """Return the upgrade that waits for the user, or None.

    Raises:
        UsageError: The file is damaged.
    """
    file = repository.git_dir / UPGRADE
    try:
        return Waiting(**json.loads(file.read_bytes()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        place = typed(repository.root)
        hint = f"git -C {place} branch -vv, which shows your branch as it was; rm {typed(file)} ends the upgrade"
        raise UsageError(f"{file} does not say what was under way: {error}", hint=hint) from None


def forget(repository: Repository) -> None:
    """End an upgrade."""
    (repository.git_dir / UPGRADE).unlink(missing_ok=True)
