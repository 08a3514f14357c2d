"""The edits of Python code: insert a statement, add an import, replace an expression or statement."""

from __future__ import annotations

import pytest

from slimfork.codemods.codemod import BOM, EditError, Import, Insert, Replace, Sites, Source

METHOD = Insert(file="a.py", within=("A", "f"), anchor="go(...)", code="after(self)")
BEFORE = Insert(file="a.py", within=("A", "f"), anchor="go(...)", code="first(self)", where="before")
IMPORT = Import(file="a.py", code="from z import y")
CALL = Replace(file="a.py", anchor="old(...)", code="new(1)")


def text(*lines: str) -> str:
    return "".join(f"{line}\n" for line in lines)


def method(*lines: str) -> str:
    return text("class A:", "    def f(self):", *(f"        {line}" for line in lines))


def applied(edit: Insert | Import | Replace, code: str) -> str:
    """Apply an edit to code where it is pending, and demand that it finds itself applied then."""
    source = Source(code.encode())
    assert edit.sites(source) == Sites(pending=edit.count)
    new = edit.apply(source).content
    assert edit.sites(Source(new)) == Sites(applied=edit.count)
    assert edit.apply(Source(new)).content == new
    return new.decode()


def before_and_after(*lines: str) -> tuple[list[str], list[str]]:
    """Split the lines of a diff: those with a plus come with the edit."""
    return [line for line in lines if line[0] != "+"], [line.removeprefix("+") for line in lines]


@pytest.mark.parametrize(
    "diff",
    [
        ("go(1)", "+after(self)"),
        ("go(1)  # a comment", "+after(self)"),
        ("x = 1", "go()", "+after(self)", "# below", "y = 2"),
        ("if x:", "    go()", "+    after(self)", "else:", "    pass"),
        ("try:", "    pass", "finally:", "    go()", "+    after(self)"),
        ("for i in x:", "    pass", "else:", "    go()", "+    after(self)"),
        ("go(", "    1,  # one", ")", "+after(self)"),
        ("go()", "+after(self)", "go_on()"),
        ("go()", "+after(self)", "after(other)"),
        ("after(self)", "go()", "+after(self)"),
    ],
)
def test_statement_goes_after_its_anchor(diff: tuple[str, ...]) -> None:
    before, after = before_and_after(*diff)
    assert applied(METHOD, method(*before)) == method(*after)


@pytest.mark.parametrize(
    "diff",
    [
        ("+first(self)", "go(1)"),
        ("x = 1", "# about go", "+first(self)", "go()  # c"),
        ("with x:", "+    first(self)", "    go()"),
        ("+first(self)", "go()", "first(self)"),
    ],
)
def test_statement_goes_before_its_anchor_and_below_its_comments(diff: tuple[str, ...]) -> None:
    before, after = before_and_after(*diff)
    assert applied(BEFORE, method(*before)) == method(*after)


@pytest.mark.parametrize(
    "lines",
    [
        ("if x: go()",),
        ("go(); stop()",),
        ("stop(); go()",),
        ("x = go()",),
        ("await go()",),
        ("self.go()",),
        ("lambda: go()",),
        ("with go():", "    pass"),
        ("# go()", "pass"),
        ("'go()'",),
    ],
)
def test_anchor_must_be_a_statement_of_its_own(lines: tuple[str, ...]) -> None:
    assert METHOD.sites(Source(method(*lines).encode())) == Sites()


@pytest.mark.parametrize(
    ("code", "sites"),
    [
        (method("pass"), Sites()),
        (method("go()", "go()"), Sites(pending=2)),
        (method("go()", "after(self)"), Sites(applied=1)),
        (method("go()", "# a comment", "after( self )"), Sites(applied=1)),
        (method("go()", "after(self)", "go()"), Sites(pending=1, applied=1)),
        (method("go()") + method("go()"), Sites(pending=2)),
        (method("go()").replace("class A", "class B"), Sites()),
        (method("go()").replace("def f", "def g"), Sites()),
        (method("go()").replace("def f", "async def f"), Sites(pending=1)),
        (method("go()").replace("    def f", "    @property\n    def f"), Sites(pending=1)),
        (text("class A:", "    def f(self): go()"), Sites()),
        (text("go()"), Sites()),
    ],
)
def test_sites_are_counted_by_state(code: str, sites: Sites) -> None:
    assert METHOD.sites(Source(code.encode())) == sites


def test_several_sites_are_edited_at_once() -> None:
    edit = Insert(file="a.py", within=("*", "f"), anchor="go()", code="after()", count=2)
    code = method("go()") + method("if x:", "    go()").replace("class A", "class B")
    assert applied(edit, code).count("after()") == 2


def test_upstreams_own_form_is_told_apart() -> None:
    edit = Insert(file="a.py", within=("A", "f"), anchor="go()", code="after(self)", upstream_form="after(...)")
    assert edit.sites(Source(method("after(x)", "go()").encode())) == Sites(upstreamed=1)
    assert edit.sites(Source(method("go()", "after(self)").encode())) == Sites(applied=1)
    assert edit.sites(Source(method("go()").encode())) == Sites(pending=1)


@pytest.mark.parametrize(
    "diff",
    [
        ("import a", "+from z import y", "x = 1"),
        ('"""Doc."""', "import a", "+from z import y"),
        ("from __future__ import annotations", "import a  # why", "from b import (", "    c,", ")", "+from z import y"),
        ("import a", "+from z import y", "try:", "    import b", "except ImportError:", "    b = None", "import c"),
        ("import a", "+from z import y", "if x:", "    import b"),
        ("import a", "from z import y2", "+from z import y"),
    ],
)
def test_import_goes_after_the_first_run_of_imports(diff: tuple[str, ...]) -> None:
    before, after = before_and_after(*diff)
    assert applied(IMPORT, text(*before)) == text(*after)


