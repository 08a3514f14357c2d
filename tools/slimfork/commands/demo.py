"""`apply-patches demo`: the whole journey on data it makes itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from slimfork.demo.demo import Demo
from slimfork.demo.recipe import RECIPES
from slimfork.git.gitprogram import check_git
from slimfork.releases import pins
from slimfork.terminal import ui
from slimfork.terminal.naming import UPSTREAMS
from slimfork.terminal.paths import PATH

TARGETS = {"parameters": 10.0, "latency_ms": 2.0}
MAP_SHARE = 0.95


@click.command()
@click.option("--out", type=PATH, default=Path("demo"), show_default=True, help="Where to.")
@click.option(
    "--upstream",
    type=click.Choice(UPSTREAMS),
    default=UPSTREAMS[0],
    show_default=True,
    help="Whose detector.",
)
@click.option("--release", "spec", help="The release to vendor; the upstream's newest pinned one if not given.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(out: Path, upstream: str, spec: str | None, as_json: bool) -> None:
    """Vendor the newest release, then train, sparsify, prune, fine-tune and export a QR-code detector with it.

    About ten minutes on two cores. Interrupted, it goes on where it was when it is started again.
    """
    # From the index, and no tag: whoever tries this first may not reach the repository.
    check_git()
    spec = spec or pins.newest_artifact(pins.load(upstream), upstream).spec
    recipe = RECIPES[pins.find(spec).upstream]
    with ui.steps("demo") as progress:
        task = progress.task_ids[0]

        def on_stage(title: str) -> None:
            progress.update(task, description=title, completed=0, total=None)
            if not ui.err.is_terminal:
                ui.note(title)

        def on_epoch(done: int, epochs: int) -> None:
            progress.update(task, completed=done, total=epochs)

        demo = Demo(out=out.resolve(), spec=spec, recipe=recipe, on_stage=on_stage, on_epoch=on_epoch)
        report = demo.run()
    if as_json:
        ui.result_json({**report, "targets": targets(report["rows"])})
        return
    for line in (*report["lines"], "", *say_targets(report["rows"]), "", *_made(out, report)):
        ui.result(line)


def targets(rows: dict[str, Any]) -> dict[str, bool]:
    """Tell which of the demo's targets were met."""
    met = {key: rows[key]["ratio"] >= ratio for key, ratio in TARGETS.items()}
    return {**met, "map50": rows["map50"]["after"] >= MAP_SHARE * rows["map50"]["before"]}


def say_targets(rows: dict[str, Any]) -> list[str]:
    """Return a line for each target."""
    wanted = {"parameters": "parameters ÷ 10", "latency_ms": "latency ÷ 2", "map50": "mAP50 at least 95 % of dense"}
    return [f"{'met' if ok else 'MISSED':<7}{wanted[key]}" for key, ok in targets(rows).items()]


def _made(out: Path, report: dict[str, Any]) -> list[str]:
    minutes = sum(report["seconds"].values()) / 60
    return [
        f"{minutes:.1f} minutes; the fork is {out / 'fork'}, the model {out / 'slim.pt'} and {out / 'slim.onnx'}",
        f"plots: {', '.join(Path(path).name for path in report['plots'])} in {out}",
    ]
