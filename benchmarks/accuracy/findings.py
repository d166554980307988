"""Count what the rules find on real files and on the fixtures, and join the verdicts of findings.csv.

usage: python -m benchmarks.accuracy.findings CORPUS [--write] [--unread]

Every finding is a row of `findings.csv`: set, rule, file, bytes, and a verdict that a person gave after
reading it (true, silly, false, or empty: not read yet). A verdict holds for a set, rule, file and number of
bytes. ``--write`` writes the file and the page again, ``--unread`` prints the messages of the findings that
nobody has read.
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
FIXTURES = HERE.parents[1] / "fixtures"
FIELDS = ("set", "rule", "file", "bytes", "verdict")
_VERDICTS = ("true", "silly", "false", "")
_HEAD = """# What the rules find on real files

<!-- Written by benchmarks/accuracy/findings.py; do not edit. -->

Every rule, about wasteful and about unsafe content, ran over {corpus:,} public models, folders and HDF5 files that nobody in the project
made, and over the {fixtures:,} fixtures. Every finding was read, with the file where the sentence
alone did not show it: *true*, *silly* (true and not worth a line) or *false*. The fixtures are small on purpose: what they show is the
rule, and their share of silly findings is not that of real files. The verdicts are data: `benchmarks/accuracy/findings.csv`.
"""  # noqa: E501
_TABLE = """
## {title}

| rule | findings | true | silly | false | not read |
| --- | --- | --- | --- | --- | --- |
"""
_TITLES = {"corpus": "Public files", "fixtures": "Fixtures"}

Key = tuple[str, str, str, int]
"""Set, rule, file and bytes of a finding."""


def sweep(name: str, root: Path) -> tuple[int, list[tuple[Key, str]]]:
    """Return how many artifacts of a set were read, and every finding with its message."""
    found: list[tuple[Key, str]] = []
    count = 0
    for location in find_artifacts(str(root))[0]:
        try:
            report = mi.lint(location)
        except (mi.ModelInspectError, OSError):
            continue
        count += 1
        file = str(Path(location).relative_to(root))
        found += [((name, finding.rule, file, finding.bytes), finding.message) for finding in report.findings]
    return count, sorted(found)


def read_verdicts() -> dict[Key, str]:
    """Return the verdict of each finding that was read."""
    with VERDICTS.open(encoding="utf-8", newline="") as file:
        return {
            (row["set"], row["rule"], row["file"], int(row["bytes"])): row["verdict"]
            for row in csv.DictReader(file)
        }


def page(files: dict[str, int], rows: list[tuple[Key, str]]) -> str:
    """Return a table of rules for each set."""
    parts = [_HEAD.format(**files)]
    for name, title in _TITLES.items():
        own = [(key[1], verdict) for key, verdict in rows if key[0] == name]
        counts, total = Counter(own), Counter(verdict for _, verdict in own)
        lines = [
            _row(f"`{rule}`", [counts[rule, word] for word in _VERDICTS])
            for rule in sorted({rule for rule, _ in own})
        ]
        parts.append(
            _TABLE.format(title=title)
            + "\n".join([*lines, _row("all", [total[word] for word in _VERDICTS])])
            + "\n"
        )
    return "".join(parts)


def _row(name: str, counts: list[int]) -> str:
    return f"| {name} | {sum(counts):,} | {' | '.join(f'{count:,}' for count in counts)} |"


def main(arguments: list[str]) -> None:
    """Print the tables, or write them and the verdicts."""
    known = read_verdicts()
    files: dict[str, int] = {}
    rows: list[tuple[Key, str]] = []
    for name, root in (("corpus", Path(arguments[0])), ("fixtures", FIXTURES)):
        files[name], found = sweep(name, root)
        rows += [(key, known.get(key, "")) for key, _ in found]
        if "--unread" in arguments:
            for key, message in found:
                if not known.get(key):
                    print(*key, message, sep="\t")
    text = page(files, rows)
    if "--write" in arguments:
        with VERDICTS.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerows([FIELDS, *((*key, verdict) for key, verdict in rows)])
        PAGE.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main(sys.argv[1:])
