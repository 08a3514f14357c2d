"""The message of an edit that does not fit names all that a person needs to mend it."""

from __future__ import annotations

import pytest

from slimfork.codemods.codemod import BOM, Insert, Replace
from slimfork.codemods.explain import explain, explain_flaw, explain_half
from slimfork.codemods.patch import Patch

PATCH = Patch(id="slow", title="Slow it down", why="it is too fast (write-up 1, 2)", until="it is slow", variants=())
EDIT = Insert(file="src/a.py", within=("A", "f"), anchor="self.go(fast)", code="self.wait()")

SOURCE = b"""\
self.go(fast, module=True)

class A:
    def f(self):
        x = 1
        if x:
            self.go(faster)  # a long comment that would make this line unlike the anchor
        self.go(fast=True)
        return x

    def g(self):
        self.go(fast)
"""


def nearest(content: bytes | None, edit: Insert = EDIT) -> list[str]:
    message = explain(PATCH, edit, "up 1.0", content, "expected 1 site, found none")
    return [line.removeprefix("  nearest  ") for line in message.splitlines() if line.startswith("  nearest")]


def test_whole_message() -> None:
    assert explain(PATCH, EDIT, "up 1.0", SOURCE, "expected 1 site, found none") == (
        "slow: Slow it down\n"
        "  at       src/a.py :: A.f (up 1.0)\n"
        "  problem  expected 1 site, found none\n"
        "  expected self.go(fast)\n"
        "  nearest  line 7: self.go(faster)  # a long comment that would make this line unlike the anchor\n"
        "  nearest  line 8: self.go(fast=True)\n"
        "  why      it is too fast (write-up 1, 2)\n"
        "  next     leave it out: apply-patches apply PATH --skip slow"
    )


def test_edit_of_a_module_names_the_module() -> None:
    edit = Insert(file="src/a.py", within=(), anchor="x", code="y")
    assert "  at       src/a.py :: module (up 1.0)\n" in explain(PATCH, edit, "up 1.0", SOURCE, "none")


def test_candidates_are_the_statements_of_the_scope() -> None:
    assert nearest(SOURCE)[0].startswith("line 7: ")
    assert not [line for line in nearest(SOURCE) if line.startswith(("line 1:", "line 12:"))]


def test_where_the_scope_is_gone_the_whole_file_is_searched() -> None:
    assert nearest(SOURCE.replace(b"class A", b"class B"))[0] == "line 12: self.go(fast)"


def test_scope_with_any_name_is_searched_in_all_of_them() -> None:
    edit = Insert(file="src/a.py", within=("*", "*"), anchor="self.go(fast)", code="x")
    assert nearest(SOURCE, edit)[0] == "line 12: self.go(fast)"


def test_equal_lines_are_told_apart_by_their_numbers() -> None:
    twice = SOURCE.replace(b"self.go(fast=True)", b"self.go(fast)\n        self.go(fast)")
    assert nearest(twice)[:2] == ["line 8: self.go(fast)", "line 9: self.go(fast)"]


def test_at_most_three_candidates_are_named() -> None:
    many = SOURCE.replace(b"return x", b"self.go(fas)\n        self.go(fst)\n        self.go(ast)\n        return x")
    assert len(nearest(many)) == 3


@pytest.mark.parametrize(
    "content",
    [None, b"", b"\n\n", b"class A:\n    def f(self):\n        return 0\n"],
)
def test_where_nothing_is_alike_nothing_is_named(content: bytes | None) -> None:
    assert nearest(content) == []


@pytest.mark.parametrize(
    ("content", "first"),
    [
        (b"def broken(:\n    self.go(fastest)\n", "line 2: self.go(fastest)"),
        (SOURCE.replace(b"\n", b"\r\n"), "line 7: self.go(faster)"),
        (BOM + SOURCE, "line 7: self.go(faster)"),
        (b"# coding: latin-1\n# \xe9\n" + SOURCE, "line 9: self.go(faster)"),
        (b"# coding: nonsense\n" + SOURCE, "line 13: self.go(fast)"),
        (b"x = '\\d'\n" + SOURCE, "line 8: self.go(faster)"),
    ],
)
def test_lines_are_right_in_files_of_any_form(content: bytes, first: str) -> None:
    assert nearest(content)[0].startswith(first)


def test_decorators_and_nested_blocks_do_not_move_lines() -> None:
    content = b"""\
class A:
    @wraps(
        x
    )
    def f(self):
        try:
            self.go(fast + 1)
        finally:
            pass
"""
    assert nearest(content)[0] == "line 7: self.go(fast + 1)"


def test_yaml_is_searched_without_its_comments() -> None:
    edit = Insert(file="a.yaml", within=(), anchor="nbs:", code="x")
    content = b"lr0: 0.01 # (float) initial learning rate\nnbs2: 64 # (int) nominal batch size, a long comment on it\n"
    assert nearest(content, edit) == ["line 2: nbs2: 64 # (int) nominal batch size, a long comment on it"]


def test_half_applied_message_names_both_halves() -> None:
    other = Insert(file="src/b.py", within=(), anchor="x", code="y")
    assert explain_half(PATCH, "up 1.0", [EDIT], [other]) == (
        "slow: Slow it down\n"
        "  problem  half applied to up 1.0\n"
        "  done     src/a.py :: A.f, at self.go(fast)\n"
        "  missing  src/b.py :: module, at x\n"
        "  why      it is too fast (write-up 1, 2)\n"
        "  next     take out what is done, or add what is missing, and commit that"
    )


def test_flaw_message_points_to_the_patch() -> None:
    assert explain_flaw(PATCH, "up 1.0", "the edited a.py would not compile") == (
        "slow: Slow it down\n"
        "  problem  on up 1.0, the edited a.py would not compile\n"
        "  why      it is too fast (write-up 1, 2)\n"
        "  next     leave it out: apply-patches apply PATH --skip slow"
    )


def test_a_line_that_holds_the_whole_anchor_is_nearest_however_long() -> None:
    source = b"a = np.stack(x)\nvalue = some_function(np.trapz(first_argument, second_argument), axis=0, keepdims=1)\n"
    edit = Replace(file="a.py", anchor="np.trapz", code="np.trapezoid")
    message = explain(PATCH, edit, "ultralytics 8.9.0", source, "found 2")
    assert "  nearest  line 2: value" in next(line for line in message.splitlines() if "nearest" in line)
