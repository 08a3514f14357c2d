"""The benchmarks' machinery: which stages there are, what is left of them, and what the tables say.

The long test at the end runs both to the end on a few pictures, with an interruption.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import report
import running
import stages
from stages import Arm, Benchmark, Stage
from training import Training

from slim.sparsity import SPELLING
from slim.training.automatic import Reach
from slim.training.schedule import STEP, Settings, Standing
from slimfork.demo.recipe import ULTRALYTICS_RECIPE
from slimfork.inside.place import StageError
from slimfork.terminal.errors import UsageError

BENCH = Path(__file__).parents[2] / "tools" / "bench"
TRAINING = Training(out=Path("/bench"), model="yolov8n", imgsz=160, images=800, seed=0)


def stage(name, *needs, **more):
    return Stage(**{"name": name, "step": "train", "arguments": {"epochs": 1}, "needs": needs, "cost": 3600.0, **more})


def arm(last, name="arm", **more):
    return Arm(**{"name": name, "group": "g", "method": "m", "target": "", "seed": 0, "epochs": 1, **more}, last=last)


class Shop(Benchmark):
    """A workshop whose stages end at once, or fail, or are interrupted, as `fate` says."""

    fate: dict
    ran: list

    def _work(self, place, stage):
        self.ran.append(stage.name)
        fate = self.fate.get(stage.name)
        if callable(fate):
            fate(place)
        elif fate is not None:
            raise fate
        return {"name": stage.name, "arguments": stage.arguments, "result": {"n": len(self.ran)}, "seconds": 1.0}


def shop(folder, jobs=1, **fate):
    made = Shop(out=folder, spec="", threads=1, jobs=jobs)
    made.fate, made.ran = fate, []
    return made


PARENT = stage("parent")
SHARING = [arm(stage("one", PARENT), "one"), arm(stage("two", PARENT), "two")]


def test_stages_that_arms_share_run_once_and_before_what_needs_them():
    assert [each.name for each in stages.in_order(SHARING)] == ["parent", "one", "two"]


def test_what_is_done_is_not_done_again(tmp_path):
    first, second = shop(tmp_path), shop(tmp_path)
    first.run(SHARING)
    second.run(SHARING)
    assert (first.ran, second.ran) == (["parent", "one", "two"], [])
    assert [json.loads(line)["name"] for line in (tmp_path / "results.jsonl").read_text().splitlines()] == first.ran


def test_an_interruption_costs_the_stage_that_was_running(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        shop(tmp_path, one=KeyboardInterrupt()).run(SHARING)
    again = shop(tmp_path)
    again.run(SHARING)
    assert again.ran == ["one", "two"]


def test_a_line_that_was_cut_off_is_no_result_and_spoils_no_other(tmp_path):
    shop(tmp_path).run(SHARING[:1])
    text = (tmp_path / "results.jsonl").read_text()
    (tmp_path / "results.jsonl").write_text(text[:-20])
    again = shop(tmp_path)
    again.run(SHARING)
    assert again.ran == ["one", "two"]
    assert set(shop(tmp_path).read()) == {"parent", "one", "two"}


def test_other_arguments_are_refused_by_name(tmp_path):
    shop(tmp_path).run(SHARING)
    with pytest.raises(UsageError, match="has parent with other arguments"):
        shop(tmp_path).run([arm(stage("parent", arguments={"epochs": 2}))])


def test_one_that_fails_stops_what_needs_it_and_nothing_else(tmp_path):
    again = shop(tmp_path, one=StageError("one failed"))
    further = arm(stage("further", SHARING[0].last), "further")
    with pytest.raises(StageError, match="one failed"):
        again.run([further, *SHARING])
    assert again.ran == ["parent", "one", "two"]


def test_several_at_a_time_each_after_what_it_needs(tmp_path):
    both = threading.Barrier(2, timeout=20)
    again = shop(tmp_path, jobs=2, one=lambda _: both.wait(), two=lambda _: both.wait())
    again.run(SHARING)
    assert again.ran[0] == "parent"
    assert set(again.done) == {"parent", "one", "two"}


def test_an_interruption_ends_what_runs_beside(tmp_path):
    started = tmp_path / "started"
    sleep = ("-c", f"import pathlib, time; pathlib.Path({str(started)!r}).touch(); time.sleep(300)")

    def interrupted(_):
        while not started.exists():
            time.sleep(0.05)
        raise KeyboardInterrupt

    again = shop(tmp_path, jobs=2, one=lambda place: place.run("one", *sleep, heard=print), two=interrupted)
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        again.run(SHARING)
    assert time.monotonic() - start < 60
    assert set(shop(tmp_path).read()) == {"parent"}


def test_the_hours_that_are_left_count_shared_stages_once():
    done = {"one": {}}
    assert stages.hours(stages.in_order(SHARING), done) == 2.0
    *each, total = running.listing(SHARING, done)
    assert [line.split()[1] for line in each] == ["1.00", "1.00"]
    assert "2.00 h" in total


def test_equal_travel_is_what_the_overlay_says_it_is():
    for decay, warmup in ((0.9, 0.0), (0.0, 4.0)):
        settings = Settings(
            mode="decoupled", strength=1.0, decay=decay, warmup=warmup, bias=0.0, weight="none", spelling=SPELLING
        )
        standing = Standing(epoch=0, epochs=12, steps=50, schedule=lambda epoch: (1 - epoch / 12) * 0.7 + 0.3)
        strength = TRAINING.strength(1.8, 12, decay=decay, warmup=warmup)
        assert strength * standing.budget(0.015, settings) == pytest.approx(1.8, rel=5e-3)
        slower = TRAINING.strength(1.8, 12, decay=decay, warmup=warmup, momentum=0.9)
        assert strength / slower == pytest.approx(10, rel=1e-2)


def test_the_runs_that_auto_was_chosen_by_are_not_bounded():
    """The demo's 7 epochs of 50 steps, and the 12 and 36 of `penalties.py`: all the way, in steps that are followed."""
    sparse, plain = (
        ULTRALYTICS_RECIPE.stages["sparse"],
        {"mode": "decoupled", "strength": None, "bias": 0.0, "weight": "none"},
    )
    settings = Settings(**plain, decay=0.9, warmup=0.0, spelling=SPELLING)
    steps = ULTRALYTICS_RECIPE.images / ULTRALYTICS_RECIPE.common["batch"]
    for epochs in (sparse["epochs"], 12, 36):
        standing = Standing(0, epochs, steps, lambda e, n=epochs: (1 - e / n) * (1 - sparse["lrf"]) + sparse["lrf"])
        budget, largest = standing.budget(sparse["lr0"], settings), standing.largest(sparse["lr0"], settings)
        reach = Reach(distance=1.0, budget=budget, largest=largest)
        assert reach.strength == pytest.approx(reach.wanted, rel=5e-3)
        assert reach.strength * largest < 0.8 * STEP


