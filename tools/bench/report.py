"""What a benchmark prints: a Markdown table a group, and a plot of accuracy over latency."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from stages import Arm

COLOURS = ("#2b2d42", "#d1495b", "#2a9d8f", "#e9a23b", "#6d597a", "#8d99ae", "#457b9d", "#b56576")
MARKS = "o^sDvPX"  # one less than colours: methods differ in both before any pair comes again
COLUMNS = {
    "epochs": ("epochs", 1, 0),
    "parameters": ("parameters, M", 1e6, 3),
    "gflops": ("GFLOPs", 1, 3),
    "onnx_bytes": ("ONNX, MB", 1e6, 2),
    "1": ("ms, 1 thread", 1, 2),
    "2": ("ms, 2 threads", 1, 2),
    "cut": ("right after pruning", 1, 3),
    "map50": ("mAP50", 1, 4),
    "map50_95": ("mAP50-95", 1, 4),
    "test": ("on the test split", 1, 4),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TableLine:
    """One line of a table: a method at a size, over its seeds.

    Attributes:
        group: A model and an image size.
        method: As the arm has it.
        target: As the arm has it.
        seeds: How many were measured; 0 where none could be.
        values: Means, by the keys of `COLUMNS`.
        spread: Standard deviation of mAP50-95 over the seeds, or None.
        why: Why it is empty.
    """

    group: str
    method: str
    target: str
    seeds: int
    values: dict[str, float]
    spread: float | None
    why: str = ""


def lines(arms: Iterable[Arm], done: dict[str, dict[str, Any]]) -> list[TableLine]:
    """Gather what is done, seeds together, in the order of the arms."""
    gathered: dict[tuple[str, str, str], list[Arm]] = {}
    for arm in arms:
        gathered.setdefault((arm.group, arm.method, arm.target), []).append(arm)
    return [made for key, alike in gathered.items() if (made := _line(key, alike, done)) is not None]


def _line(key: tuple[str, str, str], alike: list[Arm], done: dict[str, dict[str, Any]]) -> TableLine | None:
    group, method, target = key
    measured = [(arm, done[arm.last.name]["result"]) for arm in alike if "result" in done.get(arm.last.name, {})]
    if not measured:
        why = next((why for arm in alike if (why := _failure(arm, done))), "")
        if not why:
            return None
        return TableLine(group=group, method=method, target=target, seeds=0, values={}, spread=None, why=why)
    rows = [{**result, **_latency(arm, done), "epochs": arm.epochs} for arm, result in measured]
    scores = [row["map50_95"] for row in rows]
    spread = stdev(scores) if len(scores) > 1 else None
    return TableLine(group=group, method=method, target=target, seeds=len(rows), values=_means(rows), spread=spread)


def _means(rows: list[dict[str, float]]) -> dict[str, float]:
    """Return the mean of each column that no row lacks."""
    shared = set.intersection(*map(set, rows))
    names = [name for name in COLUMNS if name in shared]
    return {name: mean(row[name] for row in rows) for name in names}


def _failure(arm: Arm, done: dict[str, dict[str, Any]]) -> str:
    """Return the stage that failed on the way to an arm's last one."""
    todo = [arm.last]
    while todo:
        stage = todo.pop()
        if "failed" in done.get(stage.name, {}):
            return str(done[stage.name]["failed"]).partition(";")[0]
        todo.extend(stage.needs)
    return ""


def _latency(arm: Arm, done: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Return an arm's milliseconds by threads, from the last time that its group was timed."""
    timed = done.get(f"{arm.group}-s{arm.seed}-latency", {}).get("result", {})
    milliseconds: dict[str, float] = timed.get(arm.last.arguments["weights"], {})
    return milliseconds


def markdown(table: list[TableLine]) -> str:
    """Return a table for each group, of the columns that there is anything in."""
    parts = []
    filled = {name for line in table for name in line.values}
    names = [name for name in COLUMNS if name in filled]
    for group in dict.fromkeys(line.group for line in table):
        rows = [f"### {group}", "", _row(["method", "size", "seeds", *(COLUMNS[name][0] for name in names)])]
        rows.append(_row(["---", "---", *["---:"] * (len(names) + 1)]))
        rows += [_row(_cells(line, names)) for line in table if line.group == group]
        parts.append("\n".join(rows))
    return "\n\n".join(parts) + "\n"


def _cells(line: TableLine, names: list[str]) -> list[str]:
    if line.why:
        return [line.method, line.target, "0", line.why, *[""] * (len(names) - 1)]
    cells = []
    for name in names:
        _, divisor, decimals = COLUMNS[name]
        text = f"{line.values[name] / divisor:.{decimals}f}" if name in line.values else ""
        cells.append(f"{text} ± {line.spread:.4f}" if name == "map50_95" and line.spread is not None else text)
    return [line.method, line.target, str(line.seeds), *cells]


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def write(out: Path, table: list[TableLine], *, across: str = "2") -> str:
    """Write table.md, table.json and plot.png into a folder; return what is to be printed."""
    text = markdown(table)
    (out / "table.md").write_text(text, encoding="utf-8")
    (out / "table.json").write_text(json.dumps([asdict(line) for line in table], indent=2), encoding="utf-8")
    drawn = plot(out / "plot.png", table, across=across)
    return f"{text}\n{out}: table.md, table.json{', plot.png' if drawn else ''}, results.jsonl"


def plot(path: Path, table: list[TableLine], *, across: str = "2") -> Path | None:
    """Draw mAP50-95 over latency (or another of `COLUMNS`), a panel for each group; None where nothing is timed."""
    shown = [line for line in table if across in line.values]
    groups = list(dict.fromkeys(line.group for line in shown))
    if not groups:
        return None
    methods = list(dict.fromkeys(line.method for line in shown))
    figure = Figure(figsize=(6.2 * len(groups), 4.6), dpi=150, layout="constrained")
    panels = figure.subplots(1, len(groups), squeeze=False)[0]
    for panel, group in zip(panels, groups, strict=True):
        for index, method in enumerate(methods):
            own = sorted(
                (line.values[across] / COLUMNS[across][1], line.values["map50_95"])
                for line in shown
                if (line.group, line.method) == (group, method)
            )
            style = {"color": COLOURS[index % len(COLOURS)], "marker": MARKS[index % len(MARKS)]}
            panel.plot(*zip(*own, strict=True) if own else ([], []), label=method, linewidth=1.4, **style)
        panel.set_title(group, loc="left", fontsize=10)
        panel.set(xlabel=COLUMNS[across][0], ylabel="mAP50-95", xscale="log")
        panel.xaxis.set_major_formatter(ScalarFormatter())
        panel.xaxis.set_minor_formatter(ScalarFormatter())
        panel.grid(visible=True, color="#e3e6ea")
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].legend(frameon=False, fontsize=8)
    figure.savefig(path, format="png")
    return path
