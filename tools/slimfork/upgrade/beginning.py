"""How an upgrade begins: the fork is read, the release fetched, and the new base written beside the fork."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from slimfork.git import commits
from slimfork.upgrade.new_base import base_drafts, write_base
from slimfork.upgrade.state import Waiting

if TYPE_CHECKING:
    from pathlib import Path

    from slimfork.forks.fork import Fork
    from slimfork.git.repo import Repository
    from slimfork.releases.archive import File
    from slimfork.releases.pins import Pin


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the user asks for.

    Attributes:
        path: The fork, as it was typed.
        linear: Whether the old commits go from the history of the branch.
        verify: Whether the outcome is to be trained before the branch moves.
        as_json: Whether patches that do not fit are told as JSON.
    """

    path: Path
    linear: bool
    verify: bool
    as_json: bool


def begin(
    fork: Fork, imported: str, scratch: Repository, pin: Pin, files: dict[str, File], branch: str, asked: Asked
) -> Waiting:
    """Write the new base to a repository beside the fork, and return the upgrade as it begins.

    Args:
        fork: The fork.
        imported: The import that it stands on.
        scratch: The repository beside it.
        pin: The release to move to.
        files: Its files.
        branch: The branch that is checked out, by its full name.
        asked: What the user asks for.

    Raises:
        ConflictError: A patch does not fit the release.
    """
    drafts = base_drafts(fork, imported, pin, files, asked.path, as_json=asked.as_json)
    pristine, base = write_base(scratch, drafts, imported)
    return Waiting(
        branch=branch,
        old=fork.head,
        upstream=pin.upstream,
        was=fork.release.version,
        version=pin.version,
        trailer=commits.upstream_trailer(pin.upstream, pin.version, pin.proof),
        choices=list(fork.choices),
        left=imported,
        imported=pristine,
        base=base,
        became={imported: base},
        linear=asked.linear,
        verify=asked.verify,
    )
