"""Draws what calls cost by the size of the memory, readable on light and on dark pages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Protocol


class Measured(Protocol):
    """What is drawn of one size; times in milliseconds."""

    size: int
    echo: list[float]
    remember: list[float]
    recall: list[float]


# Of middle brightness: the page behind shows through and may be white or black.
_INK = "#7d8590"
_COLOURS = {"recall": "#2f81f7", "remember": "#db6d28", "echo": _INK}
_MARKS = {"recall": "o", "remember": "s", "echo": "D"}


def draw(measured: Sequence[Measured], path: Path) -> None:
    """Write the plot as SVG; the same figures give the same bytes."""
    import matplotlib as mpl  # type: ignore[import-not-found,unused-ignore]

    mpl.use("svg")
    from matplotlib import pyplot as plt

    mpl.rcParams |= {
        "svg.hashsalt": "mem1",
        "font.size": 11,
        **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color"), _INK),
        **dict.fromkeys(("ytick.color", "grid.color"), _INK),
    }
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
    sizes = [each.size for each in measured]
    for name in ("recall", "remember"):
        ratios = [median(getattr(each, name)) / median(each.echo) for each in measured]
        _line(left, sizes, ratios, name, "{:.1f}×")
    for name in ("recall", "remember", "echo"):
        worst = [quantiles(getattr(each, name), n=20)[-1] for each in measured]
        _line(right, sizes, worst, name, "{:.1f}" if name == "recall" else None)
    left.axhline(1, color=_INK, linestyle=":", linewidth=1)
    left.annotate("echo", (sizes[0], 1), (0, 4), textcoords="offset points", ha="center", fontsize=9)
    _finish(left, "Median call, times an echo", sizes)
    _finish(right, "p95 of a call, ms", sizes)
    figure.savefig(path, transparent=True, metadata={"Date": None})
    plt.close(figure)


def _line(axes: Any, sizes: list[int], values: list[float], name: str, label: str | None) -> None:
    axes.plot(sizes, values, color=_COLOURS[name], marker=_MARKS[name], linewidth=2, label=name)
    for size, value in zip(sizes, values, strict=True) if label else ():
        axes.annotate(
            label.format(value),
            (size, value),
            (0, 8),
            textcoords="offset points",
            ha="center",
            color=_COLOURS[name],
            fontsize=9,
        )


def _finish(axes: Any, title: str, sizes: list[int]) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.margins(x=0.08, y=0.18)
    axes.set_xticks(sizes, [_short(size) for size in sizes])
    axes.minorticks_off()
    axes.yaxis.set_major_locator(_ones_twos_fives())
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_title(title, loc="left", fontsize=12, fontweight="bold")
    axes.set_xlabel("messages in one user's memory")
    axes.grid(visible=True, axis="y", alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, labelcolor=_INK, loc="upper left")


def _ones_twos_fives() -> Any:
    from matplotlib.ticker import LogLocator

    return LogLocator(subs=(1.0, 2.0, 5.0))


def _short(size: int) -> str:
    for unit, letter in ((1_000_000, "M"), (1000, "k")):
        if size >= unit:
            return f"{size / unit:g}{letter}"
    return str(size)
