"""The user's commits made again on a new base, by merging trees: no work tree, and the same hashes every time.

Who wrote a commit and when, its message and its encoding stay; only its signature goes, which was of another commit. A
merge stays a merge: one that git had made by itself is made by git again, of what its sides have become, and one in
which somebody decided something is applied as what it changed in the parent that it is a patch on.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from slimfork.series.raw_commits import base_among
from slimfork.series.workbench import tree_of
from slimfork.upgrade.authorship import Authorship, authorship, rest_of
from slimfork.upgrade.three_way import Clash, Merged, merge_bases, merge_commits, merge_trees, write_commit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from slimfork.git.repo import Repository
    from slimfork.series.raw_commits import RawCommit
    from slimfork.upgrade.moved import MovedFiles

SIDES = 2  # of a merge that git can make by itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """A commit that does not fit what stands there now.

    Attributes:
        raw: The commit.
        onto: The new commit that it was to come upon.
        change: A commit with one parent that changes what it changes, where that is in the new release.
        guessing: Whether git would look for what is changed in files that are merely like those.
        clashes: Where the two disagree.
    """

    raw: RawCommit
    onto: str
    change: str
    guessing: bool
    clashes: tuple[Clash, ...]


@dataclass(kw_only=True)
class Replay:
    """What becomes of each commit of a history.

    Attributes:
        scratch: Where new commits are written.
        raws: The commits after the import, parents first, by hash.
        became: Commit to what stands in its place; what is not in it stays as it is.
        moved: What has moved in the release.
        part_of_ours: Gives the tree of what a commit would be if it held nothing of the user's, where it holds both.
        whole: The one commit that is made again though it is ours: the step from one release to the next.
        dropped: The commits that have nothing to change any more: the new release has made the same change.
        stops: The commits that do not fit: one, or in a rehearsal all of them.
    """

    scratch: Repository
    raws: Mapping[str, RawCommit]
    became: dict[str, str]
    moved: MovedFiles
    part_of_ours: Callable[[RawCommit, str], str]
    whole: str = ""
    dropped: list[str] = field(default_factory=list)
    stops: list[Stop] = field(default_factory=list)
    _trees: dict[str, str] = field(default_factory=dict)

    def run(self, *, rehearsal: bool = False) -> None:
        """Make commits again until one does not fit; a rehearsal goes on with git's markers in the files."""
        for sha, raw in self.raws.items():
            if sha in self.became or not any(parent in self.became for parent in raw.parents):
                continue  # done, or of somebody else's history, which was merged: it does not stand on the import
            if authorship(raw) is Authorship.OURS and sha != self.whole:
                self.leave_out(raw)
                continue
            merged = self._merged(raw)
            if merged.clashes:
                self.stops.append(self._stop(raw, merged.clashes))
                if not rehearsal:
                    return
            self._put(raw, merged.tree)

    def now(self, commit: str) -> str:
        """Return what stands in the place of a commit."""
        return self.became.get(commit, commit)

    def onto(self, raw: RawCommit) -> str:
        """Return the new commit that a commit comes upon: what has become of the parent that it is a patch on."""
        return self.now(self.base(raw))

    def base(self, raw: RawCommit) -> str:
        """Return the parent that a commit is a patch on: of a merge, one that moves, if one does."""
        return base_among(raw, {parent: self._tree(parent) for parent in raw.parents}, self.became)

    def accept(self, raw: RawCommit, tree: str, rest: bytes | None = None) -> str:
        """Write the commit that stands in the place of one, and return it.

        Args:
            raw: The commit.
            tree: The files of the new one.
            rest: Author, committer and message; None: those of the commit.
        """
        parents = tuple(dict.fromkeys(map(self.now, raw.parents)))
        self.became[raw.sha] = write_commit(self.scratch, tree, parents, rest or rest_of(raw))
        return self.became[raw.sha]

    def leave_out(self, raw: RawCommit) -> None:
        """Let nothing stand in the place of a commit."""
        self.became[raw.sha] = self.onto(raw)

    def _put(self, raw: RawCommit, tree: str) -> None:
        changed_something = raw.tree != self._tree(self.base(raw))
        if changed_something and len(raw.parents) == 1 and tree == self._tree(self.onto(raw)):
            if authorship(raw) is Authorship.USERS:
                self.dropped.append(raw.sha)
            self.leave_out(raw)
        else:
            self.accept(raw, tree)

    def _merged(self, raw: RawCommit) -> Merged:
        before, after = self._change(raw)
        again = self._by_git_again(raw, before)
        if again:
            return again
        there, guessed = self._tree(self.onto(raw)), self._guessed(raw, before, after)
        # There they are gone, and git would put what the user has changed in them into others that are like them.
        if raw.sha == self.whole:
            after = self.moved.with_files(after, before, guessed)
        else:
            there = self.moved.with_files(there, before, guessed)
        merged = merge_trees(self.scratch, base=before, ours=there, theirs=after)
        clashes = (Clash(path=path, kind="modify/delete") for path in guessed)
        return Merged(tree=merged.tree, clashes=(*merged.clashes, *clashes))

    def _guessed(self, raw: RawCommit, before: str, after: str) -> tuple[str, ...]:
        """Return the files that the user has changed and that git would look for under other names."""
        there = self._tree(self.onto(raw))
        if raw.sha == self.whole:
            return self.moved.guessed(before, there)
        kept = self.scratch.entries(there)  # a file that the user has kept in an earlier conflict is met by its name
        return tuple(path for path in self.moved.guessed(before, after) if path not in kept)

    def _change(self, raw: RawCommit) -> tuple[str, str]:
        """Return the trees before and after what the user changed in a commit, in the places of the new release."""
        both = authorship(raw) is Authorship.BOTH
        before = self.part_of_ours(raw, self.base(raw)) if both else self._tree(self.base(raw))
        return (before, raw.tree) if raw.sha == self.whole else self.moved.follow(before, raw.tree)

    def _stop(self, raw: RawCommit, clashes: tuple[Clash, ...]) -> Stop:
        before, after = self._change(raw)
        change = write_commit(self.scratch, after, (write_commit(self.scratch, before),), rest_of(raw))
        guessing = bool(self._guessed(raw, before, after))
        return Stop(raw=raw, onto=self.onto(raw), change=change, guessing=guessing, clashes=clashes)

    def _by_git_again(self, raw: RawCommit, before: str) -> Merged | None:
        """Return the merge of what has become of two sides, if git had made theirs by itself, and can do so now."""
        sides = tuple(map(self.now, raw.parents))
        if len(set(sides)) != SIDES or raw.tree == before or not self._parts_as_before(raw, sides):
            return None
        for ours, theirs, wanted in ((*raw.parents, raw.tree), (*sides, "")):
            merged = merge_commits(self.scratch, ours, theirs)
            if merged.clashes or (wanted and merged.tree != wanted):
                return None
        return merged

    def _parts_as_before(self, raw: RawCommit, sides: tuple[str, ...]) -> bool:
        """Tell whether two sides part where the old ones did: else git would merge what one of them had done without.

        They do not where one side is older than the last upgrade, which had the old branch in its history.
        """
        old, new = merge_bases(self.scratch, *raw.parents), merge_bases(self.scratch, *sides)
        return set(map(self.now, old)) == set(new)

    def _tree(self, commit: str) -> str:
        if commit not in self._trees:
            self._trees[commit] = self.raws[commit].tree if commit in self.raws else tree_of(self.scratch, commit)
        return self._trees[commit]
