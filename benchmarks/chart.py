"""Charts as SVG, readable on a light and on a dark page: dots of ratios in rows, and lines on logarithmic axes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import NamedTuple

__all__ = ["Dot", "Panel", "dots", "lines"]

COLOURS = ["#2f7ed8", "#e07b00", "#3a9a4b", "#b0459c", "#7a7a7a"]  # have contrast on white and on black
STYLE = """<style>
text { font: 12px sans-serif; fill: #222 } .title { font-weight: bold } .end { text-anchor: end }
.middle { text-anchor: middle } .grid { stroke: #8884; stroke-width: 1 } .one { stroke: #888; stroke-width: 2 }
@media (prefers-color-scheme: dark) { text { fill: #ddd } }
</style>"""
MARGIN, LEFT, TOP = 40, 220, 56
WIDTH = 800


class Dot(NamedTuple):
    """A ratio in a row and a series, and its goal."""

    row: str
    series: str
    ratio: float
    goal: float | None


class Panel(NamedTuple):
    """A chart of lines: for each series the points, whose axes are logarithmic."""

    title: str
    x: str
    y: str
    series: Mapping[str, Sequence[tuple[float, float]]]


def _document(width: float, height: float, parts: Iterable[str]) -> str:
    size = f'viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}"'
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" {size}>', STYLE, *parts, "</svg>", ""])


def _text(x: float, y: float, text: str, kind: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}">{escape(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str = "grid") -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def _legend(names: Sequence[str], x: float, y: float) -> list[str]:
    parts = []
    for index, name in enumerate(names):
        parts += [f'<circle cx="{x + 90 * index:.0f}" cy="{y - 4:.0f}" r="4" fill="{COLOURS[index]}"/>']
        parts += [_text(x + 90 * index + 8, y, name)]
    return parts


def dots(title: str, dots: Sequence[Dot]) -> str:
    """Draw each ratio as a dot, and its goal as an upright dash, on a logarithmic axis; left of 1 is faster."""
    rows = list(dict.fromkeys(dot.row for dot in dots))
    series = list(dict.fromkeys(dot.series for dot in dots))
    spacing = 7
    height = spacing * len(series) + 8  # of a row
    powers = [math.log2(each) for dot in dots for each in (dot.ratio, dot.goal) if each is not None]
    lowest, highest = math.floor(min([-2.0, *powers])), math.ceil(max([1.0, *powers]))
    bottom = TOP + height * len(rows)

    def x(ratio: float) -> float:
        return LEFT + (WIDTH - LEFT - MARGIN) * (math.log2(ratio) - lowest) / (highest - lowest)

    parts = [_text(MARGIN, 18, title, "title"), *_legend(series, LEFT, 40)]
    for power in range(lowest, highest + 1):
        parts.append(_line(x(2**power), TOP, x(2**power), bottom, "grid" if power else "one"))
        parts.append(_text(x(2**power), bottom + 16, f"{2**power:g}" if power >= 0 else f"1/{2**-power}", "middle"))
    for index, row in enumerate(rows):
        parts.append(_text(LEFT - 10, TOP + height * (index + 0.5) + 4, row, "end"))
        parts.append(_line(LEFT, TOP + height * index, WIDTH - MARGIN, TOP + height * index))
    for dot in dots:
        number = series.index(dot.series)
        y = TOP + height * rows.index(dot.row) + 7 + spacing * number
        if dot.goal is not None:
            goal = f'<path d="M{x(dot.goal):.1f} {y - 4:.1f}v8" stroke="{COLOURS[number]}" stroke-width="2"/>'
            parts.append(goal)
        parts.append(f'<circle cx="{x(dot.ratio):.1f}" cy="{y:.1f}" r="3.5" fill="{COLOURS[number]}"/>')
    return _document(WIDTH, bottom + 30, parts)


def lines(panels: Sequence[Panel]) -> str:
    """Draw the panels one below the other."""
    height, left, parts = 240, 100, []
    for index, panel in enumerate(panels):
        top = height * index + 48
        points = [point for series in panel.series.values() for point in series]
        (x0, x1), (y0, y1) = (_decades(values) for values in zip(*points, strict=True))

        def place(
            point: tuple[float, float], x0: int = x0, x1: int = x1, y0: int = y0, y1: int = y1, top: int = top
        ) -> tuple[float, float]:
            across, up = (math.log10(point[0]) - x0) / (x1 - x0), (math.log10(point[1]) - y0) / (y1 - y0)
            return left + (WIDTH - left - MARGIN) * across, top + (height - 100) * (1 - up)

        parts += [_text(MARGIN, top - 28, panel.title, "title"), *_legend(list(panel.series), left, top - 10)]
        for power in range(x0, x1 + 1):
            x, y = place((10**power, 10**y0))
            parts += [_line(x, top, x, y), _text(x, y + 16, f"{10**power:,}", "middle")]
        parts.append(_text(WIDTH / 2, top + height - 68, panel.x, "middle"))
        for power in range(y0, y1 + 1):
            x, y = place((10**x0, 10**power))
            parts += [_line(x, y, WIDTH - MARGIN, y), _text(x - 6, y + 4, f"{10**power:g}", "end")]
        parts.append(_text(WIDTH - MARGIN, top - 10, panel.y, "end"))
        for number, series in enumerate(panel.series.values()):
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(place, series))
            parts.append(f'<polyline points="{path}" fill="none" stroke="{COLOURS[number]}" stroke-width="2"/>')
    return _document(WIDTH, height * len(panels), parts)


def _decades(values: Sequence[float]) -> tuple[int, int]:
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return low, max(high, low + 1)