@pytest.mark.parametrize("code", ["", "x = 1\nimport a\n", '"""Doc."""\n', "try:\n    import a\nexcept E:\n    pass\n"])
def test_module_that_begins_without_imports_has_no_place_for_one(code: str) -> None:
    assert IMPORT.sites(Source(code.encode())) == Sites()


def test_import_further_down_counts_as_applied() -> None:
    assert IMPORT.sites(Source(b"import a\nx = 1\nfrom z import y\n")) == Sites(applied=1)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("x = old()  # why\n", "x = new(1)  # why\n"),
        ("x = [old(a, b=2) + 1]\n", "x = [new(1) + 1]\n"),
        ("if old():\n    pass\n", "if new(1):\n    pass\n"),
        ("if x:\n    pass\nelif old():\n    pass\n", "if x:\n    pass\nelif new(1):\n    pass\n"),
        ("with old() as x:\n    pass\n", "with new(1) as x:\n    pass\n"),
        ("for x in old(): pass\n", "for x in new(1): pass\n"),
        ("if x: y = old()\n", "if x: y = new(1)\n"),
        ("def f(x=old()):\n    pass\n", "def f(x=new(1)):\n    pass\n"),
        ("@old()\ndef f():\n    pass\n", "@new(1)\ndef f():\n    pass\n"),
        ("class A:\n    x = (\n        old(),  # c\n    )\n", "class A:\n    x = (\n        new(1),  # c\n    )\n"),
        ("f'{old()}'\n", "f'{new(1)}'\n"),
    ],
)
def test_expression_is_replaced_wherever_it_stands(before: str, after: str) -> None:
    assert applied(CALL, before) == after


def test_statement_is_replaced() -> None:
    edit = Replace(file="a.py", anchor="import old as o", code="from new import o")
    assert applied(edit, "import a\nimport old as o  # c\nx = o\n") == "import a\nfrom new import o  # c\nx = o\n"


def test_replacing_stays_in_its_scope() -> None:
    edit = Replace(file="a.py", within=("f",), anchor="old()", code="new()")
    code = "old()\ndef f():\n    old()\ndef g():\n    old()\n"
    assert applied(edit, code) == "old()\ndef f():\n    new()\ndef g():\n    old()\n"


@pytest.mark.parametrize("code", ["# old()\n", "'old()'\n", "older()\n", "old\n", "x.old()\n"])
def test_only_the_expression_is_replaced(code: str) -> None:
    assert CALL.sites(Source(code.encode())) == Sites()


def test_replacements_are_counted() -> None:
    assert CALL.sites(Source(b"old()\nold()\nnew(1)\n")) == Sites(pending=2, applied=1)


@pytest.mark.parametrize(
    ("form", "before", "after"),
    [
        ("crlf", b"import a\r\nx = 1\r\n", b"import a\r\nfrom z import y\r\nx = 1\r\n"),
        ("byte-order mark", BOM + b"import a\n", BOM + b"import a\nfrom z import y\n"),
        ("both", BOM + b"import a\r\n", BOM + b"import a\r\nfrom z import y\r\n"),
        ("no last newline", b"import a", b"import a\nfrom z import y"),
        ("no last newline, crlf", b"import b\r\nimport a", b"import b\r\nimport a\r\nfrom z import y"),
        (
            "latin-1",
            b"# coding: latin-1\nimport a  # \xe9\n",
            b"# coding: latin-1\nimport a  # \xe9\nfrom z import y\n",
        ),
        ("utf-8", "import a  # é\n".encode(), "import a  # é\nfrom z import y\n".encode()),
        ("mixed line ends", b"import a\r\nx = 1\ny = 2\r\n", b"import a\r\nfrom z import y\r\nx = 1\ny = 2\r\n"),
        ("trailing space", b"import a  \nx = 1 \n\n\n", b"import a  \nfrom z import y\nx = 1 \n\n\n"),
    ],
)
def test_bytes_outside_the_edit_stay(form: str, before: bytes, after: bytes) -> None:
    assert IMPORT.apply(Source(before)).content == after, form


def test_new_lines_are_indented_like_the_file() -> None:
    code = b"class A:\n\tdef f(self):\n\t\tif x:\n\t\t\tgo()\n"
    assert METHOD.apply(Source(code)).content == code + b"\t\t\tafter(self)\n"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"x = 1\ndef f(:\n", "it does not parse: line 2: "),
        (b"if x:\n\ty = 1\n        z = 2\n", "it does not parse: line 3: "),
        (b"x = '\xff'\n", "it does not parse: "),
        (b"# coding: nonsense\nx = 1\n", "it does not parse: unknown encoding: nonsense"),
        (b"# coding: rot13\nx = 1\n", "it does not parse: 'rot13' is not a text encoding"),
        (b"x = 1\n\0\n", "it does not parse: "),
        (b"x = 1\n\x0cy = 2\n", "it does not survive a round trip through LibCST unchanged"),
        (b"x = 1\ry = 2\r", "it does not survive a round trip through LibCST unchanged"),
    ],
)
def test_file_that_cannot_be_edited_is_refused_with_the_reason(content: bytes, reason: str) -> None:
    with pytest.raises(EditError) as refused:
        METHOD.apply(Source(content))
    assert str(refused.value).startswith(reason)
    assert "\n" not in str(refused.value)


def test_source_is_parsed_once_and_printed_once() -> None:
    source = Source(b"import a\n")
    assert source.module is source.module
    edited = IMPORT.apply(source)
    assert edited.content is edited.content
    assert source.content == b"import a\n"
