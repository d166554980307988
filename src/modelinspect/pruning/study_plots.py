"""Draw a study's table: size against sparsity, what methods store, small layers against large, schedule
against schedule.

The charts are SVG text: the same values, the same bytes, nothing from elsewhere. The article uses them too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import floor, log10
from xml.sax.saxutils import escape

from modelinspect.core.records import dataclass
from modelinspect.pruning.engines import Engine
from modelinspect.pruning.study_tables import CATEGORIES, Row, values

SHOWN = (
    *("h5-no-optimizer", "keras-deflate", "hdf5-gzip", "tflite-float32", "tflite-float32-sparse"),
    *("tflite-dynamic-int8", "tflite-dynamic-int8-sparse"),
)
"""The methods whose lines are drawn: one of each way to store zeros."""
SMALL_AND_LARGE = ("many-small-layers", "few-large-layers")


def plots(rows: Sequence[Row]) -> dict[str, str]:
    """Return the SVG text of each plot that the rows allow, by its file name."""
    made = [row for row in rows if row["outcome"] == "made" and row["engine"] in (None, Engine.TFMOT)]
    return dict([*_by_sparsity(made), *_stored(made), *_small_and_large(made), *_schedules(made)])


def _by_sparsity(rows: Sequence[Row]) -> Iterator[tuple[str, str]]:
    chosen = [
        row
        for row in rows
        if (row["stage"], row["pattern"], row["schedule"]) == ("stripped", "element", "one-shot")
        and row["method"] in SHOWN
        and not row["errors"]
    ]
    for architecture in values(chosen, "architecture"):
        own = [row for row in chosen if row["architecture"] == architecture]
        if len(values(own, "target")) < 3:
            continue
        for key, word in (("size", "bytes"), ("gzip_size", "bytes under gzip -9")):
            lines = [_line(own, method, "method", "target", key) for method in SHOWN]
            title = f"Size against sparsity: {architecture}, {word}"
            yield (
                f"{key.replace('_', '-')}-by-sparsity-{architecture}.svg",
                line_chart(title, "sparsity", word, [line for line in lines if line.points]),
            )


def _stored(rows: Sequence[Row]) -> Iterator[tuple[str, str]]:
    for stage in ("original", "wrapped", "stripped"):
        chosen = _one_of_each_method(rows, stage)
        if chosen:
            bars = [
                Bar(str(row["method"]), {name.replace("_", "-"): _whole(row[name]) for name in CATEGORIES})
                for row in chosen
            ]
            yield (
                f"stored-{stage}.svg",
                bar_chart(f"What each method stores of the {stage} {chosen[0]['architecture']}, bytes", bars),
            )


def _one_of_each_method(rows: Sequence[Row], stage: str) -> list[Row]:
    """Return the rows of the runs that saved wrapped networks too, the first for each method."""
    runs = {_run(row) for row in rows if row["stage"] == "wrapped"}
    found: dict[object, Row] = {}
    for row in rows:
        if row["stage"] == stage and _run(row) in runs and not str(row["method"]).endswith(".gz"):
            found.setdefault(row["method"], row)
    return list(found.values())


def _run(row: Row) -> tuple[object, ...]:
    return row["architecture"], row["schedule"], row["target"], row["pattern"]


def _small_and_large(rows: Sequence[Row]) -> Iterator[tuple[str, str]]:
    chosen = [
        row
        for row in rows
        if row["architecture"] in SMALL_AND_LARGE
        and row["stage"] == "stripped"
        and row["pattern"] == "element"
    ]
    for target in values(chosen, "target"):
        own = [row for row in chosen if row["target"] == target]
        bars = []
        for method in values(own, "method"):
            pair = {row["architecture"]: row for row in own if row["method"] == method}
            if len(pair) == 2:
                for name in SMALL_AND_LARGE:
                    parts = {part.replace("_", "-"): _whole(pair[name][part]) for part in CATEGORIES}
                    bars.append(Bar(f"{method}, {name.split('-')[1]}", parts))
        if bars:
            share = f"{100 * float(target or 0):g}"
            yield (
                f"small-and-large-{share}.svg",
                bar_chart(f"Many small layers against few large ones at {share} %, bytes", bars),
            )


def _schedules(rows: Sequence[Row]) -> Iterator[tuple[str, str]]:
    chosen = [
        row
        for row in rows
        if row["stage"] == "stripped" and row["pattern"] == "element" and row["method"] == "keras-deflate"
    ]
    for architecture in values(chosen, "architecture"):
        own = [row for row in chosen if row["architecture"] == architecture]
        names = values(own, "schedule")
        if len(names) < 2:
            continue
        for key, word in (
            ("loss", "loss on the samples held back"),
            ("size", "bytes of the deflated .keras"),
        ):
            # a network pruned in one shot was never trained: its loss is that of chance
            lines = [
                _line(own, str(name), "schedule", "target", key)
                for name in names
                if (key, name) != ("loss", "one-shot")
            ]
            title = f"Schedule against schedule: {architecture}, {word}"
            drawn = [line for line in lines if len(line.points) > 1]
            if drawn:
                yield (
                    f"schedules-{key}-{architecture}.svg",
                    line_chart(title, "sparsity", word, drawn, from_zero=key == "size"),
                )


def _line(rows: Sequence[Row], name: str, by: str, across: str, up: str) -> Line:
    points = {
        float(row[across] or 0): float(value)
        for row in rows
        if row[by] == name and isinstance(value := row[up], int | float)
    }
    return Line(name, tuple(sorted(points.items())))


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0


_WIDTH = 760
_LEFT, _TOP, _LEGEND = 70, 44, 210
_PLOT_HEIGHT, _BAR_HEIGHT = 300, 22
_LABELS = 225
_PALETTE = (
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
    right, bottom = _WIDTH - _LEGEND, _TOP + _PLOT_HEIGHT
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
    colors = [line.color or _PALETTE[number % len(_PALETTE)] for number, line in enumerate(lines)]
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
    colors = {name: COLORS.get(name, _PALETTE[number % len(_PALETTE)]) for number, name in enumerate(parts)}
    scale = (_WIDTH - _LABELS - 90) / (max(bar.size for bar in bars) or 1)
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
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}"'
        f' height="{height}" role="img">'
    )
    body = "\n".join(parts)
    return (
        f"{head}\n<title>{escape(title)}</title>\n<desc>{escape(told)}</desc>\n<style>{_STYLE}</style>\n{_HATCH}\n"
        f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>\n'
        f'<text class="title" x="20" y="22">{escape(title)}</text>\n{body}\n</svg>\n'
    )
