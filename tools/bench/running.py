"""The command line that the benchmarks share: list, run, time, and report; after Ctrl-C it goes on where it was."""

from __future__ import annotations

import argparse
import fnmatch
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import report
from stages import Arm, Benchmark, Stage, hours, in_order

from slimfork.inside.place import StageError
from slimfork.terminal.errors import SlimforkError

if TYPE_CHECKING:
    from collections.abc import Iterable

SPEC = "ultralytics==8.4.190"


def parser(purpose: str | None, out: str) -> argparse.ArgumentParser:
    """Return the options that every benchmark has."""
    made = argparse.ArgumentParser(description=purpose, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = made.add_argument
    add("--out", type=Path, default=Path(out), help=f"folder for all that it makes; continued there (default: {out})")
    add("--release", default=SPEC, help=f"the release to use (default: {SPEC})")
    add("--only", default="*", help="arms to run, a pattern as of the shell; several with commas")
    add("--dry-run", action="store_true", help="list the arms with the hours that are left, and run nothing")
    add("--report", action="store_true", help="print the table of what is done, and run nothing")
    add("--jobs", type=int, default=1, help="stages to run at a time, such as trainings (default: 1)")
    add("--threads", type=int, help="of each of them (default: the cores, shared among the jobs)")
    add("--images", type=int, default=800, help="training pictures (default: 800)")
    add("--val", type=int, default=200, help="pictures to validate with (default: 200)")
    add("--seeds", type=numbers, default=(0,), help="as 0,1,2 (default: 0)")
    add("--score", help="by what channels are chosen, as prune.py has it (default: its own)")
    add("--runs", type=int, default=100, help="how often a model is timed (default: 100)")
    return made


def numbers(text: str) -> tuple[int, ...]:
    """Read whole numbers with commas between them."""
    return tuple(map(int, text.split(",")))


def words(text: str) -> tuple[str, ...]:
    """Read words with commas between them."""
    return tuple(text.split(","))


def shares(text: str) -> tuple[float, ...]:
    """Read numbers with commas between them; none is none."""
    return tuple(map(float, text.split(","))) if text else ()


def is_named(arm: Arm, patterns: Iterable[str]) -> bool:
    """Whether any of these patterns is an arm's."""
    return any(fnmatch.fnmatch(arm.name, pattern) for pattern in patterns)


def main(arms: list[Arm], options: argparse.Namespace) -> int:
    """Do what the options say; returns the exit code."""
    wanted = [arm for arm in arms if is_named(arm, options.only.split(","))]
    if not wanted:
        say(f"--only {options.only}: no arm of that name; --dry-run lists them")
        return 2
    threads = options.threads or max(1, (os.cpu_count() or 1) // options.jobs)
    benchmark = Benchmark(out=options.out.resolve(), spec=options.release, threads=threads, jobs=options.jobs)
    benchmark.read()
    if options.dry_run:
        for line in listing(wanted, benchmark.done):
            say(line)
        return 0
    code = 0
    if not options.report:
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # or a stage would go on when nobody listens
        try:
            code = work(benchmark, arms, wanted, options)
        except SlimforkError as error:
            say(f"error: {error}")
            return error.code
        except KeyboardInterrupt:
            say("interrupted; start it again to go on")
            return 130
    conclude(arms, benchmark)
    return code


def work(benchmark: Benchmark, arms: list[Arm], wanted: list[Arm], options: argparse.Namespace) -> int:
    """Run what is left, then time all that is measured; returns the exit code."""
    code = 0
    pictures = {(int(arm.last.arguments["imgsz"]), options.images, options.val) for arm in wanted}
    benchmark.prepare(sorted(pictures))
    try:
        benchmark.run(wanted)
    except StageError as error:  # what others have reached is worth a table
        say(f"error: {error}")
        code = error.code
    benchmark.run_latest(timings(arms, benchmark.done, options.runs))
    return code


def listing(arms: list[Arm], done: dict[str, Any]) -> Iterable[str]:
    """Say of each arm how long it takes and what of it is done; stages that arms share count with the first."""
    counted: set[str] = set()
    for arm in arms:
        stages = in_order([arm])
        fresh, ready = [], 0
        for stage in stages:
            ready += stage.name in done
            if stage.name not in counted:
                fresh.append(stage)
                counted.add(stage.name)
        yield f"{arm.name:<44}{hours(fresh, done):>7.2f} h  {ready}/{len(stages)} stages done"
    yield f"{'in all':<44}{hours(in_order(arms), done):>7.2f} h, by the demo's 40 s an epoch of 800 pictures at 160 px"


def timings(arms: list[Arm], done: dict[str, Any], runs: int) -> list[Stage]:
    """Return what times all that is measured of a group, of one seed, in turns."""
    ready: dict[str, list[Arm]] = {}
    for arm in arms:
        if "result" in done.get(arm.last.name, {}):
            ready.setdefault(f"{arm.group}-s{arm.seed}", []).append(arm)
    return [_timing(f"{group}-latency", timed, runs) for group, timed in ready.items()]


def _timing(name: str, arms: list[Arm], runs: int) -> Stage:
    weights = [arm.last.arguments["weights"] for arm in arms]
    imgsz = arms[0].last.arguments["imgsz"]
    arguments = {"weights": weights, "imgsz": imgsz, "threads": [1, 2], "runs": runs}
    return Stage(name=name, step="latency", arguments=arguments)


def conclude(arms: list[Arm], benchmark: Benchmark) -> None:
    """Write table.md, table.json and plot.png, and print the table."""
    table = report.lines(arms, benchmark.done)
    if not table:
        say("nothing is measured yet")
        return
    say(report.write(benchmark.out, table))


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
