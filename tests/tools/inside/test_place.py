"""Python inside a fork: what it tells, where what it says is kept, and how it is ended."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest

from slimfork.inside import inside
from slimfork.inside.place import FACTS_MARK, Place, StageError, take_along, take_away


@pytest.fixture
def place(tmp_path):
    return Place(fork=tmp_path, work=tmp_path, upstream="ultralytics", threads=1)


def test_facts_are_passed_on_and_the_last_are_the_result(place):
    heard = []
    code = f"import json\nfor n in (1, 2): print('{FACTS_MARK}', json.dumps({{'n': n}}))\nprint('more')"
    assert place.run("stage", "-c", code, heard=heard.append) == {"n": 2}
    assert heard == [{"n": 1}, {"n": 2}]
    assert (place.work / "logs" / "stage.log").read_text().endswith("more\n")


def test_a_failure_names_the_log(place):
    with pytest.raises(StageError, match=r"the stage 'stage' failed; its log is .*stage\.log"):
        place.run("stage", "-c", "raise SystemExit(3)", heard=lambda _: None)


def test_one_that_takes_too_long_is_ended(place):
    with pytest.raises(StageError, match=r"was ended after 0\.5 s"):
        place.run("stage", "-c", "import time; time.sleep(60)", heard=lambda _: None, limit=0.5)


def test_one_that_is_in_time_is_not(place):
    assert place.run("stage", "-c", "pass", heard=lambda _: None, limit=60) == {}


@pytest.mark.parametrize("kind", ["demo", "verify"])
def test_the_steps_are_taken_along_with_all_of_ours_that_they_import(kind, tmp_path):
    files = inside.steps(kind)
    take_along(files, tmp_path)
    ours = {path.stem for path in inside.script("inside.py").parent.glob("*.py")}
    nodes = [node for file in tmp_path.iterdir() for node in ast.walk(ast.parse(file.read_text("utf-8")))]
    imported = {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.level == 0}
    assert imported & ours <= {file.stem for file in tmp_path.iterdir()}

    take_away(files, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("upstream", ["ultralytics", "yolov5"])
@pytest.mark.parametrize("kind", ["demo", "verify"])
def test_the_steps_load_the_module_of_their_upstream(kind, upstream, tmp_path):
    take_along(inside.steps(kind), tmp_path)
    code = f"import {kind}_steps as steps; print(steps.adapter.__name__, steps.adapter.load, steps.WORK)"
    environment = inside.environment(tmp_path, tmp_path / "home", SLIMFORK_UPSTREAM=upstream)
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert said.stdout.startswith(f"{kind}_{upstream} <function load at ")
    assert said.stdout.endswith(f" {tmp_path}\n")
