"""The edits of configuration: keys of a YAML file, members of a constant, the version.

Also of: `slimfork.syntax.yaml_place`.
"""

from __future__ import annotations

import re

import pytest

from slimfork.codemods.codemod import BOM, EditError, Sites, Source
from slimfork.codemods.settings import LocalVersion, Members, YamlKeys
from slimfork.codemods.stated_version import stated_version

KEYS = YamlKeys(file="a.yaml", after="nbs", lines=("sl: 0.0 # (float) one", "sl_mode: x # (str) two"))
MEMBERS = Members(file="a.py", name="KEYS", members=("n", "o"))
VERSION = LocalVersion(file="a.py", local="slim1")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"nbs: 64\n", b"nbs: 64\nsl: 0.0 # (float) one\nsl_mode: x # (str) two\n"),
        (b"nbs: 64", b"nbs: 64\nsl: 0.0 # (float) one\nsl_mode: x # (str) two"),
        (b"nbs: 64\r\n", b"nbs: 64\r\nsl: 0.0 # (float) one\r\nsl_mode: x # (str) two\r\n"),
        (BOM + b"nbs:\n", BOM + b"nbs:\nsl: 0.0 # (float) one\nsl_mode: x # (str) two\n"),
        (
            b"# top\na: 1\nnbs: 64  # nominal\n\n# next\nb: 2\n",
            b"# top\na: 1\nnbs: 64  # nominal\nsl: 0.0 # (float) one\nsl_mode: x # (str) two\n\n# next\nb: 2\n",
        ),
        (b"x: \xe9\nnbs: 1\n", b"x: \xe9\nnbs: 1\nsl: 0.0 # (float) one\nsl_mode: x # (str) two\n"),
    ],
)
def test_keys_go_after_their_anchor(before: bytes, after: bytes) -> None:
    assert KEYS.sites(Source(before)) == Sites(pending=1)
    assert KEYS.apply(Source(before)).content == after
    assert KEYS.sites(Source(after)) == Sites(applied=1)


@pytest.mark.parametrize(
    ("content", "sites"),
    [
        (b"", Sites()),
        (b"nbs2: 64\n", Sites()),
        (b"# nbs: 64\n", Sites()),
        (b"a:\n  nbs: 64\n", Sites()),
        (b"nbs: 1\nnbs: 2\n", Sites(pending=2)),
        (b"nbs: 1\nsl: 0\n", Sites(pending=1, applied=1)),
        (b"nbs: 1\nsl_mode: 0\n", Sites(pending=1, applied=1)),
        (b"sl_mode: z\nnbs: 1\nsl: 5 # mine\n", Sites(applied=1)),
        (b"nbs: 1\nslow: 0\n", Sites(pending=1)),
    ],
)
def test_keys_are_found_at_the_top_level_by_their_whole_name(content: bytes, sites: Sites) -> None:
    assert KEYS.sites(Source(content)) == sites


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("KEYS = 'a', 'b'\n", "KEYS = 'n', 'o', 'a', 'b'\n"),
        ("KEYS = ('a', 'b')\n", "KEYS = ('n', 'o', 'a', 'b')\n"),
        ('KEYS = {"a", "b"}\n', 'KEYS = {"n", "o", "a", "b"}\n'),
        ('KEYS = {"a","b"}\n', 'KEYS = {"n","o","a","b"}\n'),
        ("KEYS = ['a', 'b']  # c\n", "KEYS = ['n', 'o', 'a', 'b']  # c\n"),
        ("KEYS = frozenset({'a', 'b'})\n", "KEYS = frozenset({'n', 'o', 'a', 'b'})\n"),
        ("KEYS = frozenset(('a', 'b'))\n", "KEYS = frozenset(('n', 'o', 'a', 'b'))\n"),
        ("KEYS = ('a',)\n", "KEYS = ('n', 'o', 'a',)\n"),
        ("KEYS = {'a'}\n", "KEYS = {'n', 'o', 'a'}\n"),
        ("KEYS = {\n    'a',\n}\n", "KEYS = {\n    'n', 'o', 'a',\n}\n"),
        ("KEYS = {'a', *OTHER}\n", "KEYS = {'n', 'o', 'a', *OTHER}\n"),
        ("KEYS = {'a', NAME}\nOTHER = {'n'}\n", "KEYS = {'n', 'o', 'a', NAME}\nOTHER = {'n'}\n"),
        (
            "KEYS = {  # all\n    'a',  # first\n    'b',\n}\n",
            "KEYS = {  # all\n    'n',\n    'o',\n    'a',  # first\n    'b',\n}\n",
        ),
        (
            "KEYS = frozenset(\n\t{\r\n\t\t'a',\r\n\t\t'b',\r\n\t}\n)\n",
            "KEYS = frozenset(\n\t{\r\n\t\t'n',\r\n\t\t'o',\r\n\t\t'a',\r\n\t\t'b',\r\n\t}\n)\n",
        ),
    ],
)
def test_members_come_first_and_are_laid_out_like_the_others(before: str, after: str) -> None:
    source = Source(before.encode())
    assert MEMBERS.sites(source) == Sites(pending=1)
    new = MEMBERS.apply(source).content.decode()
    assert new == after
    assert MEMBERS.sites(Source(new.encode())) == Sites(applied=1)


