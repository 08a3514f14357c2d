"""A run that is ended in the middle of a download leaves nothing that a later run would take for a release."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from slimfork.releases import fetch
from slimfork.terminal import content
from tests.tools.index_server import VERSION, LocalIndex, tiny_sdist

SDIST = tiny_sdist()
TOOLS = Path(fetch.__file__).parents[2]


@pytest.fixture
def local():
    with LocalIndex() as server:
        yield server


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def start(local, cache):
    """Start the real command on the stalled server; it pins a release that it never gets."""
    program = f"import sys; sys.path.insert(0, {str(TOOLS)!r}); from slimfork.cli import main; main()"
    arguments = ["pins", "add", f"ultralytics=={VERSION}", "--index-url", local.url]
    environment = {**os.environ, "SLIMFORK_CACHE": str(cache)}
    run = subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert local.stalled.wait(60)
    return run


def test_an_interrupt_in_the_middle_leaves_nothing(local, cache):
    lock = content.patches_root() / "ultralytics.lock"
    before = lock.read_bytes()
    local.publish(SDIST)
    local.stall = len(SDIST) // 2
    run = start(local, cache)
    run.send_signal(signal.SIGINT)
    out, err = run.communicate(timeout=60)
    assert run.returncode == 130
    assert out == ""
    assert "Traceback" not in err
    assert list((cache / "sdists").iterdir()) == []
    assert lock.read_bytes() == before


def test_a_kill_in_the_middle_is_cleaned_up_by_the_next_run(local, cache):
    pin = local.publish(SDIST)
    local.stall = len(SDIST) // 2
    run = start(local, cache)
    run.kill()
    run.communicate(timeout=60)
    assert not any(path.name.startswith("ultralytics") for path in (cache / "sdists").iterdir())
    local.go_on.set()
    path = fetch.fetch(pin, index_url=local.url, cache_dir=cache / "sdists")
    assert path.read_bytes() == SDIST
    assert list((cache / "sdists").iterdir()) == [path]
