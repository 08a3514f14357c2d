"""Do upstream's own tests pass on a fork as they do on the release that it was made from? Compared test by test.

The tests are those of the release, whatever a fork has done to its own. They run in copies of three trees: `pristine`,
the release as it was published; `baseline`, the same with the compatibility patches, where it has any: many old
releases cannot even be imported on today's stack, and what fails everywhere can be broken without anybody noticing; and
the fork's work tree. Nothing that passed on either of the first two may fail on the fork.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from slimfork.git.repo import open_repository
from slimfork.inside import inside, upstream_stand_ins
from slimfork.terminal.errors import UsageError
from slimfork.terminal.paths import repository_around
from slimfork.verify.upstream_tests_run import ALL_TESTS, PytestRun, Result, run_tests
from slimfork.verify.verify import lay_out

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from slimfork.verify.upstream_tests_run import Status
    from slimfork.verify.verify import Role

TestVerdict = Literal["regressed", "flaky", "mended", "passed", "failed", "skipped"]

ROLES: tuple[Role, ...] = ("pristine", "baseline", "fork")
MISSING = Result(status="missing", reason="there is no such test")
STAND_INS_FILE = inside.script("upstream_stand_ins_steps.py")
STAND_INS_TIME = 600.0  # seconds to make all checkpoints; they take ten


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A test on every tree.

    Attributes:
        id: pytest's node id, or a file that could not be collected, or `tests` where nothing could.
        results: What came of it in the trees, in the order of ROLES.
        verdict: `regressed`: it passed before the fork, and fails on it, twice; `flaky`: it failed there once and then
            passed; `mended`: it passes on the fork and not on pristine; else what it does on the fork.
    """

    id: str
    results: Mapping[Role, Result]
    verdict: TestVerdict

    @property
    def statuses(self) -> dict[str, Status]:
        """How it ended in the trees, in the order of ROLES."""
        return _statuses(self.results)

    @property
    def differs(self) -> bool:
        """Whether the trees do not agree, or the fork fails otherwise than what it was made from."""
        return len(set(self.statuses.values())) > 1 or bool(self._before)

    @property
    def reason(self) -> str:
        """The first line of why it does not pass on the fork, or did not before."""
        fork = self.results["fork"].reason
        if fork:
            return f"{fork} (before: {self._before})" if self._before else fork
        for result in self.results.values():
            if result.reason:
                return result.reason
        return ""

    @property
    def _before(self) -> str:
        """Why it did not pass on the tree next to the fork, where that is not why it does not on the fork."""
        *_, before, fork = self.results.values()
        return before.reason if before.reason and fork.reason not in {"", before.reason} else ""

    def as_json(self) -> dict[str, str]:
        """Return plain data."""
        return {**self.statuses, "verdict": self.verdict, "reason": self.reason}


def _statuses(results: Mapping[Role, Result]) -> dict[str, Status]:
    return {role: result.status for role, result in results.items()}


def compare(runs: Mapping[Role, Mapping[str, Result]], again: Mapping[str, Result]) -> list[Compared]:
    """Compare what came of every test, the worst first.

    Args:
        runs: Tree to node id to result.
        again: What came of tests that were run on the fork a second time.
    """
    compared = []
    for test in dict.fromkeys(chain.from_iterable(runs.values())):
        results = {role: _result(run, test) for role, run in runs.items()}
        compared.append(_compare(test, results, again))
    worst_first = get_args(TestVerdict)
    return sorted(compared, key=lambda test: worst_first.index(test.verdict))


def _result(run: Mapping[str, Result], test: str) -> Result:
    """Return what came of a test; one that is not there may lie in a file that could not be collected."""
    if test in run:
        return run[test]
    above = run.get(test.partition("::")[0]) or run.get(ALL_TESTS)
    return Result(status="missing", reason=above.reason) if above else MISSING


def _compare(test: str, results: Mapping[Role, Result], again: Mapping[str, Result]) -> Compared:
    before = _statuses(results)
    fork = before.pop("fork")
    verdict: TestVerdict
    if fork == "passed":
        verdict = "passed" if before["pristine"] == "passed" else "mended"
    elif "passed" in before.values():
        verdict = "flaky" if test in again and again[test].status == "passed" else "regressed"
    else:
        verdict = "skipped" if fork == "skipped" else "failed"
    return Compared(id=test, results=results, verdict=verdict)