@pytest.mark.parametrize(
    ("code", "sites"),
    [
        ("OTHER = {'a', 'b'}\n", Sites()),
        ("KEYS = frozenset()\n", Sites()),
        ("KEYS = load()\n", Sites()),
        ("KEYS = OTHER | {'a'}\n", Sites()),
        ("KEYS: set[str] = {'a', 'b'}\n", Sites()),
        ("KEYS = OTHER = {'a', 'b'}\n", Sites()),
        ("KEYS += ('a', 'b')\n", Sites()),
        ("def f():\n    KEYS = {'a', 'b'}\n", Sites()),
        ("KEYS = {'a'}\nKEYS = {'b'}\n", Sites(pending=2)),
        ("KEYS = {'o', 'x', \"n\"}\n", Sites(applied=1)),
        ("KEYS = {'n', 'x'}\n", Sites(pending=1, applied=1)),
    ],
)
def test_constant_must_be_a_plain_collection(code: str, sites: Sites) -> None:
    assert MEMBERS.sites(Source(code.encode())) == sites


@pytest.mark.parametrize("code", ["KEYS = ()\n", "KEYS = (1, 'a')\n", "KEYS = {*OTHER, 'a'}\n", "KEYS = (f'a', 'b')\n"])
def test_constant_that_does_not_begin_with_a_string_is_refused(code: str) -> None:
    with pytest.raises(EditError, match="KEYS does not begin with a string"):
        MEMBERS.apply(Source(code.encode()))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'__version__ = "8.4.190"\n', b'__version__ = "8.4.190+slim1"\n'),
        (b"__version__ = '8.0.100'\r\n", b"__version__ = '8.0.100+slim1'\r\n"),
        (BOM + b"__version__='1'", BOM + b"__version__='1+slim1'"),
        (
            b"# coding: latin-1\n# \xe9\n__version__ = '1rc1'  # c\n",
            b"# coding: latin-1\n# \xe9\n__version__ = '1rc1+slim1'  # c\n",
        ),
    ],
)
def test_version_gets_a_local_part(before: bytes, after: bytes) -> None:
    assert VERSION.sites(Source(before)) == Sites(pending=1)
    assert VERSION.apply(Source(before)).content == after
    assert VERSION.sites(Source(after)) == Sites(applied=1)


