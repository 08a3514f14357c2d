"""How code reads: no comprehension does three things, no function is long, and no noun of slimfork has two owners."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SLIMFORK = ROOT / "tools" / "slimfork"
ROOTS = ("patches", "tools", "overlay", "tests")
LONGEST_FUNCTION = 60  # lines
MOST_COMPREHENSIONS = 24  # in a thousand lines of code; django-upgrade, whose way of writing we follow, has 12
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
# An adapter's module gives its own, and a verb's module is named as the verb, whatever room does its work.
EVERYWHERE = {"SLIM", "__all__"}
VERBS = SLIMFORK / "commands"


def python_files(*roots):
    return [path for root in roots for path in sorted((ROOT / root).rglob("*.py"))]


def places(*kinds, root):
    """Yield every node of some kinds below a folder, with its place."""
    for path in python_files(root):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, kinds):
                yield f"{path.relative_to(ROOT)}:{node.lineno}", node


def names_bound(statement):
    """Return the names that a statement at the top of a module gives a value."""
    if not isinstance(statement, (ast.Assign, ast.AnnAssign)):
        return []
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    nodes = [node for target in targets for node in ast.walk(target)]
    return [node.id for node in nodes if isinstance(node, ast.Name)]


def having_several(owners):
    return {name: where for name, where in owners.items() if len(where) > 1}


def fors_of(comprehension):
    """Return the `for`s of a comprehension and of those in it, such as what it hands to `any`."""
    inside = [node for node in ast.walk(comprehension) if isinstance(node, COMPREHENSIONS)]
    return [part for node in inside for part in node.generators]


def is_crowded(fors):
    """Tell whether a comprehension does three things: it has three `for`s, or two and a condition."""
    return len(fors) > 2 or (len(fors) == 2 and any(part.ifs for part in fors))


@pytest.mark.parametrize("root", ROOTS)
def test_a_comprehension_has_two_fors_at_most_and_with_two_no_condition(root):
    found = places(*COMPREHENSIONS, root=root)
    assert [place for place, node in found if is_crowded(fors_of(node))] == []


@pytest.mark.parametrize(
    "code",
    [
        "[y for x in xs for y in x if y]",
        "[x for x in xs if any(x in y for y in ys)]",
        "{x: [y for y in ys if y] for x in xs}",
        "{x for x in (y for y in ys if y)}",
        "[x for x in xs if x in {y for y in ys}]",
        "[z for x in xs for y in x for z in y]",
        "[[f(z) for z in y] for x in xs for y in x]",
    ],
)
def test_comprehensions_in_a_comprehension_count_as_its_own(code):
    assert is_crowded(fors_of(ast.parse(code, mode="eval").body))


@pytest.mark.parametrize("code", ["[x for x in xs if x]", "[y for x in xs for y in x]", "[[y for y in x] for x in xs]"])
def test_two_things_are_none_too_many(code):
    assert not is_crowded(fors_of(ast.parse(code, mode="eval").body))


@pytest.mark.parametrize("root", ["overlay/slim", "tools/slimfork", "tools/bench", "patches"])
def test_comprehensions_are_no_denser_than_twice_django_upgrade_s(root):
    code = [line for path in python_files(root) for line in path.read_text(encoding="utf-8").splitlines()]
    lines = sum(not line.lstrip().startswith("#") for line in code if line.strip())
    assert 1000 * len(list(places(*COMPREHENSIONS, root=root))) / lines <= MOST_COMPREHENSIONS


@pytest.mark.parametrize("root", ROOTS)
def test_no_function_is_long(root):
    found = places(ast.FunctionDef, ast.AsyncFunctionDef, root=root)
    lengths = {f"{place} {node.name}": node.end_lineno - node.lineno + 1 for place, node in found}
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST_FUNCTION} == {}


def test_every_class_of_slimfork_has_a_name_of_its_own():
    owners = defaultdict(list)
    for place, node in places(ast.ClassDef, root=SLIMFORK):
        owners[node.name].append(place)
    assert having_several(owners) == {}


def test_every_constant_of_slimfork_has_a_name_of_its_own():
    owners = defaultdict(list)
    for path in python_files(SLIMFORK):
        for statement in ast.parse(path.read_text(encoding="utf-8")).body:
            for name in names_bound(statement):
                owners[name].append(f"{path.relative_to(ROOT)}:{statement.lineno}")
    for name in EVERYWHERE:
        owners.pop(name, None)
    assert having_several(owners) == {}


def test_every_file_of_slimfork_has_a_name_of_its_own():
    owners = defaultdict(list)
    for path in python_files(SLIMFORK):
        if path.name != "__init__.py" and path.parent != VERBS:
            owners[path.stem].append(str(path.relative_to(ROOT)))
    assert having_several(owners) == {}
