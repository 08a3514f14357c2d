"""Git plumbing: what is written is fixed to the bit, what is read is what is there, what is odd is refused."""

from __future__ import annotations

import os

import pytest

from slimfork.git import commits
from slimfork.git.gitout import TreeFile, checked_ref, checked_sha
from slimfork.git.repo import new_repository, open_repository, scrubbed
from slimfork.terminal.errors import SlimforkError, UsageError
from tests.tools.conftest import write

FILES = {
    "a": ("100644", b"one\r\n"),
    "run.sh": ("100755", b""),
    'b/ü "quoted"\\\n.txt': ("100644", b"\xff\x00"),
    ".gitattributes": ("100644", b"* text eol=lf\n"),
}
FIRST = commits.Draft(message="First\n\nÜber.\n\nPatch-Id: x\n", when=1_700_000_000, files=FILES)
SECOND = commits.Draft(message="Second\n", when=1_700_000_000, files={"a": None, "c": ("100644", b"c")})


@pytest.fixture
def made(tmp_path):
    """A repository with two commits, as `vendor` writes one."""
    with new_repository(tmp_path / "made") as repository:
        shas = repository.write_refs(commits.stream([FIRST, SECOND], start=None, ref="refs/heads/slim"), 2)
        repository.git("read-tree", "-m", "-u", shas[-1])
    return tmp_path / "made", shas


def test_hashes_are_fixed_for_good(made):
    """Were they to change, every fork that is out there would change."""
    assert made[1] == ["d6f90b7b4678356aae5d2f714bb02b55e8c9280b", "03e99397c61b2165d6d0bac5a584fbcafac41332"]


def test_a_commit_is_read_as_it_was_written(made):
    path, (first, second) = made
    with open_repository(path) as repository:
        assert repository.head() == second
        assert repository.branch() == "refs/heads/slim"
        entries = repository.entries(first)
        assert {p: (e.mode, repository.blob(e.blob)) for p, e in entries.items()} == FILES
        assert [(c.path, c.old is None, c.new is None) for c in repository.changes(first, second)] == [
            ("a", False, True),
            ("c", True, False),
        ]
        newest, oldest = repository.log(second)
        assert (newest.sha, newest.parents, oldest.parents) == (second, (first,), ())
        assert (oldest.message, oldest.when, oldest.subject) == (FIRST.message.rstrip("\n"), FIRST.when, "First")
        assert [c.sha for c in repository.log(second, grep="^Patch-Id: ")] == [first]
        assert repository.dirty() == []


def test_writing_moves_no_ref_and_leaves_no_file(made, git):
    path, (_, second) = made
    before = {p for p in path.rglob("*") if "objects" not in p.parts}
    refs = git(path, "for-each-ref")
    with open_repository(path) as repository:
        third = repository.write(commits.stream([SECOND], start=second, ref="refs/heads/made"), 1)[0]
        assert repository.log(third)[0].parents == (second,)
    assert git(path, "for-each-ref") == refs
    assert {p for p in path.rglob("*") if "objects" not in p.parts} == before


def test_sha256_repositories_work_too(git, tmp_path):
    git(tmp_path, "init", "-q", "--object-format=sha256", "-b", "main", "r")
    write(tmp_path / "r", {"a": b"a"})
    git(tmp_path / "r", "add", "a")
    git(tmp_path / "r", "commit", "-q", "-m", "x")
    with open_repository(tmp_path / "r") as repository:
        head = repository.head()
        new = repository.write(commits.stream([SECOND], start=head, ref="refs/heads/made"), 1)[0]
        assert len(new) == 64
        assert list(repository.entries(new)) == ["c"]


def test_links_and_submodules_are_no_files(made, git):
    path, _ = made
    (path / "link").symlink_to("c")
    git(path, "add", "link")
    git(path, "update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},sub")
    git(path, "commit", "-q", "-m", "odd")
    with open_repository(path) as repository:
        entries = repository.entries(repository.head())
    assert "c" in entries
    assert {"link", "sub"} & entries.keys() == set()
    assert all(isinstance(e, TreeFile) for e in entries.values())


@pytest.mark.parametrize(
    "name",
    ["slim", "refs/heads/a..b", "refs/heads/a b", "refs/heads/x.lock", "--exec=x", "refs/remotes/x", "refs/heads/-x\n"],
)
def test_odd_refs_are_refused(name):
    with pytest.raises(SlimforkError, match="no branch or tag"):
        checked_ref(name)


@pytest.mark.parametrize("name", ["HEAD", "", "--all", "A" * 40, "a" * 39])
def test_only_a_whole_hash_is_a_hash(name):
    with pytest.raises(SlimforkError, match="no commit hash"):
        checked_sha(name)


def test_the_environment_comes_back(monkeypatch):
    monkeypatch.setenv("GIT_DIR", "elsewhere")
    with scrubbed():
        assert not [name for name in os.environ if name.startswith("GIT_")]
    assert os.environ["GIT_DIR"] == "elsewhere"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_user_is_refused_until_the_user_allows_it(made, git):
    path, (_, second) = made
    for file in [path, *path.rglob("*")]:
        os.chown(file, 12345, 12345)
    with pytest.raises(UsageError, match="another user owns it"), open_repository(path):
        pass
    git(path, "config", "--global", "--add", "safe.directory", str(path))
    with open_repository(path) as repository:
        assert repository.head() == second


def test_a_failure_of_git_is_one_line(made):
    with open_repository(made[0]) as repository, pytest.raises(SlimforkError) as caught:
        repository.entries("1" * 40)
    assert "\n" not in caught.value.message
    assert "ls-tree failed" in caught.value.message