@pytest.mark.parametrize(
    ("content", "sites"),
    [
        (b"__version__ = version('a')\n", Sites()),
        (b"version = '1'\n", Sites()),
        (b"def f():\n    __version__ = '1'\n", Sites()),
        (b"__version__ = '1+mine'\n", Sites()),
        (b"__version__ = '1+slim1'\n", Sites(applied=1)),
        (b"__version__ = '1+slim12'\n", Sites()),
        (b"__version__ = '1'\n__version__ = '2'\n", Sites(pending=2)),
    ],
)
def test_version_must_be_a_plain_string_without_a_local_part(content: bytes, sites: Sites) -> None:
    assert VERSION.sites(Source(content)) == sites


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("nbs:\n  64\nb: 1\n", "nbs:\n  64\nNEWb: 1\n"),
        ("nbs: |+\n  a\n\n\n# c\nb: 1\n", "nbs: |+\n  a\n\n\nNEW# c\nb: 1\n"),
        ("nbs:\n- 1\n- 2\n# c\n\nb: 1\n", "nbs:\n- 1\n- 2\nNEW# c\n\nb: 1\n"),
        ("a: &x 64\nnbs:\n  *x\nb: 1\n", "a: &x 64\nnbs:\n  *x\nNEWb: 1\n"),
        ("nbs:  # why\n  # more\n  64  # c\nb: 1\n", "nbs:  # why\n  # more\n  64  # c\nNEWb: 1\n"),
        ('"n\\x62s" : 64\nb: 1\n', '"n\\x62s" : 64\nNEWb: 1\n'),
        ("a: |\n  nbs: 4\nnbs: 5\n", "a: |\n  nbs: 4\nnbs: 5\nNEW"),
        ("---\nnbs: [1,\n 2]  # c\n...\n", "---\nnbs: [1,\n 2]  # c\nNEW...\n"),
    ],
)
def test_keys_go_behind_the_value_in_whatever_form(before: str, after: str) -> None:
    source, lines = Source(before.encode()), "".join(f"{line}\n" for line in KEYS.lines)
    assert KEYS.sites(source) == Sites(pending=1)
    assert KEYS.apply(source).content.decode() == after.replace("NEW", lines)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{nbs: 64}\n", "in braces"),
        ("nbs: 64\n---\nb: 1\n", "it does not parse: expected a single document"),
        ("nbs: [64\n", "it does not parse: "),
        ("base: &b {sl: 3}\n<<: *b\nnbs: 1\n", "it has a key 'sl' of its own"),
        ("? nbs\n: 64\n", "with the new keys, it does not parse"),
        ("nbs: |\n  x", "the new keys have no place behind 'nbs'"),
    ],
)
def test_yaml_that_cannot_take_the_keys_is_refused(content: str, says: str) -> None:
    with pytest.raises(EditError, match=re.escape(says)):
        KEYS.apply(Source(content.encode()))


@pytest.mark.parametrize(
    "below",
    [
        "KEYS -= {'n'}\n",
        "KEYS = KEYS - {'n'}\n",
        "if x:\n    KEYS = ()\n",
        "del KEYS\n",
        "KEYS.discard('n')\n",
        "from x import KEYS\n",
        "def f():\n    global KEYS\n    KEYS = ()\n",
    ],
)
def test_constant_that_is_changed_again_is_refused(below: str) -> None:
    with pytest.raises(EditError, match="KEYS is set or changed again on line"):
        MEMBERS.sites(Source(f"KEYS = {{'a', 'b'}}\n{below}".encode()))


def test_what_shares_the_line_of_a_constant_stays() -> None:
    assert MEMBERS.apply(Source(b"KEYS = {'a'}; x = 1\n")).content == b"KEYS = {'n', 'o', 'a'}; x = 1\n"


@pytest.mark.parametrize("value", ["sorted({'a'})", "len({'a'})", "dict.fromkeys({'a'})"])
def test_constant_that_something_else_makes_of_a_collection_is_none(value: str) -> None:
    assert MEMBERS.sites(Source(f"KEYS = {value}\n".encode())) == Sites()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"8." "4"', '"8." "4+slim1"'),
        ("'8' + '.' + ('4')", "'8' + '.' + ('4+slim1')"),
        ('(\n    "8."\n    "4"\n)', '(\n    "8."\n    "4+slim1"\n)'),
        ('f"8.4"', 'f"8.4+slim1"'),
        ('"""8.4"""', '"""8.4+slim1"""'),
        ("'8.4'''", "'8.4+slim1'''"),
        ('r"8.4"  # "1"', 'r"8.4+slim1"  # "1"'),
    ],
)
def test_version_is_changed_by_its_value(before: str, after: str) -> None:
    for name in ("__version__", "__version__: str"):
        source = Source(f'"""\n__version__ = "1"\n"""\n{name} = {before}\n'.encode())
        assert stated_version(source.content) == "8.4"
        assert VERSION.apply(source).content.decode() == f'"""\n__version__ = "1"\n"""\n{name} = {after}\n'


@pytest.mark.parametrize(
    "code",
    [
        "__version__ = VERSION = '1'\n",
        "__version__ = '1'\nif x:\n    __version__ = '2'\n",
        "__version__ = '1'\nfrom x import __version__\n",
        "__version__ = '1'\ndef f():\n    global __version__\n    __version__ = '2'\n",
        "__version__ = '1'\n__version__ += '2'\n",
    ],
)
def test_version_that_something_else_shares_or_sets_is_refused(code: str) -> None:
    with pytest.raises(EditError, match="__version__"):
        VERSION.apply(Source(code.encode()))
