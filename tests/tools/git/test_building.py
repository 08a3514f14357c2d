"""Where a fork cannot be made: a link to nothing, a mount, a folder that is fixed, a name that none can have."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.tools.small_release import TRAINER, VERSION

SPEC = f"ultralytics=={VERSION}"


@pytest.mark.usefixtures("world")
def test_a_link_to_an_empty_folder_is_that_folder(call, tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    assert call("vendor", SPEC, "--into", tmp_path / "link").code == 0
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "disk" / TRAINER).is_file()
    assert "nothing to do" in call("vendor", SPEC, "--into", tmp_path / "link").out


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize(("name", "target"), [("dangling", "nowhere"), ("loop", "loop"), ("deep", "loop/x")])
def test_a_link_to_nothing_is_refused_by_name(call, tmp_path, name, target):
    (tmp_path / "loop").symlink_to("loop")
    if name != "loop":
        (tmp_path / name).symlink_to(target)
    for verb in (("vendor", SPEC, "--into"), ("status",), ("apply",)):
        outcome = call(*verb, tmp_path / name)
        assert outcome.code == 2
        assert str(tmp_path / name) in outcome.err
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize("length", [200, 246, 255])
@pytest.mark.parametrize("letter", ["n", "ü"])
def test_the_longest_name_that_a_folder_can_have_will_do(call, tmp_path, length, letter):
    name = letter * (length // len(letter.encode()))
    assert call("vendor", SPEC, "--into", tmp_path / name).code == 0
    assert (tmp_path / name / TRAINER).is_file()
    assert not list(tmp_path.glob(".*"))


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize("path", ["n" * 256, "d/" * 2040 + "x", "d/" * 3000, "/dev/null/x", "/proc/x", "ü" * 128])
def test_a_path_that_no_folder_can_have_is_one_line(call, tmp_path, path):
    for verb in (("vendor", SPEC, "--into"), ("status",)):
        outcome = call(*verb, tmp_path / path)
        assert outcome.code == 2
        assert len(outcome.err.splitlines()) == 2


@pytest.mark.usefixtures("world")
@pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(os, "geteuid") or os.geteuid() != 0, reason="mounts need root"
)
def test_a_mounted_folder_is_refused_before_anything_is_made(call, tmp_path):
    place = tmp_path / "mounted"
    place.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "x", place], capture_output=True, check=False
    ).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        outcome = call("vendor", SPEC, "--into", place)
        assert outcome.code == 2
        assert f"{place} is a mount point" in outcome.err
        inside = outcome.err.split("--into ")[1].strip()
        assert call("vendor", SPEC, "--into", inside).code == 0  # what it says to type works
    finally:
        subprocess.run(["umount", place], check=False)
    assert not list(tmp_path.glob(".*slimfork*"))


@pytest.mark.usefixtures("world")
def test_a_folder_onto_which_none_can_be_renamed_is_one_line(call, tmp_path):
    place = tmp_path / "fixed"
    place.mkdir()
    if subprocess.run(["chattr", "+i", place], capture_output=True, check=False).returncode:
        pytest.skip("no folder can be made immutable here")
    try:
        outcome = call("vendor", SPEC, "--into", place)
    finally:
        subprocess.run(["chattr", "-i", place], check=False)
    assert outcome.code == 2
    assert f"cannot put the fork at {place}" in outcome.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "fixed", "world"]
