"""Repositories with a user's work in them, in all the ways in which git lets it be there.

Each function gets `git` and a fork, or a clone, and leaves work of the user's in it: every file of theirs says `mine`.
"""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from tests.tools.conftest import IDENTITY, write
from tests.tools.small_release import LOSS, TRAINER

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Git = Callable[..., str]
    Work = Callable[[Git, Path], None]

PLAN = "ultralytics/slim/pruning/plan.py"
SLIM = "ultralytics/slim"
MINE = b"# mine\n"
PATCH_COMMIT = "--grep=Patch-Id: zclip"
OVERLAY_COMMIT = "--grep=Overlay-Id: slim"


def own(path: Path, name: str = TRAINER) -> None:
    """Add a line to a file, or make one."""
    write(path, {name: ((path / name).read_bytes() if (path / name).is_file() else b"") + b"\n" + MINE})


def commit(git: Git, path: Path, *arguments: str) -> None:
    git(path, "add", "-A", "-f")
    git(path, "commit", "-q", *(arguments or ("-m", "mine")))


def tries(path: Path, *arguments: str, **env: str) -> None:
    """Run git where it stops in the middle."""
    settings = {**os.environ, "GIT_EDITOR": "true", "GIT_SEQUENCE_EDITOR": "true", **env}
    subprocess.run(["git", "-C", str(path), *IDENTITY, *arguments], capture_output=True, check=False, env=settings)


def found(git: Git, path: Path, grep: str) -> str:
    return git(path, "log", "-1", "--format=%H", grep, "slim")


# --- commits of ours that hold the user's work, too


def amended(*names: str) -> Work:
    def work(git: Git, path: Path) -> None:
        for name in names:
            own(path, name)
        commit(git, path, "--amend", "-C", "HEAD")

    return work


def amended_and_removed(git: Git, path: Path) -> None:
    (path / PLAN).unlink()
    own(path, "notes.txt")
    commit(git, path, "--amend", "-C", "HEAD")


def reworded(git: Git, path: Path) -> None:
    own(path)
    commit(git, path, "--amend", "-m", "mine now")


def fixup(grep: str, name: str, *root: str) -> Work:
    def work(git: Git, path: Path) -> None:
        target = found(git, path, grep)
        own(path, name)
        commit(git, path, f"--fixup={target}")
        tries(path, "rebase", "-q", "-i", "--autosquash", *(root or (f"{target}^",)))

    return work


def soft_reset(message: str) -> Work:
    def work(git: Git, path: Path) -> None:
        own(path)
        text = message or git(path, "log", "--reverse", "--format=* %B", "upstream..slim")
        git(path, "reset", "-q", "--soft", "upstream")
        commit(git, path, "-m", text)

    return work


def squash_merge(git: Git, path: Path) -> None:
    git(path, "switch", "-q", "-c", "main", "upstream")
    own(path, "README.md")
    commit(git, path)
    git(path, "merge", "-q", "--squash", "slim")
    git(path, "commit", "-q", "--no-edit")


def squashed_by_rebase(git: Git, path: Path) -> None:
    own(path)
    commit(git, path)
    tries(path, "rebase", "-q", "-i", "upstream", GIT_SEQUENCE_EDITOR="sed -i '2,$s/^pick/squash/'")


def rebased(git: Git, path: Path) -> None:
    git(path, "switch", "-q", "-c", "base", "upstream")
    own(path, "README.md")
    commit(git, path)
    git(path, "rebase", "-q", "base", "slim")


def merged(git: Git, path: Path) -> None:
    git(path, "switch", "-q", "-c", "side", "HEAD~2")
    own(path)
    commit(git, path)
    git(path, "switch", "-q", "slim")
    git(path, "merge", "-q", "--no-edit", "side")


def overlay_reverted(git: Git, path: Path) -> None:
    own(path)
    commit(git, path)
    git(path, "revert", "--no-edit", found(git, path, OVERLAY_COMMIT))


def patch_reverted(git: Git, path: Path) -> None:
    own(path)
    commit(git, path)
    git(path, "revert", "--no-edit", found(git, path, "--grep=Patch-Id: old_numpy"))


def cherry_picked(git: Git, path: Path) -> None:
    git(path, "switch", "-q", "-c", "main", "upstream")
    own(path)
    commit(git, path)
    tries(path, "cherry-pick", "-x", found(git, path, OVERLAY_COMMIT))


def quoting(line: str) -> Work:
    def work(git: Git, path: Path) -> None:
        own(path)
        commit(git, path, "-m", "mine", "-m", line)

    return work


