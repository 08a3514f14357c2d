"""A checkpoint notes remote, branch and commit of where it was trained. A fork has no remote, and nothing trains."""

from __future__ import annotations

from slimfork.codemods import Patch, Replace, Variant

PATCH = Patch(
    id="git_info",
    title="Train in a repository without a remote",
    why="train.py asks for the address of `origin` as it is imported, and a fork that was just made has none",
    until="upstream trains in a repository without a remote",
    compat=True,
    variants=(
        Variant(
            tags=("v7.0",),
            edits=(
                Replace(
                    file="utils/general.py",
                    within=("check_git_info",),
                    anchor="repo.remotes.origin.url.replace('.git', '')",
                    code="next((remote.url for remote in repo.remotes), '').replace('.git', '')",
                ),
            ),
        ),
    ),
)
