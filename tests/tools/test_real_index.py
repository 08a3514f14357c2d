"""The index that pip uses here, asked as a user asks it: its address from the environment, its pauses as shipped."""

from __future__ import annotations

import json

from slimfork import pins
from slimfork.cli import run
from slimfork.content import patches_root


def locks():
    return {upstream: (patches_root() / f"{upstream}.lock").read_bytes() for upstream in pins.UPSTREAMS}


def test_it_still_offers_what_is_pinned(capsys):
    before = locks()
    code = run(["pins", "refresh", "--dry-run", "--json"])
    out, err = capsys.readouterr()
    assert code == 0, err
    results = json.loads(out)
    assert set(results) == set(pins.UPSTREAMS)
    assert all(result["changed"] == result["gone"] == [] for result in results.values())
    assert before == locks()