# --- work that git was told not to see


def flagged(flag: str, name: str = TRAINER) -> Work:
    def work(git: Git, path: Path) -> None:
        git(path, "update-index", f"--{flag}", name)
        own(path, name)

    return work


def sparse(git: Git, path: Path) -> None:
    own(path, "docs/notes.txt")
    commit(git, path)
    git(path, "sparse-checkout", "set", "docs")


# --- work that is named like ours


def linked(target: str, *, name: str = SLIM, tracked: bool = False) -> Work:
    def work(git: Git, path: Path) -> None:
        git(path, "rm", "-rq", name)
        git(path, "commit", "-q", "-m", "without")
        write(path.parent, {f"dev/{PLAN}": MINE})
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).symlink_to(target)
        if tracked:
            commit(git, path)

    return work


def instead(name: str, *files: str, tracked: bool = False, ignored: bool = False) -> Work:
    """Put files where the overlay had something."""

    def work(git: Git, path: Path) -> None:
        git(path, "rm", "-rq", name)
        git(path, "commit", "-q", "-m", "without")
        write(path, dict.fromkeys(files, MINE))
        if ignored:
            write(path / ".git", {"info/exclude": "".join(f"/{file}\n" for file in files).encode()})
        if tracked:
            commit(git, path)

    return work


def submodule(at: str, *, dirty: bool = False) -> Work:
    def work(git: Git, path: Path) -> None:
        other = path.parent / "other"
        git(path.parent, "init", "-q", "other")
        write(other, {"theirs.txt": MINE})
        commit(git, other)
        if (path / at).exists():
            git(path, "rm", "-rq", at)
        git(path, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(other), at)
        commit(git, path)
        if dirty:
            own(path, f"{at}/theirs.txt")

    return work


def nested(git: Git, path: Path) -> None:
    instead(SLIM)(git, path)
    git(path, "init", "-q", SLIM)
    write(path, {f"{SLIM}/model.py": MINE})


# --- more than one place, and more than git


def second_worktree(git: Git, path: Path) -> None:
    git(path, "worktree", "add", "-q", "-f", str(path.parent / "second"), "slim")
    own(path.parent / "second")


def other_worktree(git: Git, path: Path) -> None:
    git(path, "worktree", "add", "-q", "-b", "other", str(path.parent / "second"))
    own(path.parent / "second")


def rebased_in_a_worktree(git: Git, path: Path) -> None:
    own(path, LOSS)
    commit(git, path)
    git(path, "switch", "-q", "-c", "here")
    second = path.parent / "second"
    git(path, "worktree", "add", "-q", str(second), "slim")
    tries(second, "rebase", "-i", "HEAD~1", GIT_SEQUENCE_EDITOR="sed -i s/^pick/edit/")
    git(path, "symbolic-ref", "HEAD", "refs/heads/slim")


def lfs(git: Git, path: Path) -> None:
    git(path, "config", "filter.lfs.clean", "sed s/mine/pointer/")
    git(path, "config", "filter.lfs.smudge", "sed s/pointer/mine/")
    git(path, "config", "filter.lfs.required", "true")
    write(path, {".gitattributes": b"*.bin filter=lfs\n", "weights.bin": MINE})
    (path / ".git/info/attributes").unlink(missing_ok=True)
    commit(git, path)


def split_index(git: Git, path: Path) -> None:
    own(path)
    commit(git, path)
    git(path, "update-index", "--split-index")


# --- work in the middle of something


def conflict(git: Git, path: Path) -> None:
    git(path, "switch", "-q", "-c", "side", "upstream")
    write(path, {TRAINER: b"# theirs, mine\n"})
    commit(git, path)
    git(path, "switch", "-q", "slim")
    own(path)
    commit(git, path)


def in_the_middle(*arguments: str) -> Work:
    def work(git: Git, path: Path) -> None:
        conflict(git, path)
        tries(path, *arguments)

    return work


def applying_mail(git: Git, path: Path) -> None:
    conflict(git, path)
    mail = git(path, "format-patch", "-1", "--stdout", "side")
    (path.parent / "mail").write_text(mail + "\n")
    tries(path, "am", str(path.parent / "mail"))


def cherry_picking_several(git: Git, path: Path) -> None:
    conflict(git, path)
    tries(path, "cherry-pick", "side~1..side", "side")
    own(path, LOSS)


def bisecting(git: Git, path: Path) -> None:
    own(path)
    commit(git, path)
    tries(path, "bisect", "start", "HEAD", "HEAD~3")


