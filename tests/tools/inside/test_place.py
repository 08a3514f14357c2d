"""Python inside a fork: what it tells, where what it says is kept, and how it is ended."""

from __future__ import annotations

import pytest

from slimfork.inside.place import MARK, Place, StageError


@pytest.fixture
def place(tmp_path):
    return Place(fork=tmp_path, work=tmp_path, upstream="ultralytics", threads=1)


def test_facts_are_passed_on_and_the_last_are_the_result(place):
    heard = []
    code = f"import json\nfor n in (1, 2): print('{MARK}', json.dumps({{'n': n}}))\nprint('more')"
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
