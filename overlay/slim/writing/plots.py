"""Images of what slimming did: BatchNorm scales, channels per layer, and precision over recall.

Drawn with matplotlib's Figure alone: no pyplot, so no global state and no display; imported only when drawing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from .whole_files import whole

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike, NDArray

BEFORE, AFTER = "#9aa5b1", "#d1495b"  # told apart in print and by the colour-blind
INK, GRID = "#2b2d42", "#e3e6ea"
BINS = 60
DRAWN_BY = "slim"  # stands in the PNG


def draw_gammas(path: Path, *, before: ArrayLike, after: ArrayLike) -> Path:
    """Draw histograms of |gamma|, before and after sparse training, side by side on the same axes.

    Args:
        path: The PNG to write.
        before: Scales of all prunable channels, any shape.
        after: The same, afterwards; the count may differ.
    """
    counts, edges = _histograms(_magnitudes(before), _magnitudes(after))
    figure = _figure(9, 3.6)
    axes: Sequence[Axes] = figure.subplots(1, 2, sharex=True, sharey=True)
    for ax, count, name, colour in zip(axes, counts, ("before", "after"), (BEFORE, AFTER)):
        ax.stairs(count, edges, fill=True, color=colour)
        low = count[0] / max(1, count.sum())
        _dress(ax, f"{name}: {count.sum()} channels, {low:.0%} below {edges[1]:.2g}")
        ax.set_xlabel(r"$|\gamma|$")
    # From just under one channel, which must show, to just over the highest bar of both.
    axes[0].set(yscale="log", ylim=(0.7, 2.0 * max(1, int(np.max(counts)))))
    axes[0].set_ylabel("channels")
    return _save(figure, path)


def scales(path: Path, values: ArrayLike, *, name: str, top: float) -> Path:
    """Draw one histogram of |gamma|, as the second write-up does before and after pruning.

    Args:
        path: The PNG to write.
        values: Scales, any shape.
        name: What they are of.
        top: Right end of the axis, the same for plots that are to be compared.
    """
    flat = _magnitudes(values)
    count, edges = np.histogram(flat, BINS, (0, top or 1.0))
    figure = _figure(5, 3.6)
    ax: Axes = figure.subplots()
    ax.stairs(count, edges, fill=True, color=AFTER)
    _dress(ax, f"{name}: {flat.size} channels")
    ax.set(yscale="log", ylim=(0.7, 2.0 * max(1, count.max())), xlabel=r"$|\gamma|$", ylabel="channels")
    return _save(figure, path)


def channels(path: Path, *, before: Mapping[str, int], after: Mapping[str, int]) -> Path:
    """Draw how many channels each layer kept, over what it had.

    Args:
        path: The PNG to write.
        before: Channels by layer name, in the model's order.
        after: The same; a layer that is missing was removed.
    """
    names, positions = list(before), np.arange(len(before))
    kept = [after.get(name, 0) for name in names]
    figure = _figure(max(7.0, 0.17 * len(names) + 1.5), 4.2)
    ax: Axes = figure.subplots()
    ax.bar(positions, list(before.values()), width=0.86, color=BEFORE, alpha=0.55, label="before")
    ax.bar(positions, kept, width=0.86, color=AFTER, label="after")
    share = sum(kept) / max(1, sum(before.values()))
    _dress(ax, f"channels per layer: {sum(kept)} of {sum(before.values())} kept ({share:.0%})")
    ax.set_xticks(positions, names, rotation=90, fontsize=6.5)
    ax.tick_params(axis="x", length=0)
    ax.set_xlim(-0.8, len(names) - 0.2)
    ax.set_ylabel("channels")
    _legend(ax, "upper left")
    return _save(figure, path)


def scales_over_time(
    path: Path, *, rows: Sequence[Mapping[str, float]], first: tuple[int, ArrayLike], now: tuple[int, ArrayLike]
) -> Path:
    """Draw |gamma| while it is trained: a histogram, and quantiles by epoch.

    Args:
        path: The PNG to write.
        rows: By epoch: `epoch`, the quantiles `p5`, `p25`, `median`, `p75`, `p95`, and the share `near_zero`.
        first: Epochs done and scales, any shape, of what the histogram is set against.
        now: The same as it stands.
    """
    figure = _figure(9, 3.6)
    axes: Sequence[Axes] = figure.subplots(1, 2)
    scales_now = _magnitudes(now[1])
    counts, edges = _histograms(_magnitudes(first[1]), scales_now)
    for (epoch, _), count, colour, alpha in zip((first, now), counts, (BEFORE, AFTER), (0.55, 0.8)):
        axes[0].stairs(count, edges, fill=True, color=colour, alpha=alpha, label=f"after {epoch} epochs")
    axes[0].set(yscale="log", ylim=(0.7, 2.0 * max(1, int(np.max(counts)))))
    axes[0].set(xlabel=r"$|\gamma|$", ylabel="channels")
    _dress(axes[0], f"{scales_now.size} prunable channels, {rows[-1]['near_zero']:.0%} near zero")
    _legend(axes[0], "upper right")
    epochs = _column(rows, "epoch")
    for low, high, alpha in (("p5", "p95", 0.2), ("p25", "p75", 0.4)):
        band = _column(rows, low), _column(rows, high)
        axes[1].fill_between(epochs, *band, color=AFTER, alpha=alpha, linewidth=0, label=f"{low} to {high}")
    axes[1].plot(epochs, _column(rows, "median"), color=INK, linewidth=1.8, marker=".", label="median")
    axes[1].set(xlabel="epochs", ylabel=r"$|\gamma|$", ylim=(0, None))
    _dress(axes[1], f"quantiles; median {rows[-1]['median']:.3g}")
    _legend(axes[1], "upper right")
    return _save(figure, path)


def precision_recall(
    path: Path, *, recall: ArrayLike, before: ArrayLike, after: ArrayLike, names: tuple[str, str] = ("before", "after")
) -> Path:
    """Draw precision over recall of two models.

    Args:
        path: The PNG to write.
        recall: Ascending in 0..1, (n,); where both curves are sampled.
        before: Precision there, (n,), or (classes, n), of which the mean is drawn.
        after: The same of the other model.
        names: What the legend calls them; the area under the curve is added.
    """
    figure = _figure(5, 4.4)
    ax: Axes = figure.subplots()
    x = np.asarray(recall, float)
    styles = ((BEFORE, 4.5, "round"), (AFTER, 1.8, "projecting"))
    for precision, name, (colour, wide, ends) in zip((before, after), names, styles):
        y = np.atleast_2d(np.asarray(precision, float)).mean(0)
        area = float(((y[1:] + y[:-1]) / 2 * np.diff(x)).sum())
        ax.plot(x, y, label=f"{name}: area {area:.3f}", color=colour, linewidth=wide, solid_capstyle=ends)
    _dress(ax, "precision over recall, IoU 0.5")
    ax.set(xlim=(0, 1.01), ylim=(0, 1.03), xlabel="recall", ylabel="precision")
    _legend(ax, "lower left")
    return _save(figure, path)


def _magnitudes(values: ArrayLike) -> NDArray[np.float64]:
    """Return |gamma| of all channels in one vector."""
    magnitudes: NDArray[np.float64] = np.abs(np.asarray(values, float)).ravel()
    return magnitudes


def _histograms(*scales: NDArray[np.float64]) -> tuple[list[NDArray[np.int64]], NDArray[np.float64]]:
    """Count several vectors in the same bins, from zero to the largest value of all; return the bins' edges as well."""
    top = max((float(each.max()) for each in scales if each.size), default=1.0) or 1.0
    counts = [np.histogram(each, BINS, (0, top))[0] for each in scales]
    return counts, np.linspace(0, top, BINS + 1)


