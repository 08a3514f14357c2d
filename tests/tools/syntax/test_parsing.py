"""Parsing piece by piece gives LibCST's own tree, and gives what has not changed as the same objects."""

from __future__ import annotations

import libcst as cst
import pytest

from slimfork.syntax.parsing import parse_module
from slimfork.syntax.printing import print_module

PLAIN = b'''#!/usr/bin/env python
"""A module."""

import os; import sys

A = 1; B = """
class No:
    def no(self):
"""


@first
@second(
    third
)
class Thing(Base):
    """Its docstring."""

    field: int = 1; other = 2

    @property
    def one(self):
        # within
        return [
            1,
        ]

    async def two(self): return 2

    class Inner:
        x = 1

        def three(self):
            return """
not indented
"""


if A:
    import json
else:
    pass
# the end
'''
FORMS = {
    "plain": PLAIN,
    "no last newline": PLAIN.removesuffix(b"# the end\n").removesuffix(b"\n"),
    "comment without newline at the end": PLAIN.removesuffix(b"\n"),
    "CRLF": PLAIN.replace(b"\n", b"\r\n"),
    "mixed line ends": PLAIN.replace(b"import os; import sys\n", b"import os; import sys\r\n"),
    "two spaces": PLAIN.replace(b"    ", b"  "),
    "tabs": PLAIN.replace(b"    ", b"\t"),
    "Latin-1": b"# -*- coding: latin-1 -*-\nA = '\xe9'\nB = '\xe8'\n",
    "form feed": PLAIN.replace(b"\n\n\n", b"\n\x0c\n"),
    "class first": b"class A:\n    x = 1\n\n    def f(self): pass\n",
    "one statement": b"x = 1\n",
    "empty": b"",
    "comment only": b"# nothing\n\n",
    "blank lines": b"\n\nx = 1\n\n\n",
}


@pytest.mark.parametrize("text", FORMS.values(), ids=FORMS)
def test_the_tree_is_that_of_libcst(text: bytes) -> None:
    module, whole = parse_module(text), cst.parse_module(text)
    assert module.bytes == print_module(module) == text
    assert module.deep_equals(whole)


@pytest.mark.parametrize(
    "comment",
    [b"        # in the method\n", b"    # in the class\n", b"# outside\n", b"\n      # between\n\n"],
)
def test_a_comment_between_methods_stays_where_it_is(comment: bytes) -> None:
    text = PLAIN.replace(b"    async def two", comment + b"    async def two")
    text = text.replace(b"\n\nif A", b"\n\n" + comment + b"if A").replace(b"# the end\n", comment)
    assert parse_module(text).bytes == text


def test_what_has_not_changed_is_the_same_object() -> None:
    before = parse_module(PLAIN)
    after = parse_module(PLAIN.replace(b"x = 1", b"x = 2").replace(b"1,", b"1, 2,"))
    assert [a is b for a, b in zip(before.body, after.body, strict=True)][1:] == [True, True, False, True]
    old, new = (cst.ensure_type(module.body[3], cst.ClassDef).body.body for module in (before, after))
    assert [a is b for a, b in zip(old, new, strict=True)][1:] == [True, False, True, False]


@pytest.mark.parametrize("text", [b"def f(:\n", b"x = 1\n  y = 2\n", b"# coding: no-such\nx = 1\n", b"x = '\xff'\n"])
def test_it_fails_as_libcst_does(text: bytes) -> None:
    with pytest.raises(Exception) as theirs:  # noqa: PT011 - whatever it is
        cst.parse_module(text)
    with pytest.raises(theirs.type):
        parse_module(text)