def stash_conflict(git: Git, path: Path) -> None:
    write(path, {TRAINER: b"# mine\n"})
    git(path, "stash", "-q")
    own(path)
    commit(git, path)
    tries(path, "stash", "pop")


def detached(git: Git, path: Path) -> None:
    own(path)
    commit(git, path)
    git(path, "checkout", "-q", "--detach")


# --- work that is not committed


def uncommitted(*arguments: str, name: str = TRAINER) -> Work:
    def work(git: Git, path: Path) -> None:
        own(path, name)
        if arguments:
            git(path, *arguments)

    return work


def moved(git: Git, path: Path) -> None:
    own(path)
    commit(git, path)
    git(path, "mv", TRAINER, "ultralytics/engine/mine.py")


KEPT: dict[str, Work] = {
    "amended: a patched file": amended(TRAINER),
    "amended: a new file": amended("mine.txt"),
    "amended: several": amended(TRAINER, LOSS, "README.md", "docs/mine.md"),
    "amended: a new file among the overlay's": amended(f"{SLIM}/mine.py"),
    "amended: one removed": amended_and_removed,
    "amended: with a message of its own": reworded,
    "fixup of the overlay": fixup(OVERLAY_COMMIT, TRAINER),
    "fixup of the overlay: a new file": fixup(OVERLAY_COMMIT, "mine.txt"),
    "fixup of a patch": fixup(PATCH_COMMIT, LOSS),
    "fixup of the import": fixup("--grep=^Import", "README.md", "--root"),
    "squashed by hand": soft_reset("all of it, and mine"),
    "squashed by a server": soft_reset(""),
    "squashed by a merge": squash_merge,
    "squashed by a rebase": squashed_by_rebase,
    "rebased onto a commit": rebased,
    "merged from a branch": merged,
    "the overlay reverted": overlay_reverted,
    "a patch reverted": patch_reverted,
    "cherry-picked to a branch": cherry_picked,
    "a message with a line Upstream": quoting(f"Upstream: ultralytics==8.9.1 sha256={'0' * 64}"),
    "a message with a line Patch-Id": quoting("Patch-Id: penalty"),
    "another work tree on another branch": other_worktree,
    "a submodule with changes": submodule("vendor/mine", dirty=True),
    "large files": lfs,
    "a split index": split_index,
}
REFUSED: dict[str, Work] = {
    "skip-worktree": flagged("skip-worktree"),
    "skip-worktree: a file of the overlay": flagged("skip-worktree", PLAN),
    "assume-unchanged": flagged("assume-unchanged"),
    "a sparse checkout": sparse,
    "a link to a development folder": linked("../../dev/ultralytics/slim"),
    "a link to a development folder, tracked": linked("../../dev/ultralytics/slim", tracked=True),
    "a link to nothing": linked("nowhere", name="prune.py"),
    "a link to nothing, tracked": linked("nowhere", name="prune.py", tracked=True),
    "a file named slim": instead(SLIM, SLIM),
    "a file named slim, tracked": instead(SLIM, SLIM, tracked=True),
    "a folder named slim": instead(SLIM, f"{SLIM}/model.py"),
    "a folder named slim, ignored": instead(SLIM, f"{SLIM}/model.py", ignored=True),
    "a folder named prune.py, tracked": instead("prune.py", "prune.py/mine.py", tracked=True),
    "a prune.py, ignored": instead("prune.py", "prune.py", ignored=True),
    "a submodule named slim": submodule(SLIM),
    "a repository named slim": nested,
    "a second work tree on the branch": second_worktree,
    "a work tree that rebases the branch": rebased_in_a_worktree,
    "in the middle of a rebase": in_the_middle("rebase", "side"),
    "in the middle of a rebase by patches": in_the_middle("rebase", "--apply", "side"),
    "in the middle of am": applying_mail,
    "in the middle of a merge": in_the_middle("merge", "side"),
    "in the middle of a cherry-pick": in_the_middle("cherry-pick", "side"),
    "in the middle of several": cherry_picking_several,
    "in the middle of a revert": in_the_middle("revert", "--no-edit", "HEAD~3"),
    "in the middle of a bisect": bisecting,
    "in the middle of a stash": stash_conflict,
    "on no branch": detached,
    "not committed": uncommitted(),
    "staged": uncommitted("add", "-A"),
    "staged as new": uncommitted("add", "mine.txt", name="mine.txt"),
    "to be added": uncommitted("add", "-N", "mine.txt", name="mine.txt"),
    "taken out of the index": uncommitted("rm", "-q", "--cached", TRAINER),
    "moved": moved,
}
