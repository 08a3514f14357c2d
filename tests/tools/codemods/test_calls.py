"""An argument joins a call, whatever the call looks like, and nothing else in the file changes by a byte."""

from __future__ import annotations

import pytest

from slimfork.codemods.calls import Argument
from slimfork.codemods.codemod import EditError, Sites, Source

LOAD = Argument(file="x.py", call="torch.load", argument="weights_only=False")
EXPORT = Argument(file="x.py", call="torch.onnx.export", argument="**legacy()")
DYNAMO = Argument(file="x.py", call="torch.onnx.export", argument="**legacy()", gives=("dynamo",))

CHANGES = {
    "one argument": ("a = torch.load(f)\n", "a = torch.load(f, weights_only=False)\n"),
    "none": ("torch.load()\n", "torch.load(weights_only=False)\n"),
    "keywords": ("torch.load(f, map_location='cpu')\n", "torch.load(f, map_location='cpu', weights_only=False)\n"),
    "trailing comma": ("torch.load(f,)\n", "torch.load(f, weights_only=False,)\n"),
    "star": ("torch.load(*a)\n", "torch.load(*a, weights_only=False)\n"),
    "spaces inside": ("torch.load( f )\n", "torch.load( f, weights_only=False )\n"),
    "spaces around the dot": ("torch . load(f)\n", "torch . load(f, weights_only=False)\n"),
    "comment behind": ("torch.load(f)  # load\n", "torch.load(f, weights_only=False)  # load\n"),
    "attribute of the result": (
        "x = torch.load(f)['ema'].float()\n",
        "x = torch.load(f, weights_only=False)['ema'].float()\n",
    ),
    "within another call": ("g(torch.load(f), 1)\n", "g(torch.load(f, weights_only=False), 1)\n"),
    "one argument a line": (
        "torch.load(\n    f,\n    map_location='cpu',\n)\n",
        "torch.load(\n    f,\n    map_location='cpu', weights_only=False,\n)\n",
    ),
    "one argument a line, no last comma": (
        "torch.load(\n    f,\n    map_location='cpu'\n)\n",
        "torch.load(\n    f,\n    map_location='cpu', weights_only=False\n)\n",
    ),
    "comment among the arguments": (
        "torch.load(\n    f,  # the file\n    'cpu',  # where to\n)\n",
        "torch.load(\n    f,  # the file\n    'cpu', weights_only=False,  # where to\n)\n",
    ),
    "in a with statement": (
        "with open(f) as g, torch.load(g) as x:\n    pass\n",
        "with open(f) as g, torch.load(g, weights_only=False) as x:\n    pass\n",
    ),
    "in a condition": ("if torch.load(f):\n    pass\n", "if torch.load(f, weights_only=False):\n    pass\n"),
    "in a block on one line": ("if x: torch.load(f)\n", "if x: torch.load(f, weights_only=False)\n"),
    "CRLF": ("a = 1\r\ntorch.load(f)\r\n", "a = 1\r\ntorch.load(f, weights_only=False)\r\n"),
    "byte-order mark": ("\ufefftorch.load(f)\n", "\ufefftorch.load(f, weights_only=False)\n"),
    "tabs, and no last newline": ("if x:\n\ttorch.load(f)", "if x:\n\ttorch.load(f, weights_only=False)"),
}

NOT_SITES = {
    "another function": "torch.save(f)\n",
    "a method of another object": "self.torch.load(f)\n",
    "a bare name": "load(f)\n",
    "a longer name": "torch.hub.load(f)\n",
    "not called": "x = torch.load\n",
    "in a string": "x = 'torch.load(f)'\n",
    "in a comment": "# torch.load(f)\n",
}


def apply(edit, text):
    return edit.apply(Source(text.encode())).content.decode()


def sites(edit, text):
    return edit.sites(Source(text.encode()))


@pytest.mark.parametrize(("before", "after"), CHANGES.values(), ids=CHANGES)
def test_before_becomes_after_and_stays(before, after):
    assert sites(LOAD, before) == Sites(pending=1)
    assert apply(LOAD, before) == after
    assert sites(LOAD, after) == Sites(applied=1)
    assert apply(LOAD, after) == after


@pytest.mark.parametrize("text", NOT_SITES.values(), ids=NOT_SITES)
def test_what_is_no_site_is_left_alone(text):
    assert sites(LOAD, text) == Sites()
    assert apply(LOAD, text) == text


@pytest.mark.parametrize("given", ["weights_only=False", "weights_only = False", "weights_only=(False)"])
def test_the_argument_in_any_spelling_is_there_already(given):
    text = f"torch.load(f, {given}, map_location='cpu')\n"
    assert sites(LOAD, text) == Sites(applied=1)
    assert apply(LOAD, text) == text


def test_another_value_is_not_the_argument():
    """The edited file would not compile then, which is found out where a patch is planned."""
    assert sites(LOAD, "torch.load(f, weights_only=True)\n") == Sites(pending=1)


@pytest.mark.parametrize(
    ("edit", "text"),
    [
        (LOAD, "torch.load(f, weights_only=True)\n"),
        (LOAD, "torch.load(f, **options)\n"),
        (EXPORT, "torch.onnx.export(f, **options)\n"),
        (DYNAMO, "torch.onnx.export(f, dynamo=True)\n"),
    ],
)
def test_an_argument_that_may_be_given_already_is_refused(edit, text):
    with pytest.raises(EditError, match=r"has (weights_only=True|\*\*options|dynamo=True) already"):
        apply(edit, text)


def test_a_mapping_to_unpack():
    text = "torch.onnx.export(model, im, f, opset_version=12)\n"
    after = "torch.onnx.export(model, im, f, opset_version=12, **legacy())\n"
    assert apply(EXPORT, text) == after
    assert sites(EXPORT, after) == Sites(applied=1)
    assert sites(EXPORT, after.replace("legacy", "other")) == Sites(pending=1)


def test_every_call_is_a_site_of_its_own():
    text = "try:\n    torch.load(a)\nexcept E:\n    torch.load(b, weights_only=False)\n\n\ntorch.load(c)\n"
    assert sites(LOAD, text) == Sites(pending=2, applied=1)
    assert sites(LOAD, apply(LOAD, text)) == Sites(applied=3)


def test_only_within_the_scope():
    text = "class A:\n    def f(self):\n        torch.load(a)\n\n\ndef f():\n    torch.load(b)\n"
    edit = Argument(file="x.py", call="torch.load", argument="weights_only=False", within=("A", "f"))
    assert sites(edit, text) == Sites(pending=1)
    assert apply(edit, text) == text.replace("load(a)", "load(a, weights_only=False)")


def test_calls_in_calls():
    text = "torch.load(torch.load(f))\n"
    assert sites(LOAD, text) == Sites(pending=2)
    assert apply(LOAD, text) == "torch.load(torch.load(f, weights_only=False), weights_only=False)\n"


def test_the_anchor_is_the_call():
    assert LOAD.anchor == "torch.load(...)"
