"""Write the counts of fuzzing into docs/developer/fuzzing.md: ``python -m tests.fuzz.page [COUNTS]``.

With a file of counts, as ``python -m tests.fuzz --counts`` writes it, they are first added to those of the
repository, `counts.json` here.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from tests.fuzz.cases import corpus
from tests.fuzz.drive import MEMORY, SECONDS, Outcome, read_counts, write_counts
from tests.fuzz.families import FAMILIES
from tests.support.corpus import PROJECT

COUNTS = Path(__file__).parent / "counts.json"
PAGE = PROJECT / "docs" / "developer" / "fuzzing.md"
COLUMNS = (
    *("family", "executions", "answered", "refused", "escaped"),
    *("over 2 s", "over 300 MiB", "slowest", "largest growth"),
)
BEGIN, END = "<!-- counts -->", "<!-- /counts -->"


def table(counts: Mapping[str, Outcome]) -> str:
    """Return the counts by family as a Markdown table, with their sum."""
    rows = [f"| {' | '.join(COLUMNS)} |", f"| --- |{' ---: |' * (len(COLUMNS) - 1)}"]
    total = Outcome("all")
    for family in FAMILIES:
        if family in counts:
            rows.append(_row(f"`{family}`", counts[family]))
            total.add(counts[family])
    return "\n".join((*rows, _row("all", total)))


def _row(name: str, outcome: Outcome) -> str:
    answers = outcome.executions, outcome.answered, outcome.refused
    numbers = (*answers, outcome.escapes, outcome.slow, outcome.heavy)
    cells = [name, *(f"{number:,}" for number in numbers)]
    cells += [f"{outcome.most_seconds:.2f} s", f"{outcome.most_mebibytes:.0f} MiB"]
    return f"| {' | '.join(cells)} |"


def fill(page: str, counts: Mapping[str, Outcome]) -> str:
    """Return the page with the table of these counts between its marks."""
    head, _, rest = page.partition(BEGIN)
    tail = rest.partition(END)[2]
    recorded = corpus()
    size = sum(case.size for _, case in recorded)
    limits = f"{SECONDS:.0f} s of processor time and {MEMORY >> 20} MiB of growth"
    text = (
        f"{table(counts)}\n\n"
        f"An execution is one input; the limits are {limits}. {len(recorded)} inputs with {size:,} bytes of"
        " files are recorded and replayed in every family by the quick tests."
    )
    return f"{head}{BEGIN}\n\n{text}\n\n{END}{tail}"


def main() -> None:
    """Add counts, and write the page."""
    counts = read_counts(COUNTS)
    for path in sys.argv[1:]:
        for family, outcome in read_counts(Path(path)).items():
            counts.setdefault(family, Outcome(family)).add(outcome)
    write_counts(COUNTS, counts)
    PAGE.write_text(fill(PAGE.read_text(encoding="utf-8"), counts), encoding="utf-8")


if __name__ == "__main__":
    main()
