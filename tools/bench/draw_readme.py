"""Draw the pictures of the READMEs again: `python tools/bench/draw_readme.py [--demo FOLDER]`.

- `pictures/accuracy_over_latency.svg`: mAP50-95 over latency, from the `table.json` files that the benchmarks left in
  `results/`; the tables of README.md and tools/bench/README.md show the same numbers.
- `pictures/channels.svg`: channels per layer before and after pruning, from `results/demo/channels.json`. With
  `--demo FOLDER` that file is written first, from the `pruned.json` of an `apply-patches demo --out FOLDER`.

Nothing is measured here. Text stays text, and the background is white, so that light and dark pages both show them.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from matplotlib.axes import Axes

HERE = Path(__file__).resolve().parent
RESULTS, PICTURES = HERE / "results", HERE / "pictures"
CHANNELS = RESULTS / "demo" / "channels.json"

INK, GRID, BEFORE, AFTER = "#2b2d42", "#e3e6ea", "#9aa5b1", "#d1495b"
# The same bytes from the same numbers.
STILL: Any = {"svg.fonttype": "none", "svg.hashsalt": "slimfork", "font.size": 10.0}
NORM = ".bn"  # what upstream calls the BatchNorm of a convolution
# What a table calls a method -> the legend, colour, mark, and width of the line, 0 for none.
METHODS = {
    "dense": ("dense", INK, "s", 0),
    "ours": ("slim", AFTER, "o", 1.8),
    "ours, multiples of 4": ("slim, multiples of 4 channels", "#e9a23b", "o", 1.4),
    "our shape from scratch": ("a slim model's shape, from new weights", "#457b9d", "v", 0),
    "smaller dense, equal parameters": ("narrower, about its parameters", "#6d597a", "D", 0),
    "smaller dense, equal FLOPs": ("narrower, about its FLOPs", "#6d597a", "P", 0),
    "Torch-Pruning, BN scale": ("Torch-Pruning 1.6.1, as far as it got", "#2a9d8f", "X", 0),
}
Row = tuple[str, float, float, str]  # method, ms, mAP50-95, size


def rows_of(table: str, *, ours: str = "ours", without: tuple[str, ...] = ()) -> list[Row]:
    """Return the rows of a benchmark's table: method, milliseconds on one thread, mAP50-95, and size.

    Args:
        table: The folder in `results/`.
        ours: What our own method is called in the picture.
        without: Methods that are left out.
    """
    lines = json.loads((RESULTS / table / "table.json").read_text(encoding="utf-8"))
    rows = []
    for line in lines:
        method, values = line["method"], line["values"]
        if "1" not in values or method in without:
            continue
        name = ours if method == "ours" else method
        rows.append((name, values["1"], values["map50_95"], line["target"]))
    return rows


def draw_accuracy(path: Path) -> None:
    """Draw mAP50-95 over latency: yolov8n at 160 px with every control, and yolo11n at 320 px."""
    small = rows_of("benchmark-100-epochs")
    large = rows_of("benchmark-yolo11n-320px-blocks")
    large += rows_of("benchmark-yolo11n-320px", ours="ours, multiples of 4", without=("dense",))
    figure = Figure(figsize=(10.5, 4.9), layout="constrained", facecolor="white")
    left, right = figure.subplots(1, 2)
    _panel(left, "yolov8n, 160 px, 100 epochs for each", small)
    _panel(right, "yolo11n, 320 px, 80 epochs for each", large)
    left.set_ylabel("mAP50-95", color=INK)
    shown = dict(zip(*reversed(left.get_legend_handles_labels()), strict=True))
    shown |= dict(zip(*reversed(right.get_legend_handles_labels()), strict=True))
    figure.legend(shown.values(), shown, loc="outside lower center", ncols=3, frameon=False, labelcolor=INK)
    _save(figure, path)


def _panel(ax: Axes, title: str, rows: Iterable[Row]) -> None:
    points: dict[str, list[tuple[float, float, str]]] = {}
    for method, ms, score, size in rows:
        points.setdefault(method, []).append((ms, score, size))
    for method, (label, colour, mark, width) in METHODS.items():
        if method not in points:
            continue
        own = sorted(points[method])
        milliseconds, scores, _ = zip(*own, strict=True)
        ax.plot(milliseconds, scores, label=label, color=colour, marker=mark, lw=width)
        if method == "ours":
            for ms, score, size in own:
                ax.annotate(size, (ms, score), (-6, 6), textcoords="offset points", ha="right", color=AFTER, size=8.5)
    _dress(ax, title)
    ax.grid(visible=True, color=GRID)
    ax.set_xlim(left=0)
    ax.set_xlabel("ms for a picture: ONNX Runtime, one thread", color=INK)


def draw_channels(path: Path, widths: Mapping[str, list[int]]) -> None:
    """Draw channels per layer: layer name -> channels before and after pruning, in the model's order."""
    names, positions = list(widths), range(len(widths))
    before, after = zip(*widths.values(), strict=True)
    figure = Figure(figsize=(10.5, 4.0), layout="constrained", facecolor="white")
    ax: Axes = figure.subplots()
    ax.bar(positions, before, width=0.86, color=BEFORE, alpha=0.55, label="before")
    ax.bar(positions, after, width=0.86, color=AFTER, label="after")
    share = sum(after) / sum(before)
    _dress(ax, f"yolov8n of the demo, channels per layer: {sum(after)} of {sum(before)} kept ({share:.0%})")
    ax.grid(visible=True, axis="y", color=GRID)
    ax.set_xticks(positions, names, rotation=90, fontsize=7)
    ax.tick_params(axis="x", length=0)
    ax.set_xlim(-0.8, len(names) - 0.2)
    ax.set_ylabel("channels", color=INK)
    ax.legend(loc="upper left", frameon=False, labelcolor=INK)
    _save(figure, path)


def widths_of(plan: Mapping[str, Any]) -> dict[str, list[int]]:
    """Return layer -> channels before and after, of a plan that `prune.py` wrote: the layers that have a BatchNorm."""
    gone = tuple(f"{block}." for block in plan["removed"])
    widths = {}
    for norm, width in plan["widths"].items():
        if not norm.endswith(NORM):
            continue
        layer = norm.removesuffix(NORM)
        left = 0 if f"{layer}.".startswith(gone) else len(plan["keep"][norm])
        widths[layer] = [width, left]
    return widths


def _dress(ax: Axes, title: str) -> None:
    ax.set_title(title, fontsize=11, color=INK, loc="left")
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(INK)
    ax.tick_params(colors=INK)


def _save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="svg", metadata={"Date": None})


def main() -> None:
    """Draw both pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--demo", type=Path, metavar="FOLDER", help="take the channels of this demo")
    parser.add_argument("--out", type=Path, default=PICTURES, metavar="FOLDER", help="where to draw")
    options = parser.parse_args()
    if options.demo:
        plan = json.loads((options.demo / "pruned.json").read_text(encoding="utf-8"))
        CHANNELS.parent.mkdir(parents=True, exist_ok=True)
        CHANNELS.write_text(json.dumps(widths_of(plan), indent=1) + "\n", encoding="utf-8")
    with mpl.rc_context(STILL):
        draw_accuracy(options.out / "accuracy_over_latency.svg")
        draw_channels(options.out / "channels.svg", json.loads(CHANNELS.read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()
