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

    from matplotlib.axes import Axes
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

    @classmethod
    def over_seeds(
        cls, rows: list[dict[str, float]], names: Iterable[str], *, group: str, method: str, target: str
    ) -> TableLine:
        """Return the line of these numbers, of which there is a row for each seed."""
        values = {name: mean(_column(rows, name)) for name in names}
        spread = stdev(_column(rows, "map50_95")) if len(rows) > 1 else None
        return cls(group=group, method=method, target=target, seeds=len(rows), values=values, spread=spread)


def _column(rows: list[dict[str, float]], name: str) -> list[float]:
    return [row[name] for row in rows]


def lines(arms: Iterable[Arm], done: dict[str, dict[str, Any]]) -> list[TableLine]:
    """Gather what is done, seeds together, in the order of the arms."""
    gathered: dict[tuple[str, str, str], list[Arm]] = {}
    for arm in arms:
        gathered.setdefault((arm.group, arm.method, arm.target), []).append(arm)
    table = []
    for key, alike in gathered.items():
        line = _line(key, alike, done)
        if line is not None:
            table.append(line)
    return table


def _line(key: tuple[str, str, str], alike: list[Arm], done: dict[str, dict[str, Any]]) -> TableLine | None:
    group, method, target = key
    rows = []
    for arm in alike:
        noted = done.get(arm.last.name, {})
        if "result" in noted:
            rows.append({**noted["result"], **_latency(arm, done), "epochs": arm.epochs})
    if rows:
        lacked_by_none = set.intersection(*map(set, rows))
        return TableLine.over_seeds(rows, _columns(lacked_by_none), group=group, method=method, target=target)
    why = _why_empty(alike, done)
    if not why:
        return None
    return TableLine(group=group, method=method, target=target, seeds=0, values={}, spread=None, why=why)


def _columns(filled: set[str]) -> list[str]:
    """Return those of `COLUMNS` that there is anything in."""
    return [name for name in COLUMNS if name in filled]


def _why_empty(alike: list[Arm], done: dict[str, dict[str, Any]]) -> str:
    """Return the first failure of these arms, empty where none has failed."""
    for arm in alike:
        if why := _failure(arm, done):
            return why
    return ""


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
    filled: set[str] = set()
    for line in table:
        filled.update(line.values)
    names = _columns(filled)
    titles = [COLUMNS[name][0] for name in names]
    for group, alike in _by_group(table).items():
        rows = [f"### {group}", "", _row(["method", "size", "seeds", *titles])]
        rows.append(_row(["---", "---", *["---:"] * (len(names) + 1)]))
        for line in alike:
            rows.append(_row(_cells(line, names)))
        parts.append("\n".join(rows))
    return "\n\n".join(parts) + "\n"


def _by_group(table: list[TableLine]) -> dict[str, list[TableLine]]:
    groups: dict[str, list[TableLine]] = {}
    for line in table:
        groups.setdefault(line.group, []).append(line)
    return groups


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
    (out / "table.json").write_text(json.dumps(list(map(asdict, table)), indent=2), encoding="utf-8")
    drawn = plot(out / "plot.png", table, across=across)
    return f"{text}\n{out}: table.md, table.json{', plot.png' if drawn else ''}, results.jsonl"


def plot(path: Path, table: list[TableLine], *, across: str = "2") -> Path | None:
    """Draw mAP50-95 over latency (or another of `COLUMNS`), a panel for each group; None where nothing is timed."""
    shown = [line for line in table if across in line.values]
    groups = _by_group(shown)
    if not groups:
        return None
    methods = list(dict.fromkeys(line.method for line in shown))
    figure = Figure(figsize=(6.2 * len(groups), 4.6), dpi=150, layout="constrained")
    panels = figure.subplots(1, len(groups), squeeze=False)[0]
    for panel, (group, alike) in zip(panels, groups.items(), strict=True):
        _draw_group(panel, alike, methods, across)
        panel.set_title(group, loc="left", fontsize=10)
    panels[0].legend(frameon=False, fontsize=8)
    figure.savefig(path, format="png")
    return path


def _draw_group(panel: Axes, table: list[TableLine], methods: list[str], across: str) -> None:
    title, divisor, _ = COLUMNS[across]
    for index, method in enumerate(methods):
        own = []
        for line in table:
            if line.method == method:
                own.append((line.values[across] / divisor, line.values["map50_95"]))
        style: Any = {"color": COLOURS[index % len(COLOURS)], "marker": MARKS[index % len(MARKS)]}
        panel.plot(*zip(*sorted(own), strict=True) if own else ([], []), label=method, linewidth=1.4, **style)
    panel.set(xlabel=title, ylabel="mAP50-95", xscale="log")
    panel.xaxis.set_major_formatter(ScalarFormatter())
    panel.xaxis.set_minor_formatter(ScalarFormatter())
    panel.grid(visible=True, color="#e3e6ea")
    panel.spines[["top", "right"]].set_visible(False)
