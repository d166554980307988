"""Draw line and bar charts as SVG text: the same values, the same bytes, nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import floor, log10
from xml.sax.saxutils import escape

WIDTH = 760
_LEFT, _TOP, _LEGEND = 70, 44, 210
_PLOT_HEIGHT, _BAR_HEIGHT = 300, 22
_LABELS = 225
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f3c8d", "#666666", "#b3a236", "#000000")
_STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#222}.title{font-weight:600;font-size:15px}"
    ".dim{fill:#666}.end{text-anchor:end}.mid{text-anchor:middle}"
)


@dataclass(frozen=True, slots=True)
class Line:
    """A named line through points of x and y."""

    name: str
    points: tuple[tuple[float, float], ...]
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Bar:
    """A named bar and its parts, drawn one after the other."""

    name: str
    parts: Mapping[str, int]


def line_chart(title: str, across: str, up: str, lines: Sequence[Line], *, percent_across: bool = True, from_zero: bool = True) -> str:
    """Draw lines over common axes; lines of one name share a colour."""
    xs = sorted({x for line in lines for x, _ in line.points})
    ys = [y for line in lines for _, y in line.points]
    ticks = _ticks(0.0 if from_zero else min(ys), max(ys))
    low, high = ticks[0], ticks[-1]
    right, bottom = WIDTH - _LEGEND, _TOP + _PLOT_HEIGHT
    spread = (xs[-1] - xs[0]) or 1.0

    def place(x: float, y: float) -> tuple[float, float]:
        return _LEFT + (x - xs[0]) / spread * (right - _LEFT), bottom - (y - low) / (high - low) * _PLOT_HEIGHT

    out = []
    for tick in ticks:
        _, y = place(xs[0], tick)
        out.append(
            f'<path d="M{_LEFT} {y:.1f}H{right}" stroke="#ddd"/><text class="dim end" x="{_LEFT - 6}" y="{y + 4:.1f}">{_told(tick)}</text>'
        )
    for x in xs:
        at, _ = place(x, low)
        out.append(f'<text class="dim mid" x="{at:.1f}" y="{bottom + 18}">{f"{100 * x:g} %" if percent_across else _told(x)}</text>')
    out.append(f'<text class="mid" x="{(_LEFT + right) / 2:.0f}" y="{bottom + 38}">{escape(across)}</text>')
    out.append(f'<text class="dim" x="{_LEFT}" y="{_TOP - 8}">{escape(up)}</text>')
    names = list(dict.fromkeys(line.name for line in lines))
    for line in lines:
        color = PALETTE[names.index(line.name) % len(PALETTE)]
        dashes = ' stroke-dasharray="5 4"' if line.dashed else ""
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in (place(*point) for point in line.points))
        out.append(f'<path d="M{path}" fill="none" stroke="{color}" stroke-width="2"{dashes}><title>{escape(line.name)}</title></path>')
        for point in line.points:
            x, y = place(*point)
            told = f"{line.name}: {_told(point[1])} at {_told(point[0])}"
            out.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{color}"><title>{escape(told)}</title></circle>')
    out += _legend(names, right + 20, _TOP + 10)
    return _page(title, bottom + 50, out)


def bar_chart(title: str, bars: Sequence[Bar]) -> str:
    """Draw stacked horizontal bars to one scale, each with its sum in bytes after it."""
    parts = list(dict.fromkeys(name for bar in bars for name, size in bar.parts.items() if size))
    scale = (WIDTH - _LABELS - 90) / (max(sum(bar.parts.values()) for bar in bars) or 1)
    columns = 4
    top = _TOP + 18 * (-(-len(parts) // columns)) + 8
    out = []
    for number, name in enumerate(parts):
        out += _legend([name], 20 + number % columns * 180, _TOP + number // columns * 18, PALETTE[number % len(PALETTE)])
    for number, bar in enumerate(bars):
        y, x = top + number * _BAR_HEIGHT, float(_LABELS)
        out.append(f'<text class="end" x="{_LABELS - 8}" y="{y + 13}">{escape(bar.name)}</text>')
        for name, size in bar.parts.items():
            if not size:
                continue
            color = PALETTE[parts.index(name) % len(PALETTE)]
            told = f"{bar.name}: {name} {size:,} bytes"
            out.append(
                f'<rect x="{x:.1f}" y="{y}" width="{size * scale:.1f}" height="16" fill="{color}"><title>{escape(told)}</title></rect>'
            )
            x += size * scale
        out.append(f'<text class="dim" x="{x + 6:.1f}" y="{y + 13}">{sum(bar.parts.values()):,}</text>')
    return _page(title, top + len(bars) * _BAR_HEIGHT + 10, out)


def _legend(names: Sequence[str], x: int, y: int, color: str = "") -> list[str]:
    out = []
    for number, name in enumerate(names):
        at = y + 18 * number
        fill = color or PALETTE[number % len(PALETTE)]
        out.append(f'<rect x="{x}" y="{at - 9}" width="11" height="11" fill="{fill}"/><text x="{x + 17}" y="{at}">{escape(name)}</text>')
    return out


def _ticks(low: float, high: float) -> list[float]:
    """Return round numbers, four to eight, that enclose the range."""
    span = (high - low) or abs(high) or 1.0
    step = 10.0 ** floor(log10(span / 4))
    step *= next(factor for factor in (1, 2, 2.5, 5, 10) if span / (step * factor) <= 6)
    first = floor(low / step + 1e-9)
    count = first
    ticks = []
    while True:
        ticks.append(round(count * step, 10))
        if ticks[-1] >= high - 1e-9 and len(ticks) > 1:
            return ticks
        count += 1


def _told(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) >= 1 else f"{value:g}"


def _page(title: str, height: int, parts: Sequence[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img">'
    body = "\n".join(parts)
    return (
        f'{head}\n<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n<rect width="{WIDTH}" height="{height}" fill="#fff"/>\n'
        f'<text class="title" x="20" y="22">{escape(title)}</text>\n{body}\n</svg>\n'
    )
