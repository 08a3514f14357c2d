"""The index that pip uses here, asked as a user asks it: in a process of its own, with the pauses as shipped."""

from __future__ import annotations

import json
import subprocess
import sys

from slimfork.terminal.content import patches_root
from slimfork.terminal.naming import UPSTREAMS


def locks():
    return {upstream: (patches_root() / f"{upstream}.lock").read_bytes() for upstream in UPSTREAMS}


def test_it_still_offers_what_is_pinned():
    before = locks()
    command = [sys.executable, "-m", "slimfork", "pins", "refresh", "--dry-run", "--json"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    assert set(results) == set(UPSTREAMS)
    assert all(result["changed"] == result["gone"] == [] for result in results.values())
    assert before == locks()
