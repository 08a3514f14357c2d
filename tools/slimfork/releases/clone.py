"""One commit from a git repository into the cache: to a temporary name, renamed when its hash has proved it."""

from __future__ import annotations

import gzip
import os
import re
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from slimfork.git.repo import Repository, new_bare_repository
from slimfork.processes.parts import part_of
from slimfork.processes.processes import clear
from slimfork.releases.objects import read_commit
from slimfork.releases.origin import Origin, find_origin
from slimfork.terminal import ui

if TYPE_CHECKING:
    from collections.abc import Mapping

    from slimfork.releases.pins import Pin
    from slimfork.terminal.errors import UsageError

# The user's own settings hold: a proxy, certificates, `url.<base>.insteadOf`. Nobody is asked for a password, and a
# connection that has stalled for a minute is given up.
QUIET = ("--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head", "--no-auto-maintenance")
STALLED = ("-c", "http.lowSpeedLimit=1000", "-c", "http.lowSpeedTime=60")
SPOKEN = {"LC_ALL": "C", "LANGUAGE": "C", "GIT_TERMINAL_PROMPT": "0"}
OF_THE_NETWORK = ("GIT_ASKPASS", "GIT_CONFIG_GLOBAL", "GIT_HTTP", "GIT_PROXY", "GIT_SSH", "GIT_SSL")

ALL_OR_NOTHING = re.compile(r"unadvertised object|shallow capabilities|support shallow")
FETCH_CAUSES = (
    (r"not our ref|no such remote ref|couldn't find remote ref", "has no commit {commit} (what {spec} is pinned to)"),
    (r"dubious ownership", "is another user's, and git does not trust it"),
    (
        r"not appear to be a git repository|invalid gitfile|not a git repository|repository .* not found|not valid:",
        "is not a git repository",
    ),
    (r"could not read Username|Authentication failed|Permission denied", "asks for a password, or is not there"),
    (r"Could not resolve host|resolve hostname", "cannot be reached: its name cannot be resolved"),
    (r"Connection refused|Couldn't connect", "cannot be reached: connection refused"),
    (r"timed out|too slow|Network is unreachable", "cannot be reached: no answer in time"),
    (r"SSL|certificate", "cannot be reached: its certificate was not accepted"),
)


def fill(path: Path, pin: Pin, named: str | None, *, show: bool) -> None:
    """Fetch the commit of a pin to a path; nothing is left there, or beside it, when that fails."""
    origin = find_origin(pin.upstream, named)
    env = _environment()
    work = part_of(path)
    clear(work)  # of a run that was killed and had the same number
    work.mkdir()
    try:
        shown = ui.steps(f"fetching {pin.spec} from {origin.name}") if show else nullcontext()
        with shown, new_bare_repository(work / "git") as repository:
            fetch_commit(repository, origin, pin, env)
            (work / "objects").write_bytes(gzip.compress(_batch(repository, pin.commit), mtime=0))
        read_commit(work / "objects", pin.commit)
        (work / "objects").replace(path)
    finally:
        clear(work)


def _environment() -> dict[str, str]:
    return SPOKEN | {name: value for name, value in os.environ.items() if name.startswith(OF_THE_NETWORK)}


def fetch_commit(repository: Repository, origin: Origin, pin: Pin, env: Mapping[str, str]) -> None:
    """Fetch one commit without its past; from a server that does not give single commits, everything.

    Raises:
        UsageError: The repository cannot be reached, or does not have the commit.
    """
    said = _fetch(repository, env, "--depth=1", "--", origin.address, pin.commit)
    if said and ALL_OR_NOTHING.search(said):
        said = _fetch(repository, env, "--", origin.address, "+refs/*:refs/all/*")
    if said:
        raise _explain(origin, pin.spec, pin.commit, said)
    if repository.ask("cat-file", "-t", pin.commit) != "commit":
        raise _explain(origin, pin.spec, pin.commit, "not our ref")


def _fetch(repository: Repository, env: Mapping[str, str], *arguments: str) -> str:
    """Run `git fetch`; return what it complains of, or nothing."""
    status, _, said = repository.talk(*STALLED, "fetch", *QUIET, *arguments, env=env)
    return said.strip() or f"status {status}" if status else ""


def commit_of(upstream: str, tag: str, named: str | None) -> str:
    """Return the commit that a tag, or a branch, of an upstream's repository stands at now.

    Raises:
        UsageError: The repository cannot be reached, or has neither.
    """
    origin = find_origin(upstream, named)
    refs = (
        f"refs/tags/{tag}^{{}}",
        f"refs/tags/{tag}",
        f"refs/heads/{tag}",
    )  # the first is what an annotated tag names
    env = _environment()
    with TemporaryDirectory(prefix="slimfork-git-") as folder, new_bare_repository(Path(folder) / "git") as repository:
        status, out, said = repository.talk(*STALLED, "ls-remote", "--", origin.address, *refs, env=env)
    if status:
        raise _explain(origin, f"{upstream}@{tag}", "", said.strip() or f"status {status}")
    by_ref: dict[str, str] = {}
    for line in out.decode("utf-8", "replace").splitlines():
        commit, ref = line.split("\t")
        by_ref[ref] = commit
    for ref in refs:
        if ref in by_ref:
            return by_ref[ref]
    raise origin.refuse(f"has no tag or branch {tag}", f"git ls-remote {origin.name}")


def _cause(said: str) -> str | None:
    """Return in words why a fetch failed, where that is known."""
    for pattern, words in FETCH_CAUSES:
        if re.search(pattern, said, re.IGNORECASE):
            return words
    return None


def _explain(origin: Origin, spec: str, commit: str, said: str) -> UsageError:
    words = _cause(said)
    if words is None:
        lines = said.splitlines()
        first = next((line for line in lines if line.startswith("fatal: ")), lines[-1])
        return origin.refuse(
            f"does not give {spec}: {first.removeprefix('fatal: ').replace(origin.address, origin.name)}"
        )
    hint = None
    if Path(origin.address, "shallow").exists() or Path(origin.address, ".git", "shallow").exists():
        hint = f"it is a shallow clone: git -C {origin.name} fetch --unshallow"
    elif "trust" in words:
        hint = f"git config --global --add safe.directory {origin.address}"
    return origin.refuse(words.format(commit=commit[:12], spec=spec), hint)


def _batch(repository: Repository, commit: str) -> bytes:
    """Return the commit and everything below it, as `git cat-file --batch` prints it."""
    tree = repository.git("rev-parse", f"{commit}^{{tree}}").decode().strip()
    below: set[str] = set()
    for line in repository.git("ls-tree", "-r", "-t", "-z", "--full-tree", commit).split(b"\0"):
        if not line:
            continue
        _, kind, name = line.partition(b"\t")[0].decode("ascii").split()
        if kind != "commit":  # a submodule's, which is in another repository
            below.add(name)
    asked = "\n".join([commit, tree, *sorted(below), ""])
    return repository.git("cat-file", "--batch", stdin=asked.encode())
