"""Draw line and bar charts as SVG text: the same values, the same bytes, nothing from elsewhere.

The study and the article use it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import floor, log10
from xml.sax.saxutils import escape

from modelinspect.core.records import dataclass

WIDTH = 760
_LEFT, _TOP, _LEGEND = 70, 44, 210
_PLOT_HEIGHT, _BAR_HEIGHT = 300, 22
_LABELS = 225
PALETTE = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#e69f00",
    "#56b4e9",
    "#7f3c8d",
    "#666666",
    "#b3a236",
    "#000000",
)
COLORS = {
    "dense-weights": "#2f6fb3",
    "zero-weights": "url(#zeros)",
    "compressed-weights": "#7aa6d6",
    "sparse-values": "#62a0d8",
    "sparse-index": "#e08a1e",
    "optimizer-state": "#8957a8",
    "pruning-state": "#c0392b",
    "quantization": "#4a9d8f",
    "graph": "#6a994e",
    "metadata": "#b3a236",
    "container": "#9aa3ad",
    "free": "#d5dae0",
}
"""Colours of categories, the same in every chart; other names take theirs from the palette."""
_HATCH = (
    '<defs><pattern id="zeros" width="6" height="6" patternUnits="userSpaceOnUse"'
    ' patternTransform="rotate(45)"><rect width="6" height="6" fill="#e8f0f9"/><rect width="2" height="6"'
    ' fill="#2f6fb3"/></pattern></defs>'
)
_STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#222}.title{font-weight:600;font-size:15px}"
    ".dim{fill:#666}.end{text-anchor:end}.mid{text-anchor:middle}"
)


@dataclass(frozen=True, slots=True)
class Line:
    """A named line through points of x and y; lines without a colour take theirs from the palette."""

    name: str
    points: tuple[tuple[float, float], ...]
    color: str = ""
    dashes: str = ""


@dataclass(frozen=True, slots=True)
class Bar:
    """A named bar and its parts, drawn one after the other."""

    name: str
    parts: Mapping[str, int]

    @property
    def size(self) -> int:
        """The bytes of the whole bar."""
        return sum(self.parts.values())


def line_chart(
    title: str,
    across: str,
    up: str,
    lines: Sequence[Line],
    *,
    percent_across: bool = True,
    from_zero: bool = True,
) -> str:
    """Draw lines over common axes."""
    xs = sorted({x for line in lines for x, _ in line.points})
    ys = [y for line in lines for _, y in line.points]
    ticks = _ticks(0.0 if from_zero else min(ys), max(ys))
    low, high = ticks[0], ticks[-1]
    right, bottom = WIDTH - _LEGEND, _TOP + _PLOT_HEIGHT
    spread = (xs[-1] - xs[0]) or 1.0

    def place(x: float, y: float) -> tuple[float, float]:
        return (
            _LEFT + (x - xs[0]) / spread * (right - _LEFT),
            bottom - (y - low) / (high - low) * _PLOT_HEIGHT,
        )

    out = []
    for tick in ticks:
        _, y = place(xs[0], tick)
        out.append(
            f'<path d="M{_LEFT} {y:.1f}H{right}" stroke="#ddd"/><text class="dim end" x="{_LEFT - 6}"'
            f' y="{y + 4:.1f}">{_told(tick)}</text>'
        )
    for x in xs:
        at, _ = place(x, low)
        out.append(
            f'<text class="dim mid" x="{at:.1f}"'
            f' y="{bottom + 18}">{f"{100 * x:g} %" if percent_across else _told(x)}</text>'
        )
    out.append(f'<text class="mid" x="{(_LEFT + right) / 2:.0f}" y="{bottom + 38}">{escape(across)}</text>')
    out.append(f'<text class="dim" x="{_LEFT}" y="{_TOP - 8}">{escape(up)}</text>')
    colors = [line.color or PALETTE[number % len(PALETTE)] for number, line in enumerate(lines)]
    for line, color in zip(lines, colors, strict=True):
        dashes = f' stroke-dasharray="{line.dashes}"' if line.dashes else ""
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in (place(*point) for point in line.points))
        out.append(
            f'<path d="M{path}" fill="none" stroke="{color}"'
            f' stroke-width="2"{dashes}><title>{escape(line.name)}</title></path>'
        )
        for point in line.points:
            x, y = place(*point)
            told = f"{line.name}: {_told(point[1])} at {_told(point[0])}"
            out.append(
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3"'
                f' fill="{color}"><title>{escape(told)}</title></circle>'
            )
    for number, (line, color) in enumerate(zip(lines, colors, strict=True)):
        out += _key(line.name, right + 20, _TOP + 10 + 18 * number, color, line.dashes)
    told = "; ".join(
        f"{line.name} from {_told(line.points[0][1])} to {_told(line.points[-1][1])}" for line in lines
    )
    return _page(title, f"{up}: {told}", bottom + 50, out)


def bar_chart(title: str, bars: Sequence[Bar]) -> str:
    """Draw stacked horizontal bars to one scale, each with its sum in bytes after it."""
    parts = list(dict.fromkeys(name for bar in bars for name, size in bar.parts.items() if size))
    colors = {name: COLORS.get(name, PALETTE[number % len(PALETTE)]) for number, name in enumerate(parts)}
    scale = (WIDTH - _LABELS - 90) / (max(bar.size for bar in bars) or 1)
    columns = 4
    top = _TOP + 18 * (-(-len(parts) // columns)) + 8
    out = []
    for number, name in enumerate(parts):
        out += _key(name, 20 + number % columns * 180, _TOP + number // columns * 18, colors[name])
    for number, bar in enumerate(bars):
        y, x = top + number * _BAR_HEIGHT, float(_LABELS)
        out.append(f'<text class="end" x="{_LABELS - 8}" y="{y + 13}">{escape(bar.name)}</text>')
        for name, size in bar.parts.items():
            if not size:
                continue
            told = f"<title>{escape(f'{bar.name}: {name} {size:,} bytes')}</title>"
            out.append(
                f'<rect x="{x:.1f}" y="{y}" width="{size * scale:.1f}" height="16"'
                f' fill="{colors[name]}">{told}</rect>'
            )
            x += size * scale
        out.append(f'<text class="dim" x="{x + 6:.1f}" y="{y + 13}">{bar.size:,}</text>')
    told = "; ".join(f"{bar.name} {bar.size:,} bytes" for bar in bars)
    return _page(title, told, top + len(bars) * _BAR_HEIGHT + 10, out)


def _key(name: str, x: int, y: int, color: str, dashes: str = "") -> list[str]:
    """Draw one entry of a legend: a square, or a dashed line for what is drawn so."""
    dashed = f'<path d="M{x - 4} {y - 4}h18" stroke="{color}" stroke-width="2" stroke-dasharray="{dashes}"/>'
    square = f'<rect x="{x}" y="{y - 9}" width="11" height="11" fill="{color}"/>'
    return [(dashed if dashes else square) + f'<text x="{x + 17}" y="{y}">{escape(name)}</text>']


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


def _page(title: str, told: str, height: int, parts: Sequence[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}"'
        f' height="{height}" role="img">'
    )
    body = "\n".join(parts)
    return (
        f"{head}\n<title>{escape(title)}</title>\n<desc>{escape(told)}</desc>\n<style>{_STYLE}</style>\n{_HATCH}\n"
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>\n'
        f'<text class="title" x="20" y="22">{escape(title)}</text>\n{body}\n</svg>\n'
    )
