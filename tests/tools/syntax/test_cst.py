"""What an anchor matches, and which statements of a file it is compared with.

Also of: `slimfork.syntax.sources`, `slimfork.syntax.likeness`, `slimfork.syntax.taking`.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import libcst as cst
import pytest

from slimfork.syntax.cst import NodeSwap, blocks, matches, nodes, parse_quietly, rewrite_scope

if TYPE_CHECKING:
    from slimfork.syntax.cst import Statements


def body(code: str) -> object:
    return cst.ensure_type(cst.parse_statement(code), cst.SimpleStatementLine).body


def names(module: cst.Module, *within: str) -> list[list[str]]:
    """Return the blocks of a scope, each as the code of its simple statements."""
    return [simple_statements(module, block) for block in blocks(module, within)]


def simple_statements(module: cst.Module, block: Statements) -> list[str]:
    return [module.code_for_node(s).strip() for s in block if isinstance(s, cst.SimpleStatementLine)]


@pytest.mark.parametrize(
    ("pattern", "code"),
    [
        ("f(x)", "f( x )"),
        ("f(x)", "f(x,)"),
        ("f(x)", "(f(x))"),
        ("f(x)", "f((x))"),
        ("f(x)", "f(x)  # a comment"),
        ("f(x)", "f(  # a comment\n    x,\n)"),
        ("f(x)", "f(x);"),
        ("f(x, y=1)", "f(x, y = 1)"),
        ("f('a')", 'f("a")'),
        ("f('a')", 'f("""a""")'),
        ("f('a')", "f(r'a')"),
        ("f('it\\'s')", 'f("it\'s")'),
        ("f(f'{a} b')", 'f(f"{a} b")'),
        ("f(f'{a} b')", 'f(f"""{a} b""")'),
        ("x = (1, 2)", "x = 1, 2"),
        ("x = [1, 2]", "x = [\n    1,\n    2,\n]"),
        ("a.b.c", "a . b .c"),
        ("import a as b", "import a  as  b"),
        ("from a import b, c", "from a import (b, c)"),
        ("if_ = x[1:2]", "if_ = x[1 : 2]"),
    ],
)
def test_form_does_not_matter(pattern: str, code: str) -> None:
    assert matches(body(pattern), body(code))


@pytest.mark.parametrize(
    ("pattern", "code"),
    [
        ("f(...)", "f()"),
        ("f(...)", "f(1, *a, b=2, **c)"),
        ("f(...)", "f(g(h()))"),
        ("f(..., 1)", "f(x + y, 1)"),
        ("f(a=...)", "f(a=[1, 2])"),
        ("x = ...", "x = {'a': 1}"),
        ("x[...]", "x[...]"),
        ("self.f(...).g(...)", "self.f(1).g(x=2)"),
        ("return ...", "return (yield)"),
    ],
)
def test_dots_stand_for_anything(pattern: str, code: str) -> None:
    assert matches(body(pattern), body(code))


@pytest.mark.parametrize(
    ("pattern", "code"),
    [
        ("f(x)", "f(y)"),
        ("f(x)", "f(x, y)"),
        ("f(x)", "f(x=x)"),
        ("f(x)", "f(*x)"),
        ("f(x)", "await f(x)"),
        ("f(x)", "f(x); g()"),
        ("f(x)", "y = f(x)"),
        ("f(x)", "self.f(x)"),
        ("f('a')", "f('b')"),
        ("f('a')", "f(b'a')"),
        ("f('a')", "f(f'a')"),
        ("f('a')", "f('a' '')"),
        ("f(f'{a}')", "f(f'{b}')"),
        ("f(f'{a}')", "f(f'{a!r}')"),
        ("f(...)", "g()"),
        ("f(..., 1)", "f(1)"),
        ("f(..., 1)", "f(x=2, y=1)[0]"),
        ("f(a=...)", "f(b=1)"),
        ("f(a=...)", "f(1)"),
        ("x = ...", "x: int = 1"),
        ("x = ...", "x = y = 1"),
        ("x = ...", "x += 1"),
        ("x = (1, 2)", "x = [1, 2]"),
        ("x = 1", "x = 1.0"),
        ("import a", "import a as b"),
        ("from a import b", "from .a import b"),
        ("from a import b", "from a import b, c"),
        ("return x", "x"),
    ],
)
def test_structure_matters(pattern: str, code: str) -> None:
    assert not matches(body(pattern), body(code))


NESTED = """\
top
class A:
    def f(self):
        plain
        if a:
            then
        elif b:
            other
        else:
            last
        for i in x:
            each
        else:
            all_done
        while x:
            again
        else:
            over
        with x as y:
            inside
        try:
            tried
        except E:
            caught
        except F:
            caught_too
        else:
            went_well
        finally:
            always
        match x:
            case 1:
                one
            case _:
                any_other
        def inner():
            deep
        class Inner:
            deeper
        async def g():
            async with z:
                deepest
