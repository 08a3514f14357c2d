"""The two packages have rooms on floors: no import between rooms goes up, none in a circle, and no room is crowded."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = {"slim": ROOT / "overlay" / "slim", "slimfork": ROOT / "tools" / "slimfork"}
CROWDED = 16  # files in a room, without its `__init__`


def modules(package):
    """Return dotted name to file of every module; a package's `__init__` goes by the package's name."""
    root = PACKAGES[package]
    found = {}
    for path in root.rglob("*.py"):
        parts = [package, *path.relative_to(root).with_suffix("").parts]
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(name, path, known):
    """Yield the modules of the package that one imports, wherever in it, but for annotations alone."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing = [n for n in ast.walk(tree) if isinstance(n, ast.If) and getattr(n.test, "id", "") == "TYPE_CHECKING"]
    unseen = {id(node) for block in typing for node in ast.walk(block)}
    parts = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom) or id(node) in unseen:
            continue
        above = parts[: len(parts) - node.level + 1] if node.level else []
        target = ".".join([*above, *filter(None, [node.module])])
        for alias in node.names:
            whole = f"{target}.{alias.name}"
            if whole in known or target in known:
                yield whole if whole in known else target


def room(name, path):
    """Return the folder of a module; a package's own `__init__` is no room."""
    return None if path.name == "__init__.py" else name.rpartition(".")[0]


@pytest.fixture(params=PACKAGES)
def package(request):
    return request.param


def test_no_import_goes_in_a_circle_among_modules(package):
    known = modules(package)
    graph = {name: set(imports(name, path, known)) - {name} for name, path in known.items()}
    assert list(TopologicalSorter(graph).static_order())


def test_no_import_goes_in_a_circle_among_rooms(package):
    known = modules(package)
    graph = defaultdict(set)
    for name, path in known.items():
        for other in imports(name, path, known):
            here, there = room(name, path), room(other, known[other])
            if here and there and here != there:
                graph[here].add(there)
    assert len(list(TopologicalSorter(graph).static_order())) > 10


def test_no_room_is_crowded(package):
    counted = defaultdict(int)
    for name, path in modules(package).items():
        counted[room(name, path)] += 1
    del counted[None]
    assert {name: count for name, count in counted.items() if count > CROWDED} == {}


def test_every_room_says_what_it_is_about(package):
    rooms = {path.parent for path in modules(package).values()}
    assert [
        str(place) for place in rooms if not ast.get_docstring(ast.parse((place / "__init__.py").read_text()))
    ] == []


def test_every_module_has_a_test_of_its_name_or_is_named_in_one(package):
    files = [path for path in (ROOT / "tests").rglob("*.py") if path != Path(__file__)]
    text = "\n".join(path.read_text(encoding="utf-8") for path in files)
    names = {path.stem for path in files}
    known = {name: path for name, path in modules(package).items() if path.name != "__init__.py"}
    parents = {name: (name.rpartition(".")[0], path.stem) for name, path in known.items()}
    unnamed = [
        name
        for name, (above, stem) in parents.items()
        if f"test_{stem}" not in names
        and name not in text
        and not re.search(rf"from {re.escape(above)} import [^\n]*\b{stem}\b", text)
    ]
    assert unnamed == []


def test_modules_of_slim_that_are_named_in_strings_are_there() -> None:
    """What runs in another process names them so, and no linter follows it there."""
    slim = ROOT / "overlay" / "slim"
    rooms = "|".join(path.name for path in slim.iterdir() if path.is_dir() and path.name != "__pycache__")
    named = re.compile(rf"""["'](?:\{{[\w.]+\}}\.|[\w.{{}}]+\.slim\.)?((?:{rooms})\.[a-z_]+)["']""")
    places = [*(ROOT / "tools").rglob("*.py"), *(ROOT / "tests").rglob("within/*.py")]
    found = {name for path in places for name in named.findall(path.read_text(encoding="utf-8"))}
    others = {"models.yolo", "models.experimental", "models.common"}  # of a tag of YOLOv5
    assert {"analysis.channels", "costs.measure"} <= found  # one by itself, one behind a name in braces
    assert sorted(name for name in found - others if not (slim / f"{name.replace('.', '/')}.py").is_file()) == []
