"""What runs inside upstream's own tests: a pytest plugin that writes down what came of each.

Copied to a scratch folder that stands on PYTHONPATH behind the tree under test, and loaded with `-p`, so it imports
nothing of slimfork. The file of results has one JSON object a line. It is also the state: a test that is in it already
is not run again, so that after one that hangs or crashes the rest runs on in a new process.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
NO_REASON = "returned non-zero exit status"
RESULTS, UNDER_TEST, PACKAGE, ONLY = "SLIMFORK_RESULTS", "SLIMFORK_TREE", "SLIMFORK_PACKAGE", "SLIMFORK_ONLY"

_phases: list[Any] = []


def pytest_sessionstart() -> None:
    """Stop unless the package under test is the tree's; it is not imported for that."""
    package, root = os.environ[PACKAGE], Path(os.environ[UNDER_TEST]).resolve()
    spec = importlib.util.find_spec(package)
    place = Path(spec.origin).resolve() if spec and spec.origin else None
    if place is None or root not in place.parents:
        _stop(f"{package} would be imported from {place or 'nowhere'}, not from {root}")


def pytest_collection_modifyitems(config: Any, items: list[Any]) -> None:
    """Leave out what has run already, and what is not asked for."""
    known = {event["test"] for event in _events() if "test" in event}
    only = json.loads(os.environ[ONLY])
    wanted, left_out = [], []
    for item in items:
        name = _here(item.nodeid)
        if name in known or (only and name not in only):
            left_out.append(item)
        else:
            wanted.append(item)
    config.hook.pytest_deselected(items=left_out)
    items[:] = wanted


def pytest_collection_finish(session: Any) -> None:
    """Write down how many tests there are to run."""
    _write(collected=len(session.items))


def pytest_collectreport(report: Any) -> None:
    """Write down what cannot be collected, under the name of its file."""
    if report.outcome != "passed":
        status = "error" if report.outcome == "failed" else "skipped"
        _write(test=_here(report.nodeid) or "tests", status=status, reason=_reason(report), seconds=0.0)


def pytest_runtest_logstart(nodeid: str) -> None:
    """Write down that a test begins."""
    _phases.clear()
    _write(start=_here(nodeid))


def pytest_runtest_logreport(report: Any) -> None:
    """Remember what came of a test's setup, call or teardown."""
    _phases.append(report)


def pytest_runtest_logfinish(nodeid: str) -> None:
    """Write down what came of a test."""
    bad = next((phase for phase in _phases if phase.outcome != "passed"), None)
    if bad is None:
        status = "passed"
    elif bad.outcome == "skipped":
        status = "skipped"
    else:
        status = "failed" if bad.when == "call" else "error"
    seconds = round(sum(phase.duration for phase in _phases), 2)
    _write(test=_here(nodeid), status=status, reason=_reason(bad) if bad else "", seconds=seconds)


def pytest_sessionfinish(session: Any, exitstatus: int) -> None:
    """Check where the package came from in the end, and say that all has run."""
    del session
    package, root = sys.modules.get(os.environ[PACKAGE]), Path(os.environ[UNDER_TEST]).resolve()
    origin = getattr(package, "__file__", None)
    if origin and root not in Path(origin).resolve().parents:
        _stop(f"{os.environ[PACKAGE]} was imported from {origin}, not from {root}")
    _write(done=int(exitstatus))


def _stop(why: str) -> None:
    import pytest

    _write(elsewhere=why)
    pytest.exit(why, returncode=1)


def _reason(report: Any) -> str:
    """The line that says why, without the paths that are of this run alone."""
    told = report.longrepr
    crash = getattr(told, "reprcrash", None)
    if crash is not None:
        line = _first(crash.message)
        if NO_REASON in line:  # a command failed: what it said last says more
            line = _first("\n".join(reversed(report.capstderr.splitlines()))) or line
    elif isinstance(told, tuple):  # a skip: path, line, reason
        line = _first(str(told[2]))
    else:
        line = _first(_raised(str(told or "")))
    return _here(COLOUR.sub("", line))[:300]


def _raised(text: str) -> str:
    """Return what was raised of a whole traceback, which is told of a file that cannot be imported, or the text.

    It is marked E, and comes last.
    """
    raised = text
    for line in text.splitlines():
        if line.startswith("E "):
            raised = line[1:]
    return raised


def _here(text: str) -> str:
    """Return a text without the folder of this run, which is another one for every tree."""
    return text.replace(str(Path(os.environ[RESULTS]).parent), "…")


def _first(text: str) -> str:
    for line in text.splitlines():
        if line.strip():
            return line.strip()
    return ""


def _events() -> list[dict[str, Any]]:
    file = Path(os.environ[RESULTS])
    return list(map(json.loads, file.read_text("utf-8").splitlines())) if file.exists() else []


def _write(**event: Any) -> None:
    with Path(os.environ[RESULTS]).open("a", encoding="utf-8") as file:
        file.write(json.dumps(event) + "\n")
