"""Whether what an edit puts in is reached, once, and whether its names are what they are meant to be.

Also of: `slimfork.syntax.flow`, `slimfork.syntax.place_in`, `slimfork.syntax.scopes`.
"""

from __future__ import annotations

import pytest

from slimfork.codemods.codemod import Import, Insert, Replace, Sites, Source
from slimfork.codemods.patch import Patch, Variant
from slimfork.codemods.patch_plan import plan_patches
from slimfork.syntax.standing import Piece, StandingPieces

OURS = Piece(code="from z import ours as slim_ours", kind="import", former="from z import ours")
CALL = Piece(code="slim_ours(self, x)", kind="statement", anchor="go(self, ...)", within=("A", "f"))

MODULE = """\
import os
from z import ours as slim_ours


class A:
    def f(self, x):
        {before}
        go(self, 1)
        slim_ours(self, x)
        {after}
"""


def faults(before: str = "pass", after: str = "pass", module: str = MODULE, below: str = "") -> list[str]:
    text = module.replace("{before}", before).replace("{after}", after) + below
    return list(StandingPieces(text.encode(), [OURS, CALL]).faults())


@pytest.mark.parametrize(
    "before",
    [
        "x = 1",
        "if self: x = 1",
        "x += 1",
        "for x in self: pass",
        "with self as x: pass",
        "if self: return",
        "y = [x for x in self]",
        "y = lambda x: x",
        "def g(): return",
        "while self: break",
        "try: pass\n        except E: return",
    ],
)
def test_what_does_not_matter(before: str) -> None:
    assert faults(before) == []


@pytest.mark.parametrize("before", ["return", "raise E", "while True: pass", "assert 0", "sys.exit(1)", "exit()"])
def test_what_is_left_before_is_never_reached(before: str) -> None:
    (fault,) = faults(before)
    assert fault == "never reaches `slim_ours(self, x)` on line 9: line 7 ends what comes before it"


@pytest.mark.parametrize(
    "before",
    ["del x", "try: pass\n        except E as x: pass", "if self: del x", "x: int = 1; del x"],
)
def test_a_name_that_may_have_no_value_is_named(before: str) -> None:
    assert any("needs `x` on line" in fault and "may have no value there in A.f" in fault for fault in faults(before))


def test_a_name_that_is_not_there_is_named() -> None:
    module = MODULE.replace("def f(self, x)", "def f(self, y)")
    assert faults(module=module) == ["needs `x` on line 9, which does not exist there in A.f"]
    assert faults(module=module, below="x = 1\n") == faults(module=module)  # the module's is another


@pytest.mark.parametrize(
    ("lines", "fine"),
    [
        (("if self:", "    y = 1", "else:", "    y = 2"), True),
        (("if self:", "    y = 1", "else:", "    return"), True),
        (("if self:", "    y = 1"), False),
        (("try:", "    y = 1", "except E:", "    y = 2"), True),
        (("try:", "    y = 1", "except E:", "    pass"), False),
        (("try:", "    pass", "finally:", "    y = 1"), True),
        (("for y in self:", "    pass"), False),
        (("with self as y:", "    pass"), True),
        (("with self:", "    y = 1"), True),
        (("match self:", "    case 1:", "        y = 1", "    case _:", "        y = 2"), True),
        (("match self:", "    case 1:", "        y = 1"), False),
        (("if (y := 1):", "    pass"), True),
        (("self and (y := 1)",), False),
        (("while self:", "    y = 1"), False),
        (("import y",), True),
        (("def y():", "    pass"), True),
        (("y: int",), False),
        (("y: int = 1",), True),
        (("y, z = 1, 2",), True),
        (("[y for y in self]",), False),
        (("y = 1", "del y"), False),
        (("global y", "y = 1"), True),
    ],
)
def test_a_name_must_be_bound_whichever_way_was_taken(lines: tuple[str, ...], fine: bool) -> None:
    module = MODULE.replace("def f(self, x)", "def f(self)").replace("slim_ours(self, x)", "slim_ours(self, y)")
    call = Piece(code="slim_ours(self, y)", kind="statement", anchor="go(self, ...)", within=("A", "f"))
    text = module.replace("{before}", "\n        ".join(lines)).replace("{after}", "y = 3")
    found = list(StandingPieces(text.encode(), [OURS, call]).faults())
    assert (found == []) is fine, found


@pytest.mark.parametrize(
    "below",
    [
        "slim_ours = 1\n",
        "def slim_ours(): pass\n",
        "import slim_ours\n",
        "del slim_ours\n",
        "def g():\n    global slim_ours\n    slim_ours = 1\n",
        "try:\n    pass\nexcept E as slim_ours:\n    pass\n",
        "from z import *\n",
    ],
)
def test_our_name_is_ours_alone(below: str) -> None:
    (fault, *_) = faults(below=below)
    assert "`slim_ours`" in fault or "with `*`" in fault


@pytest.mark.parametrize(
    "below",
    [
        "class A:\n    pass\n",
        "A.f = g\n",
        "setattr(A, 'f', g)\n",
        "del A\n",
        "from z import A\n",
        "    def f(self): pass\n",
        "    f = None\n",
    ],
)
def test_what_takes_the_place_of_the_method_is_named(below: str) -> None:
    (fault,) = faults(below=below)
    assert fault.startswith(("defines A again on line", "defines A.f again on line"))


