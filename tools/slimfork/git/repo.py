"""Git as this program uses it, and the only module that touches GitPython.

Objects are read and written with plumbing in an environment of our own: no user, system or hook setting can
change a hash. Only what concerns the user's work tree (`worktree=True`) follows the user's own settings.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from filelock import FileLock, Timeout

from slimfork.git import gitout
from slimfork.git.gitprogram import check_git, complaint, last_words, scrubbed
from slimfork.git.quarantine import move_objects
from slimfork.terminal.errors import SlimforkError, UsageError, busy
from slimfork.terminal.paths import not_a_repository
from slimfork.terminal.words import typed

# GitPython asks for the program's version as it is imported, and fails where that does; `check_git` says why.
with scrubbed(GIT_PYTHON_REFRESH="quiet", GIT_PYTHON_GIT_EXECUTABLE=f"{os.devnull}-git"):
    from git import Git, InvalidGitRepositoryError, NoSuchPathError, Repo

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LOCK = "slimfork.lock"
SCRATCH = "slimfork-refs.git"

# Hooks, signatures and background jobs have no say in what this program writes.
ALWAYS = ("-c", f"core.hooksPath={os.devnull}", "-c", "core.fsmonitor=false", "-c", "gc.auto=0")
PLUMBING = ("-c", "core.autocrlf=false", "-c", "core.compression=1", "-c", "safe.directory=*")
ISOLATED = {
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "HOME": os.devnull,
    "TZ": "UTC",
    "XDG_CONFIG_HOME": os.devnull,
}


class Repository:
    """An open repository. Made by `open_repository` and `new_repository`."""

    def __init__(self, repo: Repo) -> None:
        self.root = Path(repo.working_dir)
        self.git_dir = Path(repo.git_dir)
        self.common_dir = Path(repo.common_dir).resolve()
        self._git = Git(self.root)  # and not repo.git: it expands $NAME in the path
        self.own_session = False  # whether git runs out of reach of Ctrl-C

    def run(
        self, *arguments: str, stdin: bytes = b"", worktree: bool = False, env: Mapping[str, str] | None = None
    ) -> tuple[int, bytes, str]:
        """Run git with fixed arguments and return its status, stdout and stderr.

        Args:
            arguments: The verb and what follows; paths come after `--` or over stdin.
            stdin: What the command reads.
            worktree: Follow the user's own settings: line endings and filters of the work tree are theirs.
            env: More environment variables.
        """
        settings = ALWAYS if worktree else ALWAYS + PLUMBING
        with self._feed(stdin) as feed:
            status, out, err = self._git.execute(
                ["git", *settings, *arguments],
                istream=feed,
                env={**({} if worktree else ISOLATED), **(env or {})},
                with_extended_output=True,
                with_exceptions=False,
                stdout_as_string=False,
                strip_newline_in_stdout=False,
                start_new_session=self.own_session,
            )
        return status, out, err

    @contextmanager
    def _feed(self, stdin: bytes) -> Iterator[BinaryIO | None]:
        """Yield what git reads, in a file beside what it goes to: the folder for temporary files may be small."""
        if not stdin:
            yield None
            return
        folder = self.git_dir if os.access(self.git_dir, os.W_OK) else None
        with tempfile.TemporaryFile(dir=folder) as feed:
            feed.write(stdin)
            feed.seek(0)
            yield feed

    def git(
        self, *arguments: str, stdin: bytes = b"", worktree: bool = False, env: Mapping[str, str] | None = None
    ) -> bytes:
        """Run git as `run` does and return its stdout; its failure is an error."""
        status, out, err = self.run(*arguments, stdin=stdin, worktree=worktree, env=env)
        if status:
            said = last_words(err.splitlines(), status)
            raise SlimforkError(f"git {arguments[0]} failed in {self.root}: {said}")
        return out

    def talk(self, *arguments: str, env: Mapping[str, str]) -> tuple[int, bytes, str]:
        """Run git as the user would, to speak to another repository: it may take long, and Ctrl-C ends it."""
        command = ["git", *ALWAYS, *arguments]
        handle = self._git.execute(command, env=dict(env), as_process=True, start_new_session=True)
        running = handle.proc  # the handle ends git when nobody holds it any more
        if running is None:  # pragma: no cover - it has just been started
            raise SlimforkError(f"git {arguments[0]} did not start in {self.root}")
        try:
            out, err = running.communicate()
        finally:
            if running.poll() is None:
                os.killpg(running.pid, signal.SIGTERM) if hasattr(os, "killpg") else running.terminate()
                running.wait()
        return running.returncode, out, os.fsdecode(err)

    def ask(self, *arguments: str) -> str | None:
        """Return the one line that a command answers, or None when it fails."""
        status, out, _ = self.run(*arguments)
        return None if status else os.fsdecode(out).rstrip("\n")

    def head(self) -> str | None:
        """Return the commit that is checked out, or None before the first one."""
        return self.ask("rev-parse", "--verify", "--quiet", "HEAD^{commit}")

    def branch(self) -> str | None:
        """Return the full name of the branch that is checked out, or None when HEAD is detached."""
        return self.ask("symbolic-ref", "--quiet", "HEAD")

    def resolve(self, ref: str) -> str | None:
        """Return the commit of a branch or tag, or None when there is none."""
        return self.ask("rev-parse", "--verify", "--quiet", f"{gitout.checked_ref(ref)}^{{commit}}")

    def is_ancestor(self, commit: str) -> bool:
        """Tell whether a commit is in the history of what is checked out, as far as that history is here."""
        return self.run("merge-base", "--is-ancestor", gitout.checked_sha(commit), "HEAD")[0] == 0

    def entries(self, commit: str) -> dict[str, gitout.TreeFile]:
        """Return the files of a commit: path to mode and blob, without links and submodules."""
        return gitout.parse_tree(self._ls_tree(commit))

    def others(self, commit: str) -> frozenset[str]:
        """Return the paths of a commit that are no files: links and submodules."""
        return gitout.parse_others(self._ls_tree(commit))

    def _ls_tree(self, commit: str) -> bytes:
        return self.git("ls-tree", "-r", "-z", "--full-tree", gitout.checked_sha(commit))

    def hidden(self) -> dict[str, str]:
        """Return the files whose changes git was told not to see: path to `skip-worktree` or `assume-unchanged`."""
        return gitout.parse_flags(self.git("ls-files", "-v", "-z", worktree=True))

    def index(self) -> dict[str, gitout.TreeFile]:
        """Return the files of the index: path to mode and blob."""
        return gitout.parse_index(self.git("ls-files", "-s", "-z", worktree=True))

    def worktrees(self) -> list[tuple[str, str]]:
        """Return the folder of each work tree, this one too, and the full name of its branch, or ""."""
        return gitout.parse_worktrees(self.git("worktree", "list", "--porcelain"))

    def blob(self, sha: str) -> bytes:
        """Return the content of a blob; in a partial clone git fetches it, with the user's own settings."""
        return self.git("cat-file", "blob", gitout.checked_sha(sha), worktree=True)

    def changes(self, old: str, new: str) -> list[gitout.FileChange]:
        """Return the files that differ between two commits, sorted by path."""
        commits = gitout.checked_sha(old), gitout.checked_sha(new)
        return gitout.parse_changes(self.git("diff-tree", "-r", "-z", "--no-renames", *commits))

    def log(self, *revisions: str, grep: str | None = None) -> list[gitout.LoggedCommit]:
        """Return commits, newest first: all of them, or those with a line that matches `grep`."""
        shape = ("-z", "--topo-order", "--no-show-signature", "--encoding=UTF-8", f"--format={gitout.LOG_FORMAT}")
        which = ("-E", f"--grep={grep}") if grep else ()
        return gitout.parse_log(self.git("log", *shape, *which, *revisions, "--"))

    def dirty(self) -> list[str]:
        """Return the tracked files that differ from HEAD, as the user's own `git status` sees them."""
        shape = ("--porcelain", "-z", "--no-renames", "--untracked-files=no", "--ignore-submodules=all")
        out = self.git("status", *shape, worktree=True, env={"GIT_OPTIONAL_LOCKS": "0"})
        return gitout.parse_status(out)

    def write(self, stream: bytes, marks: int) -> list[str]:
        """Write the objects of a fast-import stream, moving no ref, and return the commits of its marks.

        A repository of its own takes the refs and the objects of the stream; then its objects are moved here, each in
        one step. So a run that is killed leaves nothing but unreachable objects, which git clears away by itself, and
        that repository, which the next run clears away. The caller holds the lock.
        """
        bare = self.common_dir / SCRATCH
        shutil.rmtree(bare, ignore_errors=True)  # of a run that was killed
        try:
            kind = self.ask("rev-parse", "--show-object-format") or "sha1"
            self.git("init", "--quiet", "--bare", "--template=", f"--object-format={kind}", "--", str(bare))
            (bare / "objects" / "info" / "alternates").write_text("../../objects\n", "ascii")
            commits = self._fast_import(stream, marks, bare / "marks", {"GIT_DIR": str(bare)})
            move_objects(bare / "objects", self.common_dir / "objects")
            return commits
        finally:
            shutil.rmtree(bare, ignore_errors=True)

    def write_refs(self, stream: bytes, marks: int) -> list[str]:
        """Write a fast-import stream with its refs: for a repository that nobody has seen yet."""
        return self._fast_import(stream, marks, self.git_dir / "marks", {})

    def _fast_import(self, stream: bytes, marks: int, file: Path, env: Mapping[str, str]) -> list[str]:
        options = ("--quiet", "--done", "--date-format=raw", f"--export-marks={file}")
        self.git("fast-import", *options, stdin=stream, env=env)
        known = dict(line.split() for line in file.read_text("ascii").splitlines())
        file.unlink()
        return [known[f":{mark}"] for mark in range(1, marks + 1)]

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep two runs apart."""
        lock = FileLock(self.common_dir / LOCK, timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise busy(self.root) from None
        try:
            shutil.rmtree(self.common_dir / SCRATCH, ignore_errors=True)  # of a run that was killed
            yield
        finally:
            lock.release()


def _init(path: Path, *more: str) -> None:
    path.mkdir()
    command = ["git", "init", "--quiet", "--template=", "--object-format=sha1", *more]
    status, _, said = Git(path).execute(command, env=ISOLATED, with_extended_output=True, with_exceptions=False)
    if status:
        raise SlimforkError(f"git init failed in {path}: {complaint(os.fsdecode(said), status)}")


@contextmanager
def new_repository(path: Path) -> Iterator[Repository]:
    """Make a repository in a new folder and open it; its files stay byte for byte whatever the user's settings."""
    check_git()
    with scrubbed():
        _init(path)
        with Repo(path, expand_vars=False) as repo:
            repository = Repository(repo)
            repository.git("symbolic-ref", "HEAD", "refs/heads/slim")
            repository.git("config", "--local", "core.autocrlf", "false")
            # Upstream's .gitattributes must not rewrite upstream's files: this one has the last word.
            info = repository.git_dir / "info"
            info.mkdir(exist_ok=True)
            (info / "attributes").write_text("* -text -ident -filter -working-tree-encoding\n", "ascii")
            # A source distribution has no .gitignore; what installing and training leave is nobody's to commit.
            (info / "exclude").write_text("__pycache__/\n*.egg-info/\n/build/\n/dist/\n/runs/\n", "ascii")
            yield repository


