"""What `status --verify-tree` tells: the same facts for a person and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from slimfork.git.gitout import SYMLINK
from slimfork.terminal import ui
from slimfork.terminal.words import one_line, typed

if TYPE_CHECKING:
    from pathlib import Path

    from slimfork.git.gitout import FileChange
    from slimfork.series.proving import Proof

SUBMODULE_MODE = "160000"


def facts(proof: Proof) -> dict[str, Any]:
    """Return a proof as plain data."""
    return {
        "exact": proof.exact,
        "release": proof.spec,
        "lock_makes": proof.made,
        "compared": proof.compared,
        "same_commit": proof.made == proof.compared,
        "import": list(map(_difference, proof.imported)),
        "differences": list(map(_difference, proof.differences)),
        "unclear": proof.unclear or None,
    }


def _difference(change: FileChange) -> dict[str, str]:
    """Return a file that differs: `old` is what the lock makes, `new` what the fork has."""
    if change.new is None:
        what = "missing"
    elif change.old is None:
        words = {SYMLINK: "a link that is not of the lock", SUBMODULE_MODE: "a submodule that is not of the lock"}
        what = words.get(change.new.mode, "not of the lock")
    elif change.old.blob == change.new.blob:
        what = f"mode {change.new.mode}, not {change.old.mode}"
    else:
        what = "another content"
    return {"path": change.path, "what": what}


def show(proof: Proof) -> None:
    """Print a proof for a person."""
    told = facts(proof)
    compared = f"commit {proof.compared[:10]}"
    if proof.exact:
        same = "is the very commit" if told["same_commit"] else "has exactly the files"
        ui.result(f"tree: {compared} {same} that the lock makes of {proof.spec}")
        return
    ui.result(f"tree: {compared} is not what the lock makes of {proof.spec}")
    for place, found in (("the import", told["import"]), ("the fork", told["differences"])):
        if found:
            ui.result(f"  in {place}, {len(found)} file{'' if len(found) == 1 else 's'}:")
        for one in found:
            ui.result(f"    {one_line(one['path'])}  ({one['what']})")
    if proof.unclear:
        ui.result(f"  your commit does not fit onto what the lock makes, so nothing is proved: {proof.unclear}")


def hint(proof: Proof, path: Path) -> str:
    """Return what to type when a fork is not as its lock."""
    place = typed(path)
    if proof.imported:
        return f"apply-patches vendor {proof.spec} --into new, and cherry-pick your commits there"
    if proof.differences:
        look = f"git -C {place} log -p -- {typed(proof.differences[0].path)}"
        return f"{look}; what an earlier slimfork has left, apply-patches apply {place} brings along"
    return f"git -C {place} log --oneline"
