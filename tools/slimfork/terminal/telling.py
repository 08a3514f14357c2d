"""What `vendor`, `apply` and `revert` tell: the same facts for a person and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from slimfork.terminal import ui
from slimfork.terminal.errors import ConflictError
from slimfork.terminal.naming import is_tag
from slimfork.terminal.words import typed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from slimfork.codemods.patch_plan import PatchPlan
    from slimfork.forks.detect import Release
    from slimfork.git.commits import Draft


def written(
    path: Path, release: Release, made: Sequence[Draft], shas: Sequence[str], *, head: str | None, dry_run: bool
) -> dict[str, Any]:
    """Return what was written, or would be, as plain data."""
    known = [*shas, *[None] * (len(made) - len(shas))]
    return {
        "path": str(path),
        "upstream": release.upstream,
        "version": release.version,
        "dry_run": dry_run,
        "head": shas[-1] if shas else head,
        "commits": [
            {"sha": sha, "subject": draft.subject, "patch": draft.patch or None, "files": sorted(draft.files)}
            for draft, sha in zip(made, known, strict=True)
        ],
    }


def say_commits(first: str, result: dict[str, Any]) -> None:
    """Print one line a commit."""
    count = len(result["commits"])
    verb = "would make" if result["dry_run"] else "made"
    ui.result(f"{first}, {verb} {count} commit{'' if count == 1 else 's'}")
    for commit in result["commits"]:
        ui.result(f"  {(commit['sha'] or '-')[:10]:<10}  {commit['subject']}{_counted(commit)}")


def _counted(commit: dict[str, Any]) -> str:
    """Return how many files a commit changes, where that is known."""
    if "files" not in commit:
        return ""
    files = len(commit["files"])
    return f"  ({files} file{'' if files == 1 else 's'})"


def say_next(path: Path, result: dict[str, Any]) -> None:
    """Print what to type next."""
    if not result["dry_run"]:
        tag = is_tag(result["version"])  # a tag of YOLOv5 is no package: it is run where it lies
        what = f"-r {typed(path / 'requirements.txt')}" if tag else f"-e {typed(path)}"
        ui.result(f"next: pip install {what}")
        ui.result(f"      apply-patches verify {typed(path)}")


def say_found(path: Path, release: Release) -> None:
    """Note how a release was found that the checkout does not say by itself."""
    if release.found:
        ui.note(f"note: {path} is {release.upstream} {release.version}: {release.found}")


def say_behind(paths: Sequence[str]) -> None:
    """Note the overlay's files that stay as the user has changed them, beside others of a newer version."""
    if paths:
        ui.note(f"note: kept as you have changed them, and now from another version than the rest: {', '.join(paths)}")


def refuse_broken(plan: PatchPlan, path: Path, *, as_json: bool, hint: str | None = None) -> None:
    """Raise when patches do not fit, with the messages of all of them; the hint is what to type next."""
    if not plan.broken:
        return
    if as_json:
        steps = [{"patch": s.patch.id, "problems": list(s.problems)} for s in plan.broken]
        ui.result_json({"path": str(path), "upstream": plan.upstream, "version": plan.version, "broken": steps})
    problems: list[str] = []
    for step in plan.broken:
        problems += step.problems
    told = "\n\n".join(problems)
    count = len(plan.broken)
    raise ConflictError(
        f"{count} patch{'' if count == 1 else 'es'} of {len(plan.steps)} "
        f"{'does' if count == 1 else 'do'} not fit {plan.upstream} {plan.version}; nothing was changed\n\n{told}",
        hint=hint or f"apply-patches status {typed(path)}",
    )
