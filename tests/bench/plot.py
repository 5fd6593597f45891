"""The drawing of losses over seconds, as SVG: no library that draws is among the dependencies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 340, 250  # of one panel, px
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 34, 44  # margins within it
COLOURS = {"textbook": "#8a8f98", "ours": "#c8452f"}
NAMES = {"textbook": "textbook loop", "ours": "nst"}
INK, GRID = "#24292f", "#e3e6ea"
LOWEST_DECADES = 3.0
"""The first losses are thousands of times the last: more than so many decades are cut off."""


def draw(records: Sequence[dict[str, Any]]) -> str:
    """A panel for each record of ``time_to_loss``: both axes logarithmic, the targets as dots."""
    width = WIDTH * max(len(records), 1)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {HEIGHT}" '
        f'width="{width}" height="{HEIGHT}" font-family="system-ui, sans-serif" font-size="11">',
        f'<rect width="{width}" height="{HEIGHT}" fill="#ffffff"/>',
    ]
    for number, record in enumerate(records):
        parts.append(f'<g transform="translate({number * WIDTH} 0)">')
        parts += _panel(record)
        parts.append("</g>")
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel(record: dict[str, Any]) -> list[str]:
    curves = {name: _points(record[name]) for name in COLOURS}
    shown = [point for points in curves.values() for point in points]
    if not shown:
        return []
    seconds = [second for second, _ in shown]
    losses = [loss for _, loss in shown]
    bottom = min(losses) * 0.9
    top = min(max(losses), bottom * 10**LOWEST_DECADES)
    across = _Axis(min(seconds), max(seconds) * 1.1, LEFT, WIDTH - RIGHT)
    up = _Axis(bottom, top, HEIGHT - BOTTOM, TOP)
    parts = [_text(LEFT, 18, f"{record['case']}, {record['size']} px", weight="600")]
    for tick in across.ticks():
        x = across.place(tick)
        parts.append(_line(x, TOP, x, HEIGHT - BOTTOM))
        parts.append(_text(x, HEIGHT - BOTTOM + 15, f"{tick:g}", anchor="middle"))
    for tick in up.ticks():
        y = up.place(tick)
        parts.append(_line(LEFT, y, WIDTH - RIGHT, y))
        parts.append(_text(LEFT - 6, y + 4, f"{tick:g}", anchor="end"))
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, "seconds", anchor="middle"))
    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts.append(
        f'<g transform="translate(13 {middle:.0f}) rotate(-90)">'
        f"{_text(0, 0, 'loss', anchor='middle')}</g>"
    )
    parts += _legend()
    for name, points in curves.items():
        places = [(across.place(x), up.place(min(y, top))) for x, y in points]
        drawn = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(
            f'<polyline points="{drawn}" fill="none" stroke="{COLOURS[name]}" stroke-width="2" '
            'stroke-linejoin="round"/>'
        )
    for second, loss in record["targets"].values():
        if second > 0:
            x, y = across.place(second), up.place(min(loss, top))
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{COLOURS["textbook"]}"/>')
    return parts


def _legend() -> list[str]:
    """Top right, where curves that fall are not; drawn first, so that it hides none of them."""
    x, y = WIDTH - RIGHT - 106, TOP + 6
    parts = [f'<rect x="{x - 4}" y="{y - 4}" width="110" height="54" fill="#ffffff"/>']
    for number, (name, colour) in enumerate(COLOURS.items()):
        middle = y + 4 + 16 * number
        parts.append(
            f'<line x1="{x}" y1="{middle}" x2="{x + 18}" y2="{middle}" stroke="{colour}" '
            'stroke-width="2"/>'
        )
        parts.append(_text(x + 24, middle + 4, NAMES[name]))
    parts.append(f'<circle cx="{x + 9}" cy="{y + 36}" r="3" fill="{COLOURS["textbook"]}"/>')
    parts.append(_text(x + 24, y + 40, "targets"))
    return parts


def _points(curve: dict[str, list[float]]) -> list[tuple[float, float]]:
    """What can stand on logarithmic axes."""
    pairs = zip(curve["seconds"], curve["losses"], strict=True)
    return [(x, y) for x, y in pairs if x > 0 and y > 0 and math.isfinite(y)]


class _Axis:
    """From values to places, on a logarithmic scale."""

    def __init__(self, low: float, high: float, first: float, last: float) -> None:
        self.low, self.high = low, max(high, low * 1.01)
        self.first, self.last = first, last

    def place(self, value: float) -> float:
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return self.first + min(max(share, 0.0), 1.0) * (self.last - self.first)

    def ticks(self) -> list[float]:
        """1, 2 and 5 of every decade; of many decades, 1 alone."""
        decades = math.log10(self.high / self.low)
        steps = (1, 2, 5) if decades < 2.2 else (1,)
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        values = [step * 10.0**power for power in powers for step in steps]
        return [value for value in values if self.low <= value <= self.high]


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{GRID}"/>'


def _text(x: float, y: float, said: str, anchor: str = "start", weight: str = "400") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{INK}" text-anchor="{anchor}" '
        f'font-weight="{weight}">{escape(said)}</text>'
    )
