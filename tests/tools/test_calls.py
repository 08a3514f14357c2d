"""A call gets one more argument, whatever its other arguments are."""

from __future__ import annotations

import pytest

from slimfork.calls import Argument
from slimfork.codemod import Sites, Source

SAFE = Argument(file="a.py", call="torch.load", argument="weights_only=False")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("x = torch.load(f)\n", "x = torch.load(f, weights_only=False)\n"),
        ("x = torch.load()\n", "x = torch.load(weights_only=False)\n"),
        (
            "torch.load(f, map_location='cpu'), f  # c\n",
            "torch.load(f, map_location='cpu', weights_only=False), f  # c\n",
        ),
        ("torch.load(f, **more)\n", "torch.load(f, **more, weights_only=False)\n"),
        ("torch.load(\n    f,\n)\n", "torch.load(\n    f, weights_only=False,\n)\n"),
        ("torch.load(\n    f)  # c\n", "torch.load(\n    f, weights_only=False)  # c\n"),
        ("torch.load( f )\n", "torch.load( f, weights_only=False )\n"),
        ("if torch.load(f): pass\n", "if torch.load(f, weights_only=False): pass\n"),
        ("with open(f) as g:\n    torch.load(g)\n", "with open(f) as g:\n    torch.load(g, weights_only=False)\n"),
    ],
)
def test_argument_goes_last(before: str, after: str) -> None:
    source = Source(before.encode())
    assert SAFE.sites(source) == Sites(pending=1)
    new = SAFE.apply(source).content.decode()
    assert new == after
    assert SAFE.sites(Source(new.encode())) == Sites(applied=1)


def test_unpacked_arguments_can_be_added() -> None:
    edit = Argument(file="a.py", call="export", argument="**options()")
    new = edit.apply(Source(b"export(model, f)\n"))
    assert new.content == b"export(model, f, **options())\n"
    assert edit.sites(new) == Sites(applied=1)


@pytest.mark.parametrize(
    ("code", "sites"),
    [
        ("torch.load(f)\ntorch.load(g)\n", Sites(pending=2)),
        ("torch.load(f)\ntorch.load(g, weights_only=False)\n", Sites(pending=1, applied=1)),
        ("torch.load(f, weights_only = False)\n", Sites(applied=1)),
        ("torch.load(f, weights_only=True)\n", Sites(pending=1)),
        ("load(f)\n", Sites()),
        ("torch.load\n", Sites()),
        ("torch.hub.load(f)\n", Sites()),
        ("# torch.load(f)\n", Sites()),
    ],
)
def test_calls_are_counted_by_state(code: str, sites: Sites) -> None:
    assert SAFE.sites(Source(code.encode())) == sites


def test_calls_elsewhere_are_not_meant() -> None:
    edit = Argument(file="a.py", within=("f",), call="g", argument="x=1")
    code = b"g()\ndef f():\n    g()\n"
    assert edit.apply(Source(code)).content == b"g()\ndef f():\n    g(x=1)\n"


def test_anchor_is_the_call() -> None:
    assert SAFE.anchor == "torch.load(...)"
