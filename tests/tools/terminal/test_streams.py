"""Stdout may be closed, full or unread, the folder one stands in gone, and that of temporary files tiny."""

from __future__ import annotations

import subprocess

import pytest

from tests.sampling import sampled
from tests.tools.real_program import one_line, run


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """A fork of a real release: a process of its own has the real patches."""
    path = tmp_path_factory.mktemp("real") / "fork"
    assert run(["vendor", "ultralytics==8.4.190", "--into", path]).returncode == 0
    return path


@pytest.mark.parametrize("arguments", [["pins", "list"], ["pins", "list", "--json"], ["--help"], ["pins", "--help"]])
def test_a_stdout_that_takes_nothing_is_said_at_the_end(arguments):
    assert "cannot write the result to stdout: No space left on device" in one_line(run(arguments, "{} >/dev/full"))
    assert "cannot write the result to stdout: it is closed" in one_line(run(arguments, "{} >&-"))


def test_what_has_a_reader_no_more_is_no_failure(real):
    done = run(["pins", "list"], "{} | head -1; echo ${{PIPESTATUS[0]}}")
    assert (done.stdout.split()[0], done.stdout.split()[-1], done.stderr) == ("release", "0", "")
    assert run(["status", real, "--json"], "{} | true; echo ${{PIPESTATUS[0]}}").stdout == "0\n"
    assert run(["status", real / "nowhere"], "{} 2>&1 >&- | true; echo ${{PIPESTATUS[0]}}").stdout == "2\n"


@pytest.mark.parametrize(
    "ends", sampled(["2>&-", "2>/dev/full", "<&- 2>&-", "<&- >&- 2>&-"], by_default=["2>/dev/full", "<&- >&- 2>&-"])
)
def test_a_closed_stderr_changes_no_exit_code(real, ends):
    assert run(["status", real / "nowhere"], f"{{}} {ends}").returncode == 2
    assert run(["revert", real, "--dry-run"], f"{{}} {ends}").returncode == (2 if ">&- 2" in ends else 0)


def test_no_file_takes_the_place_of_a_closed_stdout(tmp_path):
    """The first file that is opened would get its number, and then what is printed, or what git says."""
    fork = tmp_path / "fork"
    done = run(["vendor", "ultralytics==8.4.190", "--into", fork], "{} <&- >&- 2>&-")
    assert done.returncode == 2  # nobody was told
    assert run(["status", fork, "--json"]).returncode == 0
    assert subprocess.run(["git", "-C", fork, "fsck", "--strict"], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("verb", [["status", "x"], ["vendor", "ultralytics==8.4.190", "--into", "x"], ["demo"]])
def test_a_working_folder_that_is_gone_is_one_line(tmp_path, verb):
    gone = tmp_path / "gone"
    one_line(run(verb, f"mkdir {gone} && cd {gone} && rmdir {gone} && {{}}"))


@pytest.mark.slow
def test_a_folder_for_temporary_files_may_be_tiny(tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "x", small], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("nothing can be mounted here")
    try:
        made = run(["vendor", "ultralytics==8.4.190", "--into", tmp_path / "fork"], env={"TMPDIR": str(small)})
        for verb in ("revert", "apply", "status"):
            assert run([verb, tmp_path / "fork"], env={"TMPDIR": str(small)}).returncode == 0
        full = run(["demo", "--out", small / "demo", "--release", "ultralytics==8.4.190"])
        assert (full.returncode, "No space left on device" in full.stderr, "bug" in full.stderr) == (2, True, False)
        full = run(["pins", "add", "yolov5@v7.0", "--git", tmp_path / "fork"], env={"TMPDIR": str(small)})
        assert (full.returncode, "bug" in full.stderr) == (2, False)
    finally:
        subprocess.run(["umount", small], check=False)
    assert made.returncode == 0, made.stderr