"""


def test_every_kind_of_block_is_seen() -> None:
    found = names(cst.parse_module(NESTED), "A", "f")
    assert found[-1] == ["plain"]
    seen = {name for block in found for name in block}
    assert seen == {
        *("plain", "then", "other", "last", "each", "all_done", "again", "over", "inside", "tried", "caught"),
        *("caught_too", "went_well", "always", "one", "any_other", "deep", "deeper", "deepest"),
    }
    assert sum(map(len, found)) == len(seen)  # each once


def test_blocks_of_except_groups_are_seen() -> None:
    module = cst.parse_module("try:\n    a\nexcept* E:\n    b\n")
    assert sorted(map(tuple, names(module))) == [(), ("a",), ("b",)]


SCOPES = """\
in_module
class A:
    in_a
    def f(self):
        in_a_f
    @wraps
    async def g(self):
        in_a_g
class B(A):
    def f(self):
        in_b_f
def f():
    in_f
if x:
    def g():
        in_conditional_g
class A:
    def f(self):
        in_second_a_f
"""


@pytest.mark.parametrize(
    ("within", "seen"),
    [
        (("A", "f"), {"in_a_f", "in_second_a_f"}),
        (("A", "g"), {"in_a_g"}),
        (("*", "f"), {"in_a_f", "in_b_f", "in_second_a_f"}),
        (("B", "*"), {"in_b_f"}),
        (("*", "*"), {"in_a_f", "in_a_g", "in_b_f", "in_second_a_f"}),
        (("f",), {"in_f"}),
        (("A",), {"in_a", "in_a_f", "in_a_g", "in_second_a_f"}),
        (("g",), set()),  # a scope in a condition is not at that path
        (("C", "f"), set()),
        (("A", "f", "x"), set()),
    ],
)
def test_scope_is_found_by_its_path(within: tuple[str, ...], seen: set[str]) -> None:
    found = names(cst.parse_module(SCOPES), *within)
    assert {name for block in found for name in block} == seen


def test_empty_path_is_the_whole_module() -> None:
    found = names(cst.parse_module(SCOPES))
    assert len([name for block in found for name in block]) == 8


def test_rewriting_changes_one_scope_and_keeps_the_rest() -> None:
    module = cst.parse_module(SCOPES)

    def double(statements: Statements) -> Statements:
        return [copy for statement in statements for copy in (statement, statement)]

    code = rewrite_scope(module, ("B", "f"), double).code

    assert code == SCOPES.replace("        in_b_f\n", "        in_b_f\n        in_b_f\n")


def test_rewriting_nothing_returns_the_same_tree() -> None:
    module = cst.parse_module(NESTED)
    assert rewrite_scope(module, ("A", "f"), lambda statements: statements) is module
    assert rewrite_scope(module, ("Z",), lambda statements: [*statements, *statements]) is module


@pytest.mark.parametrize("block", ["then", "other", "last", "all_done", "over", "caught_too", "always", "any_other"])
def test_rewriting_reaches_every_kind_of_block(block: str) -> None:
    def drop(statements: Statements) -> Statements:
        module = cst.Module([])
        return [s for s in statements if module.code_for_node(s).strip() != block] or [cst.parse_statement("pass")]

    code = rewrite_scope(cst.parse_module(NESTED), ("A", "f"), drop).code

    indent = next(line for line in NESTED.splitlines() if line.strip() == block).removesuffix(block)
    assert code == NESTED.replace(f"{indent}{block}\n", f"{indent}pass\n")


@pytest.mark.parametrize(
    ("code", "wanted"),
    [
        ("@deco(a)\ndef f(b=c):\n    d\n", {"deco", "a", "f", "b", "c"}),
        ("if e: f\nelif g: h\nelse: i\n", {"e", "f", "g", "h", "i"}),
        ("for j in k(l):\n    m\nelse:\n    n\n", {"j", "k", "l"}),
    ],
)
def test_nodes_cover_heads_and_one_line_suites_but_no_blocks(code: str, wanted: set[str]) -> None:
    found = nodes(cst.parse_statement(code))
    assert {node.value for node in found if isinstance(node, cst.Name)} == wanted


def test_swap_changes_what_matches_and_copies_no_other_statement() -> None:
    module = cst.parse_module("a(1)\nb(1)\nif a(2):\n    a(3)\n")
    swap = NodeSwap(cst.parse_expression("a(...)"), lambda _: cst.Name("z"))

    new = rewrite_scope(module, (), swap.rewrite)

    assert new.code == "z\nb(1)\nif z:\n    z\n"
    assert new.body[1] is module.body[1]


def test_parsing_quietly_says_nothing_of_upstreams_escapes(recwarn: pytest.WarningsRecorder) -> None:
    assert isinstance(parse_quietly(b"x = '\\d'\n"), ast.Module)
    assert not recwarn.list
