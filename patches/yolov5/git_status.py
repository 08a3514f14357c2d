"""Training asks the repository's remote whether upstream has moved on, and from v6.2 on adds upstream as a remote.

A fork is a git repository of its own: upstream's tags would be fetched into it, and the advice to pull would undo it.
"""

from __future__ import annotations

from slimfork.codemods import Patch, Replace, Variant


def edits(root: str = "") -> tuple[Replace, ...]:
    """Return the edit for a release whose sources lie below a folder."""
    check = Replace(
        file=f"{root}utils/general.py",
        within=("check_git_status",),
        anchor="assert Path('.git').exists(), ...",
        code="assert False, 'github: skipping check (a fork moves on with apply-patches upgrade)'",
    )
    return (check,)


PATCH = Patch(
    id="git_status",
    title="Leave the remotes of a fork alone",
    why="training would add upstream as a remote of the fork, fetch its tags, and advise to pull over the patches",
    until="upstream no longer fetches when it trains",
    compat=True,
    variants=(
        Variant(tags=("v5.0", "v6.0", "v6.1", "v6.2", "v7.0", "master"), edits=edits()),
        Variant(versions=">=5.0.0,<=7.0.14", edits=edits("yolov5/")),
    ),
)
