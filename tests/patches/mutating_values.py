"""Changes of what the edits read or add to: an argument, a key of a YAML file, the version, a constant."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.patches.mutating import Mutation, sub

if TYPE_CHECKING:
    from collections.abc import Iterator

CALL = r"(?P<target>{target}) = {build}\((?P<args>.*)\)(?P<rest>[^\n)]*)\n"


def arguments(target: str, build: str, method: str) -> Iterator[Mutation]:
    """Yield changes of the call that builds a model, and of what it is given."""
    call = re.compile(rf"^(?P<i> +){CALL.format(target=re.escape(target), build=re.escape(build))}", re.MULTILINE)

    def calling(before: str, args: str, after: str = "") -> Mutation:
        def change(text: str) -> str:
            def put(m: re.Match[str]) -> str:
                old = re.search(r"\bweights=(.*?)(?:, \w+=|$)", m["args"])
                weights = old[1] if old else "weights"
                lines = [*before.splitlines(), f"{target} = {build}({args})", *after.splitlines()]
                return "".join(f"{m['i']}{line}\n" for line in lines).replace("WEIGHTS", weights)

            return call.sub(put, text, count=1)

        return Mutation(name=f"{before or 'call'} | {args}", change=change, refused=args in REFUSED)

    for before, args in GIVEN:
        yield calling(before, args)
    yield calling("", "cfg=None, weights=WEIGHTS", after="weights = None")
    yield calling("", "cfg=None, weights=WEIGHTS", after="del weights")

    def renamed(text: str) -> str:
        body = re.search(rf"^    def {method}\(.*?(?=^    def |\Z)", text, re.MULTILINE | re.DOTALL)
        if body is None:
            return text
        new = re.sub(r"\bweights\b(?!=)", "pretrained_weights", body[0])
        return text[: body.start()] + new + text[body.end() :]

    yield Mutation(name="local renamed", change=renamed)
    yield Mutation(
        name="local renamed, of letters", change=lambda t: renamed(t).replace("pretrained_weights", "gewichtä")
    )
    yield Mutation(
        name="target annotated", change=sub(rf"{re.escape(target)} = {re.escape(build)}", f"{target}: object = {build}")
    )
    yield Mutation(name="chained", change=sub(rf"{re.escape(target)} = {re.escape(build)}", f"x = {target} = {build}"))
    yield Mutation(
        name="in parentheses", change=sub(rf"{re.escape(target)} = ({re.escape(build)}\(.*\))", rf"{target} = (\1)")
    )
    yield Mutation(
        name="continued", change=sub(rf"{re.escape(target)} = {re.escape(build)}", f"{target} = \\\\\n    {build}")
    )
    yield Mutation(name="self renamed", change=sub(rf"def {method}\(self", f"def {method}(this"))


REFUSED = {
    "cfg=None",
    "*found",
    "cfg=None, **found",
    "cfg=None, weights=self.load()",
    "weights=(w := None)",
    "None, *found",
}
GIVEN = (
    ("", "None, WEIGHTS"),
    ("", "None, WEIGHTS, verbose=False"),
    ("", "weights=WEIGHTS, cfg=None"),
    ("", "\n    cfg=None,  # the YAML\n    weights=WEIGHTS,  # what is loaded\n"),
    ("", "cfg=None, weights=(WEIGHTS)"),
    ("", "cfg=None, weights=None"),
    ("", "cfg=None"),
    ("found = [None, None]", "*found"),
    ("found = {'weights': None}", "cfg=None, **found"),
    ("found = []", "None, *found"),
    ("", "cfg=None, weights=self.load()"),
    ("", "weights=(w := None)"),
    ("w = WEIGHTS", "cfg=None, weights=w"),
    ("w = {'a': WEIGHTS}", "cfg=None, weights=w['a']"),
    ("w = WEIGHTS", "cfg=None, weights=w if self.args else None"),
    ("w = WEIGHTS", "cfg=None, weights=w or None"),
    ("", "cfg=None, weights=self.pretrained.model"),
    ("", "cfg=self.weights(1), weights=WEIGHTS"),
    ("", "cfg=None, weights=[*WEIGHTS]"),
    ("", "cfg=None, weights=lambda: 1"),
)


def wrong_weights(target: str, build: str) -> Iterator[Mutation]:
    """Yield calls whose weights are what they assign: these are gone when our line reads them."""
    for value in (target, f"{target}.inner", f"{target} if self.args else None"):
        change = sub(
            rf"{re.escape(target)} = {re.escape(build)}\(.*\)", f"{target} = {build}(cfg=None, weights={value})"
        )
        yield Mutation(name=f"weights are {value}", change=change, refused=True)


YAML_FORMS = {  # in the place of the whole line with `nbs`; whether it must be refused
    "value on the next line": "nbs:\n  64\n",
    "with a comment between": "nbs:  # nominal\n  # of a batch\n  64  # pictures\n",
    "folded": "nbs: >\n  64\n",
    "folded, stripped": "nbs: >-\n  64\n  more\n",
    "literal": "nbs: |\n  64\n",
    "literal, kept": "nbs: |+\n  64\n\n\n",
    "literal, indented": "nbs: |4\n      64\n",
    "literal of our key": "nbs: |\n  sparsity: 0.0\n",
    "list": "nbs:\n  - 64\n  - 32\n",
    "list at the margin": "nbs:\n- 64\n- 32\n",
    "flow list": "nbs: [64,\n  32]\n",
    "flow mapping": "nbs: {a: 64,\n  b: 32}\n",
    "mapping": "nbs:\n  a: 64\n  b:\n    - 1\n",
    "mapping with our key": "nbs:\n  sparsity: 1\n",
    "anchor": "nbs: &n 64\nother: *n\n",
    "alias": "first: &n 64\nnbs: *n\n",
    "alias on the next line": "first: &n 64\nnbs:\n  *n\n",
    "anchor of a mapping": "nbs: &n\n  a: 1\nother: *n\n",
    "tag": "nbs: !!int '64'\n",
    "quoted": '"nbs": 64\n',
    "quoted once": "'nbs': 64\n",
    "escaped": '"n\\u0062s": 64\n',
    "space before the colon": "nbs : 64\n",
    "tab": "nbs: \t64\n",
    "explicit": "? nbs\n: 64\n",
    "empty": "nbs:\n",
    "null": "nbs: ~\n",
    "text over lines": "nbs: six\n  ty\n\n  four\n",
    "quoted over lines": "nbs: 'six\n\n  ty'\n",
    "twice": "nbs: 64\nnbs: 32\n",
    "in a mapping before": "a:\n  nbs: 1\nnbs: 64\n",
    "in a text before": "a: |\n  nbs: 1\nnbs: 64\n",
    "in a mapping alone": "a:\n  nbs: 1\n",
    "gone": "",
    "own key": "nbs: 64\nsparsity: 3\n",
    "own key twice": "nbs: 64\nsparsity: 3\nsparsity_mode: x\n",
    "own key, merged": "base: &b {sparsity: 3}\n<<: *b\nnbs: 64\n",
    "behind a comment": "# nbs: 1\nnbs: 64\n",
    "longer name": "nbs2: 1\nnbs: 64\n",
    "another document": "nbs: 64\n---\nx: 1\n",
    "no YAML": "nbs: [64\n",
    "with a tab before": "nbs: 64\n\tx: 1\n",
}
YAML_REFUSED = {
    "twice",
    "in a mapping alone",
    "gone",
    "own key",
    "own key twice",
    "own key, merged",
    "another document",
}


def yaml_forms() -> Iterator[Mutation]:
    """Yield the forms of a key, and of the whole file."""
    for name, form in YAML_FORMS.items():
        line = sub(r"^nbs:.*\n", form.replace("\\", r"\\"))
        yield Mutation(name=name, change=line, refused=name in YAML_REFUSED)
        if name in {"value on the next line", "literal", "list", "quoted over lines", "empty", "alias"}:
            yield Mutation(name=f"{name}, CRLF", change=lambda t, line=line: line(t).replace("\n", "\r\n"))
            yield Mutation(
                name=f"{name}, last", change=lambda t, form=form: re.sub(r"^nbs:.*\n", "", t, flags=re.MULTILINE) + form
            )
            bare = f"{name}, last, no line end"
            yield Mutation(
                name=bare,
                change=lambda t, form=form: re.sub(r"^nbs:.*\n", "", t, flags=re.MULTILINE) + form.rstrip("\n"),
            )
    yield Mutation(name="carriage returns", change=lambda t: t.replace("\n", "\r"))
    yield Mutation(name="byte-order mark", change=lambda t: f"\ufeff{t}")
    yield Mutation(name="document start", change=lambda t: f"---\n{t}")
    yield Mutation(name="document end", change=lambda t: f"{t}...\n")
    yield Mutation(name="directive", change=lambda t: f"%YAML 1.1\n---\n{t}")
    yield Mutation(name="braces", change=lambda _: "{nbs: 64, a: 1}\n", refused=True)
    yield Mutation(name="a list", change=lambda _: "- nbs: 64\n", refused=True)
    yield Mutation(name="nothing", change=lambda _: "", refused=True)
    yield Mutation(name="indented", change=lambda t: re.sub(r"^(?=.)", "  ", t, flags=re.MULTILINE))
    yield Mutation(name="long lines end", change=lambda t: t.replace("nbs: 64", "nbs: 64\u2028x: 1", 1))


VERSIONS = {
    "single quotes": "__version__ = 'V'\n",
    "side by side": '__version__ = "8." "W"\n',
    "side by side, three": "__version__ = '8' \".\" 'W'\n",
    "side by side, an empty one last": "__version__ = 'V' ''\n",
    "side by side, touching": "__version__ = 'V'''\n",
    "over lines": '__version__ = (\n    "8."\n    "W"\n)\n',
    "added": '__version__ = "8."+"W"\n',
    "added in parentheses": "__version__ = '8.' + ('W')\n",
    "added thrice": "__version__ = '8' + '.' + 'W'\n",
    "parentheses": '__version__ = ("V")\n',
    "annotated": '__version__: str = "V"\n',
    "annotated, docstring beside": '"""A.\n__version__ = "V"\n"""\n__version__: str = "V"\n',
    "docstring beside": '"""A.\n__version__ = "V"\n"""\n__version__ = "V"\n',
    "f-string": '__version__ = f"V"\n',
    "raw": '__version__ = r"V"\n',
    "triple": '__version__ = """V"""\n',
    "triple, single": "__version__ = '''V'''\n",
    "continued": '__version__ = \\\n    "V"\n',
    "comment": '__version__ = "V"  # __version__ = "1"\n',
    "comment above": '# __version__ = "1"\n__version__ = "V"\n',
    "no spaces": '__version__="V"\n',
    "semicolon": 'x = 1; __version__ = "V"\n',
    "chained": '__version__ = VERSION = "V"\n',
    "tuple": '__version__, x = "V", 1\n',
    "f-string of a name": 'N = "W"\n__version__ = f"8.{N}"\n',
    "formatted": '__version__ = "8.%s" % "W"\n',
    "joined": '__version__ = ".".join(["8", "W"])\n',
    "conditional": '__version__ = "V" if True else "1"\n',
    "twice": '__version__ = "1"\n__version__ = "V"\n',
    "in an if": 'if True:\n    __version__ = "V"\n',
    "in a try": 'try:\n    __version__ = "V"\nexcept ValueError:\n    pass\n',
    "again in an if": '__version__ = "V"\nif True:\n    __version__ = "1"\n',
    "again by import": '__version__ = "V"\nfrom os import name as __version__\n',
    "again by adding": '__version__ = "V"\n__version__ += ".1"\n',
    "deleted": '__version__ = "V"\ndel __version__\n',
    "bytes": '__version__ = b"V"\n',
    "own local part": '__version__ = "V+mine"\n',
    "escape": '__version__ = "\\x38.W"\n',
    "a function's": '__version__ = "V"\n\n\ndef f():\n    __version__ = "1"\n',
    "a class's": 'class A:\n    __version__ = "1"\n\n\n__version__ = "V"\n',
    "global": '__version__ = "V"\n\n\ndef f():\n    global __version__\n    __version__ = "1"\n',
    "CRLF": '__version__ = "V"\r\n',
    "walrus": 'print(__version__ := "V")\n',
}
VERSION_REFUSED = {
    *("twice", "again in an if", "again by import", "again by adding", "deleted", "bytes", "own local part"),
    *("chained", "global", "in an if", "in a try", "conditional", "joined", "formatted", "f-string of a name"),
}


def versions(version: str) -> Iterator[Mutation]:
    """Yield the forms of a version."""
    for name, form in VERSIONS.items():
        new = form.replace("V", version).replace("W", version.partition(".")[2]).replace(f"{version}ERSION", "VERSION")
        new = new.replace("\\", r"\\")
        yield Mutation(name=name, change=sub(r"^__version__ = .*\n", new), refused=name in VERSION_REFUSED)


BELOW = {
    "less": "CFG_FLOAT_KEYS = CFG_FLOAT_KEYS - {'sparsity_bias'}\n",
    "again": "CFG_FLOAT_KEYS = {'box'}\n",
    "again in an if": "if True:\n    CFG_FLOAT_KEYS = {'box'}\n",
    "again by import": "from os import path as CFG_FLOAT_KEYS\n",
    "less in place": "CFG_FLOAT_KEYS -= {'sparsity_bias'}\n",
    "and": "CFG_FLOAT_KEYS &= {'box'}\n",
    "deleted": "del CFG_FLOAT_KEYS\n",
    "discards": "CFG_FLOAT_KEYS = set(CFG_FLOAT_KEYS)\nCFG_FLOAT_KEYS.discard('sparsity_bias')\n",
    "clears": "getattr(CFG_FLOAT_KEYS, 'copy', int)()\n",
    "of a function": "def f():\n    CFG_FLOAT_KEYS = ()\n    return CFG_FLOAT_KEYS\n",
    "global": "def f():\n    global CFG_FLOAT_KEYS\n    CFG_FLOAT_KEYS = ()\n",
    "fraction again": "CFG_FRACTION_KEYS = frozenset()\n",
}
HARMLESS = {"clears", "of a function"}
VALUE = r"^CFG_FLOAT_KEYS = ((?:.*\n)+?)(?=^CFG_|^#)"
AS = {
    "annotated": "CFG_FLOAT_KEYS: object = {}",
    "union": "CFG_FLOAT_KEYS = frozenset(('extra',)) | frozenset({})",
    "sorted": "CFG_FLOAT_KEYS = tuple(sorted({}))",
    "length": "CFG_FLOAT_KEYS = len({})",
    "keys of": "CFG_FLOAT_KEYS = dict.fromkeys({})",
    "chained": "OTHER = CFG_FLOAT_KEYS = {}",
    "in an if": "if True:\n    CFG_FLOAT_KEYS = {}",
    "beside": "X = 1; CFG_FLOAT_KEYS = {}",
    "before another": "CFG_FLOAT_KEYS = {}; X = 1",
    "as a set": "CFG_FLOAT_KEYS = set({})",
    "as a tuple": "CFG_FLOAT_KEYS = tuple({})",
}


def constants() -> Iterator[Mutation]:
    """Yield changes of the constants that list keys by kind."""
    for name, code in BELOW.items():
        yield Mutation(name=name, change=lambda t, code=code: f"{t}\n{code}", refused=name not in HARMLESS)
    for name, shape in AS.items():

        def change(text: str, shape: str = shape) -> str:
            def put(found: re.Match[str]) -> str:
                value = re.sub(r"[ ]*#.*", "", found[1]).strip()
                return shape.replace("{}", f"({value})") + "\n"

            return re.sub(VALUE, put, text, count=1, flags=re.MULTILINE)

        yield Mutation(name=name, change=change, refused=name in {"length", "in an if"})
    yield Mutation(
        name="a member is there", change=sub(VALUE, "CFG_FLOAT_KEYS = ('box', 'sparsity_bias')\n"), refused=True
    )
    yield Mutation(name="empty", change=sub(VALUE, "CFG_FLOAT_KEYS = ()\n"), refused=True)
    yield Mutation(name="unpacked first", change=sub(VALUE, "CFG_FLOAT_KEYS = (*(), 'box')\n"))
    yield Mutation(name="a bare tuple", change=sub(VALUE, "CFG_FLOAT_KEYS = 'box', 'cls'\n"))
    yield Mutation(name="a list", change=sub(VALUE, "CFG_FLOAT_KEYS = ['box', 'cls']\n"))