def _column(rows: Sequence[Mapping[str, float]], name: str) -> list[float]:
    return [row[name] for row in rows]


def _figure(wide: float, high: float) -> Figure:
    from matplotlib.figure import Figure  # noqa: PLC0415 - half a second that only plots should cost

    return Figure(figsize=(wide, high), dpi=150, layout="constrained")


def _dress(ax: Axes, title: str) -> None:
    """Give all plots one look: a quiet grid behind, no box around."""
    ax.set_title(title, fontsize=10, color=INK, loc="left")
    ax.grid(visible=True, axis="y", color=GRID)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(INK)
    ax.tick_params(labelsize=8, colors=INK)


def _legend(ax: Axes, place: Literal["upper left", "upper right", "lower left"]) -> None:
    ax.legend(loc=place, frameon=False, fontsize=9, labelcolor=INK)


def is_ours(path: Path) -> bool:
    """Tell whether a file is a plot that was drawn here."""
    try:
        with path.open("rb") as file:
            return f"Software\0{DRAWN_BY}".encode() in file.read(512)
    except OSError:
        return False


def _save(figure: Figure, path: Path) -> Path:
    """Write the PNG, whole or not at all; the format alone makes it Agg, whatever backend is configured."""
    with whole(path) as part:
        figure.savefig(part, format="png", metadata={"Software": DRAWN_BY})
    return path