def run_upstream_tests(
    path: Path,
    work: Path,
    *,
    timeout: float,
    expression: str | None,
    on_test: Callable[[str, int, int], None],
) -> list[Compared]:
    """Run the tests of a fork's release in every tree and compare them; an empty list where it carries none.

    Args:
        path: The fork.
        work: An empty folder for everything that the tests write.
        timeout: Seconds that one test may take.
        expression: pytest's `-k`, or None for all tests.
        on_test: Called with the tree, the number of tests done and of all.

    Raises:
        UsageError: The path is no patched fork, there is no pytest, or the expression selects nothing.
    """
    _refuse(work)
    release, trees = lay_out(path, work / "sources")
    if not any((trees["pristine"] / "tests").glob("test_*.py")):
        return []
    if not _differ(trees["pristine"], trees["baseline"]):
        del trees["baseline"]
    _make_stand_ins(trees.get("baseline", trees["pristine"]), work / "stand-ins")
    runs: dict[Role, dict[str, Result]] = {}
    for role in ROLES:
        if role not in trees:
            continue
        run = PytestRun(
            folder=work / role,
            package=release.upstream,
            timeout=timeout,
            expression=expression,
            on_test=partial(on_test, role),
        )
        _copy(trees[role], run.tree, tests=trees["pristine"] / "tests")
        upstream_stand_ins.place(run.tree, work / "stand-ins")
        runs[role] = run_tests(run)
        _refuse_expression(runs[role], expression)
    worse = [test.id for test in compare(runs, {}) if test.verdict == "regressed"]
    return compare(runs, run_tests(run, "again", worse) if worse else {})  # run is the fork's, which comes last


def _refuse(work: Path) -> None:
    if importlib.util.find_spec("pytest") is None:
        raise UsageError("upstream's tests need pytest, which is not installed", hint="pip install pytest")
    outer = repository_around(work.resolve())
    if outer:  # upstream would take it for its own checkout, and keep its data sets in the folder beside it
        raise UsageError(f"{work} is inside the repository {outer}", hint="--work into a folder outside of it")


def _refuse_expression(results: Mapping[str, Result], expression: str | None) -> None:
    said = results[ALL_TESTS].reason if ALL_TESTS in results else ""
    if expression is None or (results and "'-k'" not in said):
        return
    hint = "-k with a part of a test's name, as in pytest -k"
    raise UsageError(said.removeprefix("ERROR: ") or f"no test matches -k {expression!r}", hint=hint)


def _differ(one: Path, other: Path) -> bool:
    """Tell whether two trees hold other files, or the same with other content."""
    ours, theirs = _paths(one), _paths(other)
    return ours != theirs or any((one / path).read_bytes() != (other / path).read_bytes() for path in ours)


def _paths(tree: Path) -> set[Path]:
    return {path.relative_to(tree) for path in tree.rglob("*") if path.is_file()}


def _copy(tree: Path, target: Path, *, tests: Path) -> None:
    """Copy a tree without what git ignores, with the tests of the release in place of its own."""
    for name in _files(tree):
        if (tree / name).is_file() and Path(name).parts[0] != "tests":
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(tree / name, target / name)
    shutil.copytree(tests, target / "tests")


def _files(tree: Path) -> list[str]:
    if not (tree / ".git").exists():
        return [path.relative_to(tree).as_posix() for path in tree.rglob("*")]
    with open_repository(tree) as repository:
        out = repository.git("ls-files", "-z", "--cached", "--others", "--exclude-standard", worktree=True)
    return [os.fsdecode(name) for name in out.split(b"\0") if name]


def _make_stand_ins(tree: Path, folder: Path) -> None:
    """Make what the tests would download, as far as the tree can; a test that lacks one fails on every tree alike."""
    (folder / "weights").mkdir(parents=True)
    upstream_stand_ins.draw_sets(tree, folder / "datasets")
    stems = upstream_stand_ins.stems(tree)
    if not stems:
        return
    command = inside.python(STAND_INS_FILE, str(folder / "weights"), *stems)
    environment = inside.environment(tree, folder.with_name("stand-ins-home"))
    with folder.with_name("stand-ins.txt").open("wb") as log, suppress(subprocess.TimeoutExpired):
        subprocess.run(
            command, cwd=folder.parent, env=environment, stdout=log, stderr=log, timeout=STAND_INS_TIME, check=False
        )
