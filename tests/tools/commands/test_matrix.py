"""`apply-patches matrix`: real releases in, a table, JSON, a page and Markdown out; wrong requests cost one line.

Also of: `slimfork.matrix.dynamic_run`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from slimfork.releases import pins
from slimfork.releases.fetch import cache_root, fetch

STATIC = ("matrix", "--static", "--jobs", "1", "--releases")


def test_static_of_three_releases_in_every_form(call, tmp_path):
    files = [tmp_path / name for name in ("m.json", "m.html", "m.md")]
    places = ("--json", files[0], "--html", files[1], "--markdown", files[2])
    outcome = call(*STATIC, "8.0.129,8.0.128,8.4.190", *places)
    assert outcome.code == 0, outcome.err
    assert "3 releases of ultralytics: 2 green, 1 reasoned" in outcome.out
    made = json.loads(files[0].read_text())
    assert made["schema"] == 1
    assert [release["version"] for release in made["releases"]] == ["8.0.128", "8.0.129", "8.4.190"]
    for release in made["releases"][::2]:
        assert {cell["verdict"] for cell in release["checks"].values()} == {"pass"}
        assert set(release["checks"]) == {check["id"] for check in made["checks"]}
    assert made["releases"][0]["patches"]["np_trapz"] == "pending"
    assert made["releases"][2]["patches"]["np_trapz"] == "excluded"
    assert "8.0.128" in files[1].read_text()
    assert "| 8.0.129 |  | reasoned |" in files[2].read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--releases", "8.0.999"), "not pinned; nearest: "),
        (("--releases", "sometimes"), "none of its forms"),
        (("--shard", "3/2"), "--shard '3/2'"),
        (("--upstream", "yolov9"), "yolov9"),
        (("--json", "no/such/folder/m.json"), "no/such/folder is not a folder"),
    ],
)
def test_a_wrong_request_is_refused_before_anything_is_done(call, arguments, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outcome = call("matrix", *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert words in outcome.err
    assert "try: " in outcome.err
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_what_cannot_be_fetched_fails_and_the_others_do_not(call, tmp_path, monkeypatch):
    kept = tmp_path / "cache" / "sdists"
    kept.mkdir(parents=True)
    path = fetch(pins.find("ultralytics==8.0.44"))
    (kept / path.name).write_bytes(path.read_bytes())
    monkeypatch.setenv("SLIMFORK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    outcome = call(*STATIC, "8.0.44,8.0.45", "--json", tmp_path / "m.json")
    assert outcome.code == 1
    assert "error: 1 of 2 releases failed" in outcome.err
    releases = {r["version"]: r for r in json.loads((tmp_path / "m.json").read_text())["releases"]}
    assert (releases["8.0.44"]["verdict"], releases["8.0.45"]["verdict"]) == ("green", "failed")
    assert "127.0.0.1" in releases["8.0.45"]["checks"]["fetch"]["detail"]


def test_a_release_that_the_patches_do_not_know_is_refused_unless_allowed(call, world):
    assert world.is_dir()
    (world / "patches/ultralytics/penalty.py").write_text(
        (world / "patches/ultralytics/penalty.py").read_text().replace("<=8.9.9", "<=8.9.0")
    )
    (world / "patches/ultralytics/zclip.py").write_text(
        (world / "patches/ultralytics/zclip.py").read_text().replace("<=8.9.9", "<=8.9.0")
    )
    refused = call(*STATIC, "8.9.1")
    assert refused.code == 2
    assert "the patches do not know ultralytics==8.9.1 yet" in refused.err
    assert "--allow-unpinned" in refused.err


def test_a_release_that_takes_too_long_fails_with_its_log_and_the_others_do_not_wait(call, tmp_path, monkeypatch):
    kept = tmp_path / "cache"
    kept.mkdir()
    (kept / "sdists").symlink_to(cache_root() / "sdists")
    monkeypatch.setenv("SLIMFORK_CACHE", str(kept))
    outcome = call(
        "matrix", "--dynamic", "--releases", "8.0.129,8.4.190", "--timeout", "2", "--json", tmp_path / "m.json"
    )
    assert outcome.code == 1
    assert "8.4.190: failed: identity" in outcome.err
    excluded, late = json.loads((tmp_path / "m.json").read_text())["releases"]
    assert (excluded["verdict"], excluded["checks"]) == ("reasoned", {})
    assert late["checks"]["identity"]["detail"] == "took longer than 2 s"
    assert {cell["verdict"] for name, cell in late["checks"].items() if name != "identity"} == {"not run"}
    assert Path(late["checks"]["identity"]["log"]).is_dir()
    assert f"try: cat {late['checks']['identity']['log']}" in outcome.err


def test_ctrl_c_ends_it_with_130_and_what_was_done_stays(tmp_path):
    environment = {**os.environ, "SLIMFORK_CACHE": str(tmp_path / "cache")}
    environment.pop("PYTHONPATH", None)
    command = [sys.executable, "-m", "slimfork", *STATIC, ">=8.0.40,<8.0.60"]
    link = tmp_path / "cache"
    link.mkdir()
    (link / "sdists").symlink_to(cache_root() / "sdists")
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    end = time.monotonic() + 120
    while time.monotonic() < end and len(list(link.rglob("*.json"))) < 30:
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "interrupted" in err
    assert len(list(link.rglob("*.json"))) >= 30