MEASURED = {"parameters": 3e6, "gflops": 8.0, "onnx_bytes": 12e6, "map50": 0.9, "map50_95": 0.7}


def done(*names, **changes):
    return {name: {"result": {**MEASURED, **changes}} for name in names}


class TestReport:
    def test_seeds_are_one_line_with_their_mean_and_spread(self):
        arms = [
            arm(stage(f"s{seed}-measured", arguments={"weights": f"s{seed}"}), f"s{seed}", seed=seed) for seed in (0, 1)
        ]
        found = {**done("s0-measured"), **done("s1-measured", map50_95=0.8)}
        found["g-s0-latency"] = {"result": {"s0": {"1": 10.0, "2": 6.0}}}
        found["g-s1-latency"] = {"result": {"s1": {"1": 12.0, "2": 6.0}}}
        (line,) = report.lines(arms, found)
        assert (line.seeds, line.values["map50_95"], line.values["1"]) == (2, pytest.approx(0.75), 11.0)
        assert "| m |  | 2 | 1 | 3.000 | 8.000 | 12.00 | 11.00 | 6.00 | 0.9000 | 0.7500 ± 0.0707 |" in report.markdown(
            [line]
        )

    def test_a_rival_that_could_not_do_it_says_so_in_the_table(self):
        pruned = stage("rival")
        found = {"rival": {"failed": "the stage 'rival' was ended after 900 s; its log is x"}}
        (line,) = report.lines([arm(stage("rival-measured", pruned, arguments={"weights": "r"}))], found)
        assert "was ended after 900 s" in report.markdown([line])

    def test_what_is_not_measured_yet_is_not_there(self):
        assert report.lines(SHARING, {}) == []

    def test_the_plot(self, tmp_path):
        arms = [arm(stage("a-measured", arguments={"weights": "a"}))]
        found = {**done("a-measured"), "g-s0-latency": {"result": {"a": {"1": 10.0, "2": 6.0}}}}
        drawn = report.plot(tmp_path / "plot.png", report.lines(arms, found))
        assert drawn.read_bytes().startswith(b"\x89PNG")
        assert report.plot(tmp_path / "none.png", report.lines(arms, done("a-measured"))) is None


TINY = ("--images", "16", "--val", "8", "--jobs", "2", "--runs", "2", "--imgsz", "64", "--dense", "1", "--tune", "1")
LENGTHS = {
    "benchmark.py": ("--models", "yolov8n", "--sparse", "1", "--targets", "0.4", "--controls", "0.4"),
    "penalties.py": ("--epochs", "2", "--targets", "0.4", "--only", "*-none-*,*-no-clipping-*,*-flops-*"),
    "scores.py": ("--models", "yolov8n", "--sparse", "1", "--targets", "flops=0.4,latency=0.9"),
}


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("script", LENGTHS)
def test_to_the_end_with_an_interruption(script, tmp_path):
    command = [sys.executable, str(BENCH / script), "--out", str(tmp_path / "out"), *TINY, *LENGTHS[script]]
    env = {**os.environ, "PYTHONPATH": str(BENCH.parent)}
    results = tmp_path / "out" / "results.jsonl"
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and not (results.is_file() and results.read_text().count("\n") >= 2):
            time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "start it again to go on" in said
    before = results.read_text().splitlines()

    ended = subprocess.run(command, env=env, capture_output=True, text=True, check=False)

    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]
    assert results.read_text().splitlines()[: len(before)] == before
    table = json.loads((tmp_path / "out" / "table.json").read_text())
    assert len(table) >= 5
    for line in table:
        assert line["seeds"] == 1, line
        assert {"epochs", "parameters", "gflops", "onnx_bytes", "1", "2", "map50_95"} <= set(line["values"])
    assert (tmp_path / "out" / "plot.png").stat().st_size > 1000
    if script == "benchmark.py":
        epochs = {(line["method"].endswith(", long"), line["values"]["epochs"]) for line in table}
        assert epochs == {(False, 3), (True, 5)}
        assert "dis_loss" in (tmp_path / "out" / "logs" / "yolov8n-64-s0-0.4-distilled.log").read_text()
