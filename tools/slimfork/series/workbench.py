"""A repository for the moment beside a fork: it sees the fork's objects, and none of its settings or attributes.

What is compared and printed there depends on the objects alone: no `diff.*` setting, attribute, replace ref or graft of
the fork or its user has a say, and nothing is written to the fork.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from slimfork.git import commits
from slimfork.git.gitout import checked_sha
from slimfork.git.repo import new_bare_repository
from slimfork.processes.processes import clear
from slimfork.releases.objects import parse_batch
from slimfork.series.raw_commits import parse_commit
from slimfork.terminal.errors import SlimforkError, UsageError
from slimfork.terminal.words import typed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from slimfork.git.repo import Repository
    from slimfork.series.raw_commits import RawCommit

DIFF = ("-p", "--binary", "--full-index", "--no-renames", "--no-color", "--no-ext-diff", "--no-textconv", "-U3")
PREFIXES = (
    "--src-prefix=a/",
    "--dst-prefix=b/",
    "--diff-algorithm=myers",
    "--submodule=short",
    "--no-indent-heuristic",
)
DRAFTS_REF = "refs/heads/slimfork-drafts"
SCRATCH_ATTRIBUTES = "info/attributes"


class MisfitError(SlimforkError):
    """A mail or a diff does not apply."""


@contextmanager
def beside(repository: Repository) -> Iterator[Repository]:
    """Yield a bare repository, gone afterwards, that has the objects of another one."""
    with (
        TemporaryDirectory(prefix="slimfork-series-") as folder,
        new_bare_repository(Path(folder) / "git") as scratch,
    ):
        info = scratch.git_dir / "objects" / "info"
        info.mkdir(parents=True, exist_ok=True)
        (info / "alternates").write_bytes(_quoted_path(repository.common_dir / "objects") + b"\n")
        (scratch.git_dir / "info").mkdir(exist_ok=True)
        yield scratch


def _quoted_path(path: Path) -> bytes:
    """Return a path as the list of alternates has it, whatever letters are in it."""
    raw = b"".join(bytes([b]) if chr(b).isalnum() or b in b"/._- " else b"\\%03o" % b for b in os.fsencode(path))
    return b'"' + raw + b'"'


def refuse_partial(repository: Repository) -> None:
    """Refuse a clone of which history or files are missing."""
    place = typed(repository.root)
    if repository.ask("rev-parse", "--is-shallow-repository") == "true":
        raise UsageError(f"{repository.root} is a shallow clone", hint=f"git -C {place} fetch --unshallow")
    if repository.ask("config", "--get-regexp", r"^remote\..*\.promisor$"):
        what = f"{repository.root} is a partial clone: it has not all files"
        raise UsageError(what, hint="git clone it again, without --filter")
    if repository.ask("rev-parse", "--show-object-format") not in {None, "sha1"}:
        what = f"{repository.root} names its commits by SHA-256, and a fork that is made again by SHA-1"
        raise UsageError(what, hint="git clone its origin again, without --object-format")


def commits_of(scratch: Repository, head: str) -> list[RawCommit]:
    """Return all commits in the history of one, oldest first."""
    listed = scratch.git("rev-list", "--topo-order", "--reverse", checked_sha(head))
    objects = parse_batch(scratch.git("cat-file", "--batch", stdin=listed))
    return [parse_commit(objects[name][1]) for name in listed.decode("ascii").split()]


def read_commit(repository: Repository, sha: str) -> RawCommit:
    """Return a commit."""
    return parse_commit(repository.git("cat-file", "commit", checked_sha(sha)))


def write_text(repository: Repository, text: bytes) -> str:
    """Write a commit that has a text, as `git cat-file commit` prints it, and return its hash."""
    command = ("hash-object", "-t", "commit", "-w", "--literally", "--stdin")
    return repository.git(*command, stdin=text).decode("ascii").strip()


def write_drafts(scratch: Repository, drafts: Sequence[commits.Draft], start: str | None) -> list[str]:
    """Write a chain of commits on one, or on none, and return them; no ref of it stays."""
    made = scratch.write_refs(commits.stream(drafts, start=start, ref=DRAFTS_REF), len(drafts))
    scratch.git("update-ref", "-d", DRAFTS_REF)
    return made


def diff_of(scratch: Repository, old: str, new: str) -> bytes:
    """Return what lies between two trees, as `git apply` takes it."""
    attributes = scratch.git_dir / SCRATCH_ATTRIBUTES
    attributes.write_text("* !diff !text !eol\n", "ascii")
    command = ("diff-tree", "-r", *DIFF, *PREFIXES, checked_sha(old), checked_sha(new))
    diff = scratch.git(*command)
    if b"\0" in diff:  # far into a file, where git does not look for what makes it binary
        attributes.write_text("* -diff\n", "ascii")
        diff = scratch.git(*command)
    return diff


class Workbench:
    """An index of its own in a repository, to apply mails and diffs to trees."""

    def __init__(self, repository: Repository, folder: Path) -> None:
        self._repository, self._folder = repository, folder
        self._env = {"GIT_INDEX_FILE": str(folder / "index"), "LC_ALL": "C"}
        self._stands = ""

    def apply_mail(self, tree: str, content: bytes) -> str:
        """Return the tree that a mail makes of a tree, read as `git am` reads it.

        Raises:
            MisfitError: It does not fit, or is no mail.
        """
        parts = self._folder / "mails"
        parts.mkdir(exist_ok=True)
        source = self._folder / "mail"
        source.write_bytes(content)
        count = self._run("mailsplit", f"-o{parts}", "--", str(source)).decode("ascii").strip()
        if count != "1":
            raise MisfitError(f"it holds {count} mails and not one")
        patch = self._folder / "patch"
        one = next(parts.iterdir())
        self._run("mailinfo", str(self._folder / "message"), str(patch), stdin=one.read_bytes())
        one.unlink()
        return self.apply(tree, patch.read_bytes())

    def apply(self, tree: str, diff: bytes) -> str:
        """Return the tree that a diff makes of a tree.

        Raises:
            MisfitError: It does not fit.
        """
        if self._stands != tree:
            self._run("read-tree", checked_sha(tree))
        self._stands = ""
        self._run("apply", "--cached", "--whitespace=nowarn", "-", stdin=diff)
        self._stands = self._run("write-tree").decode("ascii").strip()
        return self._stands

    def _run(self, *arguments: str, stdin: bytes = b"") -> bytes:
        status, out, said = self._repository.run(*arguments, stdin=stdin, env=self._env)
        if status:
            first = next(filter(str.strip, said.splitlines()), None)
            raise MisfitError(first.removeprefix("error: ") if first else f"git {arguments[0]} ends with {status}")
        return out


@contextmanager
def workbench(repository: Repository) -> Iterator[Workbench]:
    """Yield a workbench in a repository that is not there for long, or not yet at its place: it lies in that one."""
    folder = repository.git_dir / "slimfork-bench"
    folder.mkdir()
    try:
        yield Workbench(repository, folder)
    finally:
        clear(folder)


def tree_of(repository: Repository, commit: str) -> str:
    """Return the tree of a commit."""
    return repository.git("rev-parse", f"{checked_sha(commit)}^{{tree}}").decode("ascii").strip()
