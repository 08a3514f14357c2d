"""Hundreds of kills and saves, on a real release: nothing is lost, nothing is half there, nothing is left behind.

`pytest -m slow -n 0 -s tests/tools/test_soak.py` prints the counts that tools/README.md shows.
"""

from __future__ import annotations

import shutil
import sys
import threading
import time

import pytest

from tests.tools import soak
from tests.tools.index_server import LocalIndex, tiny_sdist
from tests.tools.soak import ROOT, TRAINER, Tally, command, fresh, git, head, leftovers, moments, tree

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

SHARE = 0.95  # of the kills after which plain git works at once


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("soak")


@pytest.fixture(scope="module")
def fork(place):
    path = place / "fork"
    assert soak.run(command("vendor", soak.RELEASE, "--into", path), place).returncode == 0
    return path


@pytest.fixture(scope="module")
def bare(fork, place):
    """The fork with everything taken out again, and work of the user's in it."""
    path = fresh(fork, place / "bare")
    assert soak.run(command("revert", path), place).returncode == 0
    soak.write(path, {"notes.txt": b"mine\n"})
    git(path, "add", "notes.txt")
    git(path, "commit", "-q", "-m", "mine")
    return path


def settle(tally):
    sys.stderr.write(f"\n{tally.line()}\n")
    assert tally.faults == []


def test_vendor(place, fork):
    tally, tip = Tally("vendor"), head(fork)
    path = place / "second"
    call = command("vendor", soak.RELEASE, "--into", path)
    whole = soak.duration(call, place)
    for moment in moments(60, whole, seed=1):
        shutil.rmtree(path, ignore_errors=True)
        soak.killed(call, place, moment)
        there = path.exists()
        works = not there or (head(path) == tip and soak.plain_git_works(path))
        if there and not works:
            tally.faults.append(f"half a fork after {moment:.3f} s")
        if works and there:
            git(path, "reset", "-q", "--hard", tip)
        again = soak.run(call, place)
        if again.returncode or head(path) != tip or leftovers(path):
            tally.faults.append(f"{moment:.3f} s: {again.stderr} {leftovers(path)}")
        tally.count(plain_git_works_at_once=works, whole_after_the_next_command=again.returncode == 0)
    settle(tally)


@pytest.mark.parametrize("verb", ["apply", "revert"])
def test_apply_and_revert(place, fork, bare, verb):
    tally, source = Tally(verb), {"apply": bare, "revert": fork}[verb]
    end = fresh(source, place / "end")
    assert soak.run(command(verb, end), place).returncode == 0
    states = {frozenset(tree(path).items()) for path in (source, end)}
    path = fresh(source, place / "killed")
    whole = soak.duration(command(verb, path), place)
    for moment in moments(100, whole, seed=2):
        fresh(source, path)
        soak.killed(command(verb, path), place, moment)
        works = soak.plain_git_works(path)
        again = soak.run(command(verb, path), place)
        if not works:  # what was in the way is gone now
            works_then = soak.plain_git_works(path)
            if not works_then:
                tally.faults.append(f"{moment:.3f} s: git does not work after the next command")
        found = tree(path)
        if found.pop("mine.txt", None) is None or frozenset(found.items()) not in states:
            tally.faults.append(f"{moment:.3f} s: another tree")
        if again.returncode or frozenset(found.items()) != frozenset(tree(end).items()):
            tally.faults.append(f"{moment:.3f} s: {again.stderr}")
        if leftovers(path):
            tally.faults.append(f"{moment:.3f} s: left {leftovers(path)}")
        tally.count(plain_git_works_at_once=works, whole_after_the_next_command=again.returncode == 0)
    settle(tally)
    assert tally.seen["plain_git_works_at_once"] >= SHARE * tally.seen["kills"]


