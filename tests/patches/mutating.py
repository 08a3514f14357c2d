"""Changes of a user's or of upstream's around the sites of the edits, by kind; each is a function of a file's text.

A mutation that must be refused says so: no edit can be right there. For all others the outcome is judged.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Change = Callable[[str], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutation:
    """A change of a text; `refused` where no edit of the outcome can be right."""

    name: str
    change: Change
    refused: bool = False


def sub(pattern: str, new: str, *, count: int = 1) -> Change:
    """Return a change of the first place, line by line."""
    return lambda text: re.sub(pattern, new, text, count=count, flags=re.MULTILINE)


def anchored(anchor: str) -> str:
    """Return a pattern for the first line that begins so: indentation, code, the rest."""
    return rf"^(?P<i>[ ]+)(?P<a>{anchor}[^\n]*)\n"


AROUND = {  # what a line is put into, by its indentation `I`
    "in an if": ("Iif self.args:\nI    A\n", False),
    "in an else": ("Iif not self.args:\nI    pass\nIelse:\nI    A\n", False),
    "in an elif": ("Iif not self.args:\nI    pass\nIelif self.args:\nI    A\n", False),
    "in if True": ("Iif True:\nI    A\n", False),
    "in if False": ("Iif False:\nI    A\n", True),
    "in if 0": ("Iif 0:\nI    A\n", True),
    "in if not 1": ("Iif not 1:\nI    A\n", True),
    "in if of an empty list": ("Iif []:\nI    A\n", True),
    "in the else of if 1": ("Iif 1:\nI    pass\nIelse:\nI    A\n", True),
    "in if False and": ("Iif False and self.args:\nI    A\n", True),
    "in if '' or 0": ("Iif '' or 0:\nI    A\n", True),
    "in if 1 == 2": ("Iif 1 == 2:\nI    A\n", True),
    "in if TYPE_CHECKING": ("Iif TYPE_CHECKING:\nI    A\n", True),
    "in if typing.TYPE_CHECKING": ("Iif typing.TYPE_CHECKING:\nI    A\n", True),
    "in while False": ("Iwhile False:\nI    A\n", True),
    "in while True": ("Iwhile True:\nI    A\nI    break\n", False),
    "in the else of while True": ("Iwhile True:\nI    break\nIelse:\nI    A\n", True),
    "in a for": ("Ifor _ in range(1):\nI    A\n", False),
    "in a for of nothing": ("Ifor _ in ():\nI    A\n", True),
    "in the else of a for": ("Ifor _ in range(1):\nI    pass\nIelse:\nI    A\n", False),
    "in a try": ("Itry:\nI    A\nIexcept ValueError:\nI    raise\n", False),
    "in a try with finally": ("Itry:\nI    A\nIfinally:\nI    pass\n", False),
    "in the else of a try": ("Itry:\nI    pass\nIexcept ValueError:\nI    raise\nIelse:\nI    A\n", False),
    "in a finally": ("Itry:\nI    pass\nIfinally:\nI    A\n", False),
    "in a with": ("Iwith self.lock:\nI    A\n", False),
    "in two withs": ("Iwith self.lock, self.stack as s:\nI    with s:\nI        A\n", False),
    "in a match": ("Imatch self.args:\nI    case _:\nI        A\n", False),
    "in a match with a guard": ("Imatch self.args:\nI    case x if False:\nI        A\n", True),
    "in a function within": ("Idef step():\nI    A\nIstep()\n", True),
    "in a function within that nobody calls": ("Idef step():\nI    A\n", True),
    "in a class within": ("Iclass Step:\nI    def run(self):\nI        A\n", True),
    "behind return": ("Ireturn\nIA\n", True),
    "behind raise": ("Iraise SystemExit\nIA\n", True),
    "behind sys.exit": ("Isys.exit(0)\nIA\n", True),
    "behind os._exit": ("Ios._exit(0)\nIA\n", True),
    "behind assert False": ("Iassert False\nIA\n", True),
    "behind while True": ("Iwhile True:\nI    pass\nIA\n", True),
    "behind an if that leaves both ways": ("Iif self.args:\nI    return\nIelse:\nI    raise ValueError\nIA\n", True),
    "behind a try that leaves": ("Itry:\nI    return\nIfinally:\nI    pass\nIA\n", True),
    "behind a with that leaves": ("Iwith self.lock:\nI    return\nIA\n", True),
    "behind an if that leaves one way": ("Iif not self.args:\nI    return\nIA\n", False),
    "behind a match that leaves": (
        "Imatch self.args:\nI    case 1:\nI        return\nI    case _:\nI        return\nIA\n",
        True,
    ),
    "twice": ("IA\nIA\n", True),
    "in both branches": ("Iif self.args:\nI    A\nIelse:\nI    A\n", True),
    "gone": ("Ipass\n", True),
    "in a comment": ("I# A\nIpass\n", True),
    "in a string": ('I"""A"""\nIpass\n', True),
    "in a string, and below": ('I"""A"""\nIA\n', False),
    "below a comment of it": ("I# A\nI# A\nIA\n", False),
    "behind another on its line": ("Ix = 1; A\n", False),
    "before another on its line": ("IA0; x = 1\n", False),
    "with a semicolon": ("IA0;\n", False),
    "on the line of its if": ("Iif self.args: A\n", False),
    "with a comment": ("IA0  # why\n", False),
    "with a type comment": ("IA0  # type: ignore[misc]\n", False),
    "below an empty line": ("I\n\nIA\n\n\n", False),
    "deleted behind it": ("IA\nIdel self.args\n", False),
}


def around(anchor: str) -> Iterator[Mutation]:
    """Yield what may be done to the line of an anchor, whatever it is."""
    for name, (shape, refused) in AROUND.items():

        def change(text: str, shape: str = shape) -> str:
            def put(found: re.Match[str]) -> str:
                line = found["a"].partition("  #")[0]
                return re.sub(
                    r"\bA0?(?=$|[;: ]|\"\"\")", lambda _: line, _indented(shape, found["i"]), flags=re.MULTILINE
                )

            return re.sub(anchored(anchor), put, text, count=1, flags=re.MULTILINE)

        yield Mutation(name=name, change=change, refused=refused)


def _indented(shape: str, indent: str) -> str:
    return re.sub(r"^I", lambda _: indent, shape, flags=re.MULTILINE).replace("IA", f"{indent}A")


def meeting(name: str, plain: str, method: str) -> Iterator[Mutation]:
    """Yield what may stand beside our name and the plain one of the same function; `method` is where it is called."""
    definition = rf"^(    )(def {method}\([^\n]*\n)"
    for each in (plain, name):
        clash = each == name
        module = {
            "function": f"def {each}(*args):\n    return None\n",
            "class": f"class {each}:\n    pass\n",
            "variable": f"{each} = None\n",
            "annotated": f"{each}: object = None\n",
            "import": f"from math import sqrt as {each}\n",
            "module": f"import math as {each}\n",
            "in a try": f"try:\n    import {each}\nexcept ImportError:\n    {each} = None\n",
            "in a loop": f"for {each} in range(1):\n    pass\n",
            "in a with": f"with memoryview(b'') as {each}:\n    pass\n",
            "walrus": f"if ({each} := 1):\n    pass\n",
            "handler": f"try:\n    pass\nexcept ValueError as {each}:\n    pass\n",
        }
        for kind, code in module.items():
            yield Mutation(
                name=f"{each}: {kind} below", change=lambda t, code=code: t.rstrip("\n") + "\n\n" + code, refused=clash
            )
        first = r"\A((?:.*\n)*?)(?=class )"
        for kind in ("function", "variable", "import"):
            yield Mutation(name=f"{each}: {kind} above", change=sub(first, rf"\1{module[kind]}\n\n"), refused=clash)
        inside = {
            "local": f"{each} = None",
            "local import": f"from math import sqrt as {each}",
            "local function": f"def {each}(*args): return None",
            "loop": f"for {each} in (1,): pass",
            "global": f"global {each}",
            "comprehension": f"x = [{each} for {each} in (1, 2)]",
            "lambda": f"x = lambda {each}: {each}",
        }
        for kind, code in inside.items():
            harmless = kind in {"comprehension", "lambda"}
            yield Mutation(
                name=f"{each}: {kind} inside",
                change=sub(definition, rf"\1\2        {code}\n"),
                refused=clash and not harmless,
            )
        parameter = sub(rf"^(    def {method}\(self)", rf"\1, {each}=None")
        yield Mutation(name=f"{each}: parameter", change=parameter, refused=clash)
        yield Mutation(
            name=f"{each}: deleted below", change=lambda t, each=each: f"{t}\n{each} = 1\ndel {each}\n", refused=clash
        )
        attribute = sub(definition, rf"    {each} = None\n\n\1\2")
        yield Mutation(name=f"{each}: of the class", change=attribute)


def overriding(holder: str, method: str) -> Iterator[Mutation]:
    """Yield what may put another class or method in the place of the one that is edited."""
    below = {
        "method set from outside": (f"def other(self, *a):\n    pass\n\n\n{holder}.{method} = other\n", True),
        "method set by setattr": (f'setattr({holder}, "{method}", lambda self: None)\n', True),
        "class again": (f"class {holder}:\n    def {method}(self):\n        pass\n", True),
        "class again, of itself": (f"class {holder}({holder}):\n    def {method}(self):\n        pass\n", True),
        "class assigned": (f"class Other:\n    {method} = None\n\n\n{holder} = Other\n", True),
        "class deleted": (f"Base = {holder}\ndel {holder}\n", True),
        "a subclass": (f"class Mine({holder}):\n    def {method}(self):\n        return super().{method}()\n", False),
        "a class of another name": (f"class Mine:\n    def {method}(self):\n        pass\n", False),
        "an instance's": (f"def hook(x):\n    x.{method} = None\n", False),
        "a function of that name": (f"def {method}(self):\n    pass\n", False),
    }
    for name, (code, refused) in below.items():
        yield Mutation(name=name, change=lambda t, code=code: t.rstrip("\n") + "\n\n\n" + code, refused=refused)
    again = sub(rf"^(    def {method}\()", rf"    def {method}(self):\n        pass\n\n\1")
    yield Mutation(name="method before", change=again)
    after = sub(rf"^(class {holder}\b(?:.*\n)+?)(?=^\S|\Z)", rf"\1    def {method}(self):\n        pass\n\n\n")
    yield Mutation(name="method again", change=after, refused=True)
    decorated = sub(rf"^(    def {method}\()", r"    @staticmethod_like\n\1")
    yield Mutation(
        name="decorated",
        change=lambda t: (
            decorated(t)
            and sub(r"\A((?:.*\n)*?)(?=class )", r"\1def staticmethod_like(f):\n    return f\n\n\n")(decorated(t))
        ),
    )
    yield Mutation(name="method renamed", change=sub(rf"\bdef {method}\b", f"def other_{method}"), refused=True)
    yield Mutation(name="class renamed", change=sub(rf"^class {holder}\b", "class Renamed"))
    yield Mutation(
        name="left at once",
        change=sub(
            rf"^(    def {method}\([^\n]*\n(?:        \"\"\"(?:.*\n)*?.*\"\"\"\n)?)", r"\1        return None\n"
        ),
        refused=True,
    )


def of_the_file() -> Iterator[Mutation]:
    """Yield what may be done to a whole Python file."""
    yield Mutation(name="CRLF", change=lambda t: t.replace("\n", "\r\n"))
    yield Mutation(name="byte-order mark", change=lambda t: f"\ufeff{t}")
    yield Mutation(name="no last newline", change=lambda t: t.rstrip("\n"))
    yield Mutation(name="tabs", change=sub(r"^( {4})+", lambda m: "\t" * (len(m[0]) // 4), count=0))  # type: ignore[arg-type]
    yield Mutation(name="form feed", change=sub(r"^class ", "\f\nclass "))
    yield Mutation(name="a docstring of imports", change=lambda t: f'"""\nimport this\nfrom x import *\n"""\n{t}')
    yield Mutation(name="future import", change=lambda t: f"from __future__ import annotations\n{t}")
    yield Mutation(name="star import below", change=lambda t: f"{t}\nfrom os.path import *\n", refused=True)
    yield Mutation(name="star import above", change=lambda t: f"from os.path import *\n{t}")
    yield Mutation(name="exits at once", change=lambda t: f"import sys\nsys.exit(0)\n{t}", refused=True)
    yield Mutation(name="raises at once", change=lambda t: f"import sys\nraise SystemExit\n{t}", refused=True)
    yield Mutation(name="no imports first", change=lambda t: f"X = 1\n{t}")
    yield Mutation(name="does not parse", change=lambda t: f"{t}\ndef (:\n", refused=True)
    yield Mutation(name="a null byte", change=lambda t: f"{t}\n\0\n", refused=True)
