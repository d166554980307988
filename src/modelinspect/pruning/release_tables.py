"""What a TensorFlow release changes: the same cells side by side, and which categories differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from modelinspect.pruning.study_tables import CATEGORIES, Row, markdown_table, values

_CELL = ("architecture", "schedule", "target", "pattern", "stage", "method")
PACKAGES = ("tensorflow", "tf_keras", "tensorflow_model_optimization", "h5py", "hdf5", "numpy", "python")
"""What each release ran with, as its results say."""


def release_markdown(
    rows: Sequence[Row], versions: Mapping[str, Mapping[str, str]], missing: Mapping[str, str]
) -> str:
    """Return the tables.

    ``versions`` and ``missing`` (the reasons) are by release, ``rows`` have a column ``release``.
    """
    releases = list(versions)
    parts = ["# The same cells under several TensorFlow releases\n", _versions(versions, missing)]
    if len(releases) > 1:
        cells = _cells(rows)
        changed = {
            cell: found
            for cell, found in cells.items()
            if len({_outcome(found.get(release)) for release in releases}) > 1
        }
        same = len(cells) - len(changed)
        parts.append(
            f"{len(cells):,} cells; {same:,} have the same size under every release, {len(changed):,} do"
            " not.\n"
        )
        if changed:
            lines = [
                [
                    " ".join(str(part) for part in (cell[0], cell[4], cell[5])),
                    *(_outcome(found.get(release)) for release in releases),
                    _difference(found.get(releases[0]), found.get(releases[-1])),
                ]
                for cell, found in changed.items()
            ]
            heads = ["cell", *releases, f"what differs, {releases[0]} to {releases[-1]}"]
            parts.append(markdown_table("What the release changes, bytes", heads, lines))
    return "\n".join(parts)


def _versions(versions: Mapping[str, Mapping[str, str]], missing: Mapping[str, str]) -> str:
    lines = [
        [release, *(found.get(name, "") for name in PACKAGES), ""] for release, found in versions.items()
    ]
    lines += [[release, *("" for _ in PACKAGES), reason] for release, reason in missing.items()]
    return markdown_table("Releases", ["release", *PACKAGES, "why not"], lines)


def _cells(rows: Sequence[Row]) -> dict[tuple[object, ...], dict[str, Row]]:
    found: dict[tuple[object, ...], dict[str, Row]] = {}
    for row in rows:
        if not str(row["method"]).endswith(".gz"):
            found.setdefault(tuple(row[name] for name in _CELL), {})[str(row["release"])] = row
    return found


def _outcome(row: Row | None) -> str:
    if row is None:
        return ""
    return f"{row['size']:,}" if isinstance(row["size"], int) else "not made"


def _difference(before: Row | None, after: Row | None) -> str:
    if before is None or after is None:
        return ""
    deltas = []
    for name in CATEGORIES:
        one, other = before[name], after[name]
        if isinstance(one, int) and isinstance(other, int) and one != other:
            deltas.append((abs(other - one), f"{name.replace('_', '-')} {other - one:+,}"))
    reasons = values([row for row in (before, after) if row["reason"]], "reason")
    return ", ".join(text for _, text in sorted(deltas, reverse=True)) or "; ".join(map(str, reasons))