def test_a_second_call_of_ours_is_named() -> None:
    assert faults(after="slim_ours(self, x)") == ["uses our `slim_ours` in 2 places, and 1 are ours"]


def test_a_name_that_our_import_once_gave_is_named() -> None:
    assert faults(after="ours()") == ["reads `ours` on line 10, which our import no longer gives"]
    assert faults(below="from y import ours\nours()\n") == []


TAKING = Insert(
    file="a.py",
    within=("f",),
    anchor="m = build(...)",
    code="m = keep(m, {weights})",
    takes=(("weights", 1),),
    former="m = kept(m, w)",
)


def took(line: str) -> str:
    source = Source(f"def f(keep):\n    {line}\n".encode())
    assert TAKING.sites(source) == Sites(pending=1)
    new = TAKING.apply(source)
    assert TAKING.sites(new) == Sites(applied=1)
    return new.content.decode().splitlines()[-1].strip()


@pytest.mark.parametrize(
    ("arguments", "taken"),
    [
        ("cfg, w", "w"),
        ("weights=a.b", "a.b"),
        ("weights=a if b else None, cfg=c", "a if b else None"),
        ("c, (w)", "(w)"),
        ("c, w['x'], *rest", "w['x']"),
        ("c, gewichtä", "gewichtä"),
        ("c, m2", "m2"),
    ],
)
def test_what_the_anchor_is_given_is_taken(arguments: str, taken: str) -> None:
    assert took(f"m = build({arguments})") == f"m = keep(m, {taken})"


PATCH = Patch(
    id="p",
    title="Do p",
    why="it is so",
    until="never",
    variants=(
        Variant(
            versions=">=1,<=2",
            edits=(
                Import(file="a.py", code="from z import k as keep", former="from z import kept"),
                TAKING,
            ),
        ),
    ),
)


def planned(text: str, patch: Patch = PATCH):
    return plan_patches({"a.py": text.encode()}, upstream="up", version="1", series=[patch]).steps[0]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("cfg", "the anchor's call has no argument `weights`"),
        ("*found", "the anchor's call has no argument `weights`"),
        ("cfg, **found", "the anchor's call has no argument `weights`"),
        ("cfg, load()", "which must not be evaluated a second time"),
        ("cfg, (y := 1)", "which must not be evaluated a second time"),
        ("cfg, m.x", "which the anchor itself gives a new value"),
    ],
)
def test_what_cannot_be_taken_is_refused_by_name(arguments: str, says: str) -> None:
    step = planned(f"import os\n\n\ndef f():\n    m = build({arguments})\n")
    assert step.state == "broken"
    assert says in step.problems[0]


NOW = "import os\nfrom z import k as keep\n\n\ndef f(w):\n    m = build(1, w)\n    m = keep(m, w)\n"
ONCE = (
    "import os\nfrom z import kept  # ours\n\n\ndef f(w):\n    m = build(1, w)\n    # keep\n    m = kept(m, w)  # it\n"
)


def test_an_earlier_form_is_pending_and_becomes_the_one_of_today() -> None:
    step = planned(ONCE)
    assert (step.state, step.former, step.reason) == (
        "pending",
        True,
        "an earlier form of the edit stands at its sites",
    )
    new = step.changes["a.py"].decode()
    assert new == NOW.replace("keep\n\n", "keep  # ours\n\n").replace(
        "    m = keep(m, w)\n", "    # keep\n    m = keep(m, w)  # it\n"
    )
    assert planned(new).state == "applied"
    assert planned(ONCE, PATCH.formerly).state == "applied"


@pytest.mark.parametrize(
    "text",
    [
        NOW.replace("keep(m, w)", "kept(m, w)"),
        ONCE.replace("kept(m, w)", "keep(m, w)"),
        ONCE.replace("    m = kept(m, w)  # it\n", ""),
        ONCE.replace("from z import kept  # ours\n", ""),
        ONCE.replace("kept  # ours\n", "kept\nfrom z import k as keep\n"),
        ONCE + "    m = keep(m, w)\n",
        ONCE + "    kept()\n",
    ],
)
def test_forms_are_never_mixed(text: str) -> None:
    step = planned(text)
    assert (step.state, dict(step.changes)) == ("broken", {})


def test_a_replacement_must_not_read_what_another_means() -> None:
    edit = Replace(file="a.py", anchor="np.trapz", code="getattr(np, 'trapezoid')")
    patch = Patch(id="p", title="t", why="w", until="u", variants=(Variant(versions=">=1,<=2", edits=(edit,)),))
    assert planned("x = np.trapz\n", patch).state == "pending"
    step = planned("def f(getattr):\n    x = np.trapz\n", patch)
    assert step.state == "broken"
    assert "gives another meaning to Python's `getattr`" in step.problems[0]


def test_names_that_a_replacement_gives_itself_need_not_be_there() -> None:
    edit = Replace(file="a.py", within=("f",), anchor="url(r)", code="next((x.url for x in r), (lambda y: y)(''))")
    patch = Patch(id="p", title="t", why="w", until="u", variants=(Variant(versions=">=1,<=2", edits=(edit,)),))
    assert planned("def f(r):\n    for x in r:\n        pass\n    return url(r)\n", patch).state == "pending"
