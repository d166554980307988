"""Counts what the rules about wasteful content find on real files, and joins the verdicts of findings.csv.

usage: python -m benchmarks.accuracy.findings CORPUS [--write]

Every finding is a row of `findings.csv`: rule, file, bytes, and a verdict that a person gave after reading it (true, silly, false, or
empty: not read yet). A verdict holds for a rule, file and number of bytes. ``--write`` writes the file and the page again.
"""

from __future__ import annotations

import csv
import sys
from collections import Counter
from pathlib import Path

import modelinspect as mi
from modelinspect.scanning import find_artifacts

HERE = Path(__file__).parent
VERDICTS = HERE / "findings.csv"
PAGE = HERE.parents[1] / "docs" / "developer" / "findings.md"
FIELDS = ("rule", "file", "bytes", "verdict")
_HEAD = """# What the rules find on real files

<!-- Written by benchmarks/accuracy/findings.py; do not edit. -->

Every rule about wasteful content ran over {files:,} public models, folders and HDF5 files that nobody in the project made. Each finding was
read, and is *true*, *silly* (true and not worth a line) or *false*. The verdicts are data: `benchmarks/accuracy/findings.csv`.

| rule | findings | true | silly | false | not read |
| --- | --- | --- | --- | --- | --- |
"""


def sweep(corpus: Path) -> tuple[int, list[tuple[str, str, int]]]:
    """Return how many artifacts were read, and the rule, file and bytes of every finding."""
    found: list[tuple[str, str, int]] = []
    count = 0
    for location in find_artifacts(str(corpus))[0]:
        try:
            report = mi.lint(location, select=["wasteful"])
        except (mi.ModelInspectError, OSError):
            continue
        count += 1
        name = str(Path(location).relative_to(corpus))
        found += [(finding.rule, name, finding.bytes) for finding in report.findings]
    return count, sorted(found)


def read_verdicts() -> dict[tuple[str, str, int], str]:
    """Return the verdict of each finding that was read."""
    with VERDICTS.open(encoding="utf-8", newline="") as file:
        return {(row["rule"], row["file"], int(row["bytes"])): row["verdict"] for row in csv.DictReader(file)}


def page(files: int, rows: list[tuple[str, str, int, str]]) -> str:
    """Return the table of rules."""
    counts = Counter((rule, verdict) for rule, _, _, verdict in rows)
    lines = [_row(rule, [counts[rule, word] for word in ("true", "silly", "false", "")]) for rule in sorted({row[0] for row in rows})]
    total = Counter(row[3] for row in rows)
    return _HEAD.format(files=files) + "\n".join([*lines, _row("all", [total[word] for word in ("true", "silly", "false", "")])]) + "\n"


def _row(name: str, counts: list[int]) -> str:
    return f"| {name if name == 'all' else f'`{name}`'} | {sum(counts):,} | {' | '.join(f'{count:,}' for count in counts)} |"


def main(arguments: list[str]) -> None:
    """Print the table, or write it and the verdicts."""
    files, found = sweep(Path(arguments[0]))
    known = read_verdicts()
    rows = [(*finding, known.get(finding, "")) for finding in found]
    text = page(files, rows)
    if "--write" in arguments:
        with VERDICTS.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerows([FIELDS, *rows])
        PAGE.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main(sys.argv[1:])