@contextmanager
def new_bare_repository(path: Path) -> Iterator[Repository]:
    """Make a repository without a work tree in a new folder and open it: to fetch into."""
    check_git()
    with scrubbed():
        _init(path, "--bare")
        with Repo(path, expand_vars=False) as repo:
            yield Repository(repo)


@contextmanager
def open_repository(path: Path) -> Iterator[Repository]:
    """Open the repository whose work tree is `path`.

    Raises:
        UsageError: There is no such folder, it is not the top of a work tree, or git does not trust it.
    """
    if not path.is_dir():
        what = "is not a folder" if path.exists() else "does not exist"
        raise UsageError(f"{path} {what}", hint="apply-patches vendor ultralytics --into fork")
    check_git()
    with scrubbed():
        try:
            repo = Repo(path.absolute(), expand_vars=False)
        except (InvalidGitRepositoryError, NoSuchPathError):
            raise not_a_repository(path) from None
        with repo:
            if repo.bare or repo.working_tree_dir is None:
                hint = f"git clone {typed(path)} fork, then apply-patches apply fork"
                raise UsageError(f"{path} is a bare repository: it has no files to patch", hint=hint)
            repository = Repository(repo)
            status, _, said = repository.run("rev-parse", "--git-dir", worktree=True)
            if status:
                hint = f"git -C {typed(path)} status, which says why"
                why = "another user owns it" if "dubious ownership" in said else complaint(said, status)
                raise UsageError(f"git refuses {path}: {why}", hint=hint)
            yield repository
