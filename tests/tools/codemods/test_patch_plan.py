"""A plan says of every patch what it found and would do, and writes nothing.

Also of: `slimfork.codemods.compiling`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from slimfork.codemods.codemod import Import, Insert, Replace
from slimfork.codemods.patch import Patch, Variant
from slimfork.codemods.patch_plan import PatchPlan, plan_patches

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from slimfork.codemods.codemod import Edit

GO = Insert(file="a.py", within=("A", "f"), anchor="go()", code="after(self)")
ONE = Import(file="a.py", code="import one")
TWO = Import(file="a.py", code="import two")
OTHER = Import(file="b.py", code="import one")

A = b"import a\n\n\nclass A:\n    def f(self, after):\n        go()\n"
B = b"import b\n"


def patch(name: str, *edits: Edit, versions: str = ">=1,<=2") -> Patch:
    return Patch(
        id=name, title=f"Do {name}", why="it is so", until="never", variants=(Variant(versions=versions, edits=edits),)
    )


def plan(files: Mapping[str, bytes], *series: Patch, version: str = "1.5") -> PatchPlan:
    return plan_patches(files, upstream="up", version=version, series=series)


def states(planned: PatchPlan) -> list[str]:
    return [step.state for step in planned.steps]


def test_pending_patch_holds_the_whole_new_files() -> None:
    planned = plan({"a.py": A, "b.py": B, "c.py": b"untouched"}, patch("p", GO, OTHER))
    assert states(planned) == ["pending"]
    assert planned.steps[0].reason == "every site waits for the edit"
    assert planned.changes == {"a.py": A + b"        after(self)\n", "b.py": B + b"import one\n"}


def test_applied_patch_changes_nothing() -> None:
    planned = plan({"a.py": A + b"        after(self)\n"}, patch("p", GO))
    assert states(planned) == ["applied"]
    assert planned.changes == {}
    assert planned.steps[0].reason == "every site holds the edit"


def test_patch_for_other_releases_is_excluded_with_the_reason() -> None:
    planned = plan({}, patch("p", GO, versions=">=2,<=3"))
    assert states(planned) == ["excluded"]
    assert planned.steps[0].reason == "not for up 1.5"
    assert not planned.broken


def test_later_patches_see_the_edits_of_earlier_ones() -> None:
    planned = plan({"a.py": A, "b.py": B}, patch("p", ONE), patch("q", TWO, OTHER), patch("r", GO))

    assert states(planned) == ["pending"] * 3
    first, second, third = (step.changes for step in planned.steps)
    assert first == {"a.py": A.replace(b"import a\n", b"import a\nimport one\n")}
    assert second["a.py"] == A.replace(b"import a\n", b"import a\nimport one\nimport two\n")
    assert third["a.py"] == second["a.py"] + b"        after(self)\n"
    assert planned.changes == {"a.py": third["a.py"], "b.py": B + b"import one\n"}


def test_second_run_of_a_series_is_all_applied() -> None:
    series = patch("p", ONE), patch("q", TWO, OTHER), patch("r", GO)
    files = {"a.py": A, "b.py": B}

    again = plan({**files, **plan(files, *series).changes}, *series)

    assert states(again) == ["applied"] * 3
    assert again.changes == {}


def test_part_of_a_series_may_be_applied_already() -> None:
    series = patch("p", ONE), patch("q", TWO)
    first = plan({"a.py": A}, series[0])

    planned = plan(dict(first.changes), *series)

    assert states(planned) == ["applied", "pending"]
    assert planned.changes == plan({"a.py": A}, *series).changes


def test_broken_patch_changes_nothing_and_the_others_are_planned_without_it() -> None:
    gone = Insert(file="a.py", within=("A", "f"), anchor="gone()", code="x()")
    planned = plan({"a.py": A, "b.py": B}, patch("p", OTHER, gone), patch("q", ONE))

    assert states(planned) == ["broken", "pending"]
    assert planned.broken == planned.steps[:1]
    assert planned.steps[0].reason == "a site is not as it should be"
    assert planned.changes == {"a.py": A.replace(b"import a\n", b"import a\nimport one\n")}


def test_every_fault_of_every_patch_is_told_at_once() -> None:
    gone = Insert(file="a.py", within=("A", "f"), anchor="gone()", code="x()")
    lost = Insert(file="lost.py", within=(), anchor="x", code="y")
    planned = plan({"a.py": A}, patch("p", gone, lost, GO), patch("q", OTHER), patch("r", GO))

    assert states(planned) == ["broken", "broken", "pending"]
    problems = [problem.splitlines() for step in planned.broken for problem in step.problems]
    assert [lines[0] for lines in problems] == ["p: Do p", "p: Do p", "q: Do q"]
    assert [lines[2] for lines in problems] == [
        "  problem  expected 1 site, found none",
        "  problem  the file does not exist",
        "  problem  the file does not exist",
    ]


def test_upstreamed_patch_changes_nothing() -> None:
    edit = Insert(file="a.py", within=("A", "f"), anchor="go()", code="after(self)", upstream_form="after(...)")
    planned = plan({"a.py": A.replace(b"go()", b"after(1)\n        go()")}, patch("p", edit))
    assert states(planned) == ["upstreamed"]
    assert planned.steps[0].reason == "the release has made this edit itself"
    assert planned.changes == {}


def test_half_applied_patch_is_broken_and_says_which_half() -> None:
    planned = plan({"a.py": A, "b.py": B + b"import one\n"}, patch("p", GO, OTHER))
    assert states(planned) == ["broken"]
    (problem,) = planned.steps[0].problems
    assert problem == (
        "p: Do p\n"
        "  problem  half applied to up 1.5\n"
        "  done     b.py :: module, at the imports at the top of the module\n"
        "  missing  a.py :: A.f, at go()\n"
        "  why      it is so\n"
        "  next     take out what is done, or add what is missing, and commit that"
    )


@pytest.mark.parametrize(
    ("edit", "content", "flaw"),
    [
        (
            Replace(file="a.py", anchor="go()", code="go().back()"),
            A,
            "a second run would not find its edit of a.py applied",
        ),
        (
            Insert(file="a.py", within=(), anchor="x = 1", code="return x"),
            b"x = 1\n",
            "the edited a.py would not compile: 'return' outside function",
        ),
    ],
)
def test_edit_that_goes_wrong_is_the_patchs_own_fault(edit: Edit, content: bytes, flaw: str) -> None:
    planned = plan({"a.py": content}, patch("p", edit))
    assert states(planned) == ["broken"]
    assert planned.changes == {}
    lines = planned.steps[0].problems[0].splitlines()
    assert lines[0] == "p: Do p"
    assert lines[1].startswith(f"  problem  on up 1.5, {flaw}")
    assert lines[-1] == "  next     leave it out: apply-patches apply PATH --skip p"


def test_file_that_does_not_parse_breaks_only_what_needs_it() -> None:
    planned = plan({"a.py": b"def f(:\n", "b.py": B}, patch("p", GO), patch("q", OTHER))
    assert states(planned) == ["broken", "pending"]
    assert "  problem  it does not parse: line 1: " in planned.steps[0].problems[0]


def test_upstreams_own_warnings_are_not_shown(recwarn: pytest.WarningsRecorder) -> None:
    planned = plan({"b.py": B + b"x = '\\d'\n"}, patch("p", OTHER))
    assert states(planned) == ["pending"]
    assert not recwarn.list


class Tree(dict[str, bytes]):
    """Files that note what was read."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        super().__init__(files)
        self.seen: set[str] = set()

    def get(self, path: str, default: object = None) -> bytes | None:  # type: ignore[override]
        del default
        self.seen.add(path)
        return super().get(path)

    def __getitem__(self, path: str) -> bytes:
        self.seen.add(path)
        return super().__getitem__(path)

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("the whole tree was listed")


def test_only_files_that_a_patch_asks_for_are_read() -> None:
    tree = Tree({"a.py": A, "b.py": B, "c.py": b"", "d.py": b""})
    assert states(plan(tree, patch("p", GO), patch("q", OTHER, versions=">=3,<=4"))) == ["pending", "excluded"]
    assert tree.seen == {"a.py"}


def test_the_same_files_give_the_same_plan() -> None:
    series = patch("p", ONE, OTHER), patch("q", GO)
    files = {"a.py": A, "b.py": B}
    assert plan(files, *series) == plan(files, *series)
    assert files == {"a.py": A, "b.py": B}
