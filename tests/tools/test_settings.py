"""The edits of configuration: keys of a YAML file, members of a constant, the version."""

from __future__ import annotations

import pytest

from slimfork.codemod import BOM, EditError, Sites, Source
from slimfork.settings import LocalVersion, Members, YamlKeys

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