@pytest.mark.parametrize("how", ["save", "commit"])
def test_saves_and_commits_while_apply_runs(place, bare, how):
    tally = Tally(f"{how}s while apply runs")
    path = fresh(bare, place / "saved")
    whole = soak.duration(command("apply", path), place)
    for number, moment in enumerate(moments(40, whole * 1.05, seed=3)):
        fresh(bare, path)
        mark = f"# mine {number}\n"

        def work(moment=moment, mark=mark):
            time.sleep(moment)
            with (path / TRAINER).open("a") as file:
                file.write(mark)
            while how == "commit" and git(path, "commit", "-q", "-a", "-m", "mine").returncode:
                time.sleep(0.01)  # git's lock of the index is ours for some milliseconds

        user = threading.Thread(target=work)
        user.start()
        done = soak.run(command("apply", path), place)
        user.join()
        kept = (path / TRAINER).read_text().endswith(mark)
        known = mark in git(path, "show", f"HEAD:{TRAINER}").stdout if how == "commit" else True
        if not (kept and known) or done.returncode not in {0, 2} or leftovers(path):
            tally.faults.append(f"{moment:.3f} s: {done.returncode} {done.stderr} {leftovers(path)}")
        tally.count(kept=kept and known, refused=done.returncode == 2)
    settle(tally)


def test_pins_refresh(place):
    tally = Tally("pins refresh")
    project = place / "project"
    for part in ("tools", "patches", "overlay"):
        shutil.copytree(ROOT / part, project / part, ignore=shutil.ignore_patterns("__pycache__"))
    lock = project / "patches/ultralytics.lock"
    old = lock.read_bytes()
    with LocalIndex() as index:
        for version in ("99.0.0", "99.0.1", "99.0.2"):
            index.publish(tiny_sdist(version), version)
        call = command("pins", "refresh", "ultralytics", "--index-url", index.url, root=project)
        env = {"SLIMFORK_CACHE": str(place / "cache")}
        whole = soak.duration(call, place, **env)
        new = lock.read_bytes()
        assert new != old
        for moment in moments(60, whole, seed=4):
            lock.write_bytes(old)
            shutil.rmtree(place / "cache", ignore_errors=True)
            soak.killed(call, place, moment, **env)
            intact = lock.read_bytes() in {old, new}
            again = soak.run(call, place, **env)
            left = [p.name for p in (*project.rglob("*.part"), *(place / "cache").rglob("*.part"))]
            if not intact or again.returncode or lock.read_bytes() != new or left:
                tally.faults.append(f"{moment:.3f} s: {intact} {again.stderr} {left}")
            tally.count(whole_at_once=intact, whole_after_the_next_command=again.returncode == 0)
    settle(tally)


def test_prune(place, fork):
    """Kills spread over the part of the run that writes: what comes before it only imports and reads."""
    tally = Tally("prune.py")
    work = place / "prune"
    work.mkdir()
    env = {"PYTHONPATH": str(fork), "YOLO_CONFIG_DIR": str(place), "YOLO_OFFLINE": "true", "OMP_NUM_THREADS": "1"}
    make = "from ultralytics import YOLO; YOLO('yolov8n.yaml').save('m.pt')"
    assert soak.run([sys.executable, "-c", make], work, **env).returncode == 0
    call = [sys.executable, str(fork / "prune.py"), "--weights", "m.pt", "--ratio", "0.3", "--imgsz", "64"]
    whole = soak.duration(call, work, **env)
    made = {path.name for path in work.iterdir()}
    assert {"m-pruned.pt", "m-pruned.json", "m-pruned.onnx"} <= made
    for moment in moments(40, whole, seed=5, start=whole / 3):
        for name in made - {"m.pt"}:
            (work / name).unlink(missing_ok=True)
        soak.killed(call, work, moment, **env)
        half = [path.name for path in work.iterdir() if path.name in made and not soak.is_whole(path)]
        again = soak.run(call, work, **env)
        found = {path.name for path in work.iterdir()}
        if half or again.returncode or found != made or not all(map(soak.is_whole, work.iterdir())):
            tally.faults.append(f"{moment:.3f} s: {half} {found ^ made} {again.stderr[-300:]}")
        tally.count(whole_at_once=not half, whole_after_the_next_command=again.returncode == 0)
    settle(tally)
