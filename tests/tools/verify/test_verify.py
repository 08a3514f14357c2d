"""`apply-patches verify`: what it runs, what it says, and what it refuses.

The small release of these tests cannot train, which is soon found out; tests/forks/test_fork_verify.py has real ones.

Also of: `slimfork.inside.models_ultralytics`, `slimfork.inside.scratch`, `slimfork.inside.scripts_yolov5`,
`slimfork.inside.verify_steps`, `slimfork.inside.verify_ultralytics`, `slimfork.inside.verify_yolov5`.
"""

from __future__ import annotations

import ast
import tempfile
from pathlib import Path

import pytest

from slimfork.verify import verify
from tests.tools.conftest import write


@pytest.fixture
def verified(fork, call, tmp_path):
    """Verify the small release into a folder that is kept."""
    return lambda *more: call("verify", fork, "--work", tmp_path / "work", *more)


def test_a_failed_check_is_exit_code_1_and_what_needs_it_is_not_run(verified, fork, git, tmp_path):
    before = sorted(fork.rglob("*"))
    outcome = verified("--json")
    assert outcome.code == 1
    assert outcome.json["ok"] is False
    checks = {check["id"]: check for check in outcome.json["checks"]}
    assert [i for i, check in checks.items() if check["verdict"] == "pass"] == ["identity"]
    assert [i for i, check in checks.items() if check["verdict"] == "FAIL"] == ["dense", "dense-baseline"]
    assert checks["identity"]["detail"] == "ultralytics 8.9.0"
    assert "cannot import name 'YOLO'" in checks["dense"]["detail"]
    assert checks["sparse"]["detail"] == "needs dense"
    assert checks["off"]["detail"] == "needs dense, dense-baseline"

    log = tmp_path / "work" / "logs" / "dense.log"
    assert "2 of 16 checks failed: dense, dense-baseline" in outcome.err
    assert f"try: cat {log}" in outcome.err
    assert log.read_text().startswith("$ ")
    assert "Traceback" in log.read_text()

    assert sorted(fork.rglob("*")) == before
    assert git(fork, "status", "--porcelain", "--ignored") == ""


def test_the_table_has_a_row_for_every_check_and_the_logs_are_kept(fork, call, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    outcome = call("verify", fork)
    assert outcome.code == 1
    assert all(check.title in outcome.out for check in verify.CHECKS)
    assert outcome.out.count("not run") == 13
    work = Path(outcome.err.partition("all logs and files: ")[2].splitlines()[0])
    assert sorted(p.stem for p in (work / "logs").iterdir()) == ["dense", "dense-baseline", "identity"]


def test_it_is_the_work_tree_that_is_verified(verified, fork):
    """Edits that are not committed are the user's, and what he wants to know about."""
    write(fork, {"ultralytics/__init__.py": b"__version__ = 'mine'\n"})
    (identity, *_) = verified("--json").json["checks"]
    assert identity["detail"] == "ultralytics mine"


def test_a_package_that_comes_from_elsewhere_fails(verified, fork):
    for path in (fork / "ultralytics").rglob("*"):
        if path.is_file():
            path.unlink()
    (identity, *_) = verified("--json").json["checks"]
    assert identity["verdict"] == "FAIL"


def test_a_check_that_takes_too_long_fails(verified):
    (identity, *_) = verified("--timeout", 0.01, "--json").json["checks"]
    assert (identity["verdict"], identity["detail"]) == ("FAIL", "took longer than 0.01 s")


def test_a_fork_that_prints_on_its_way_out_gives_no_verdict(verified, fork):
    write(fork, {"ultralytics/__init__.py": b"import atexit\n__version__ = '1'\natexit.register(print, 'bye')\n"})
    (identity, *_) = verified("--json").json["checks"]
    assert (identity["verdict"], identity["detail"]) == ("FAIL", "no verdict; it said last: bye")


def test_a_fork_without_all_patches_is_refused(fork, call):
    assert call("revert", fork, "--patch", "penalty").code == 0
    outcome = call("verify", fork)
    assert outcome.code == 2
    assert f"{fork} is not wholly patched" in outcome.err
    assert f"apply-patches apply {fork}" in outcome.err


def test_what_is_no_fork_is_refused(call, tmp_path):
    assert call("verify", tmp_path).code == 2
    assert call("verify", tmp_path / "nowhere").code == 2


def test_a_folder_with_something_in_it_is_not_worked_in(fork, call, tmp_path):
    write(tmp_path / "work", {"mine.txt": b"mine"})
    outcome = call("verify", fork, "--work", tmp_path / "work")
    assert outcome.code == 2
    assert "is not empty" in outcome.err
    assert (tmp_path / "work" / "mine.txt").read_bytes() == b"mine"


def test_the_steps_import_nothing_of_slimfork():
    """They run in the fork's process, where only the fork may be looked at."""
    nodes = [node for file in verify.STEPS_FILES for node in ast.walk(ast.parse(file.read_text()))]
    plain = [node for node in nodes if isinstance(node, ast.Import)]
    names = {alias.name for node in plain for alias in node.names}
    names |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    assert not [name for name in names if name.split(".")[0] == "slimfork"]


def test_every_check_has_its_step_and_needs_earlier_ones():
    body = ast.parse(verify.STEPS_FILES[0].read_text()).body
    steps = {node.name for node in body if isinstance(node, ast.FunctionDef)}
    done = []
    for check in verify.CHECKS:
        step = check.id if check.step is None else check.step
        assert not step or f"step_{step}" in steps
        assert set(check.needs) <= set(done)
        done.append(check.id)
