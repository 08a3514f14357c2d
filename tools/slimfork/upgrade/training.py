"""The fork as it is about to become, laid out in a folder of its own and trained there."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from slimfork.git.gitout import checked_sha
from slimfork.git.repo import new_repository
from slimfork.processes.processes import clear
from slimfork.terminal import ui
from slimfork.terminal.errors import CheckFailed
from slimfork.terminal.words import typed
from slimfork.verify.verify import CHECKS, verify

if TYPE_CHECKING:
    from slimfork.git.repo import Repository
    from slimfork.verify.verify import Check

SECONDS_A_CHECK = 600.0  # seconds


def refuse_untrained(repository: Repository, tip: str) -> None:
    """Run every check of `verify` on a commit.

    Raises:
        CheckFailed: One of them fails. The folder with the logs is kept then.
    """
    folder = Path(tempfile.mkdtemp(prefix="slimfork-upgrade-"))
    with new_repository(folder / "fork") as copy:
        (copy.git_dir / "objects" / "info").mkdir(exist_ok=True)
        (copy.git_dir / "objects" / "info" / "alternates").write_text(f"{repository.common_dir / 'objects'}\n")
        copy.git("update-ref", "refs/heads/slim", checked_sha(tip))
        copy.git("read-tree", "-m", "-u", checked_sha(tip))
    with ui.steps("verify", total=len(CHECKS)) as progress:

        def on_start(check: Check) -> None:
            progress.update(progress.task_ids[0], description=check.title, advance=1)

        outcomes = verify(folder / "fork", folder / "work", timeout=SECONDS_A_CHECK, on_start=on_start)
    bad = [outcome for outcome in outcomes if outcome.verdict != "pass"]
    if bad:
        names = ", ".join(outcome.id for outcome in bad)
        what = f"{len(bad)} of {len(outcomes)} checks failed: {names}; your branch has not moved"
        raise CheckFailed(what, hint=f"cat {typed(bad[0].log)}")
    clear(folder)
