"""Writes the pages and tables that come from data: questions from the case bank, versions, and sizes of
full-size networks.

A table is between ``<!-- table: NAME -->`` and ``<!-- end of NAME -->`` on any page.

    python docs/generate_tables.py           rewrite the pages
    python docs/generate_tables.py --check   say which pages are not what the data say, and exit with 1
"""

from __future__ import annotations

import csv
import json
import re
import sys
import tomllib
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import modelinspect as mi  # noqa: E402

GUIDE = ROOT / "docs" / "guide"
RULES = ROOT / "docs" / "reference" / "rules"
NETWORKS = ROOT / "docs" / "article" / "networks.csv"
NAMES = {"mobilenet-v2": "MobileNetV2", "efficientnet-b0": "EfficientNetB0"}
MIB = 1 << 20
_TABLE = re.compile(r"(<!-- table: (?P<name>\w+) -->\n).*?(<!-- end of (?P=name) -->)", re.DOTALL)
_WRITTEN = "<!-- Written by docs/generate_tables.py. -->\n"

Row = dict[str, str]


def table(heads: Sequence[str], rows: Iterable[Sequence[object]], left: int = 1) -> str:
    """Return a table in Markdown; the first columns are left-aligned, integers have their thousands
    separated.
    """
    lines = [list(heads), ["---"] * left + ["---:"] * (len(heads) - left)]
    lines += [[f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row] for row in rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


# --- networks


def networks() -> list[Row]:
    """Return the rows of the full-size networks, which benchmarks/accuracy/article_networks.py measured."""
    with NETWORKS.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def cell(network: str, keras: int, stage: str, method: str, column: str = "size") -> int:
    """Return a number of a full-size network. Raises `LookupError` where it was not measured."""
    for row in networks():
        if (row["network"], row["keras"], row["stage"], row["method"]) == (
            network,
            str(keras),
            stage,
            method,
        ) and row[column]:
            return int(row[column])
    raise LookupError(f"{network} in Keras {keras}, {stage} {method}: no {column}")


def measured(network: str, method: str) -> bool:
    """Return whether a network was pruned and saved so by Keras 3."""
    return any(
        (row["network"], row["keras"], row["stage"], row["method"], row["outcome"])
        == (network, "3", "pruned", method, "made")
        for row in networks()
    )


def share(part: int, whole: int) -> str:
    """Return a share in percent."""
    return f"{100 * part / whole:.0f} %"


def readme_networks() -> str:
    """Return original, pruned and shrunk sizes of a full-size network."""
    rows = []
    for network, name in NAMES.items():
        for label, method in (("`.h5`", "h5-no-optimizer"), ("`.keras`", "keras")):
            if not measured(network, method):
                continue
            before, after = cell(network, 3, "original", method), cell(network, 3, "pruned", method)
            small = cell(network, 3, "pruned", method, "shrunk")
            if trained := cell(network, 3, "pruned", method, "optimizer_state") > after // 2:
                small = cell(network, 3, "pruned", method, "shrunk_training")
            added = " with optimizer, `--drop training`" * trained
            rows.append((f"{name}, {label}{added}", before, after, small, share(small, after)))
    return table(("Keras 3", "original", "pruned", "after `shrink`", "of the pruned one"), rows)


def exports() -> str:
    """Return what Keras 3 exports, before and after shrink."""
    rows = []
    for network, name in NAMES.items():
        if not measured(network, "saved-model-export"):
            continue
        whole, small = (
            cell(network, 3, "original", "saved-model-export"),
            cell(network, 3, "original", "saved-model-export", "shrunk"),
        )
        weights = 4 * int(
            next(row["parameters"] for row in networks() if row["network"] == network and row["keras"] == "3")
        )
        rows.append((name, weights, whole, small, share(small, whole)))
    return table(("network", "weights", "`model.export`", "after `shrink`", "of before"), rows)


def gemma() -> str:
    """Return the types of Gemma3 1B at full size."""
    with (ROOT / "benchmarks" / "accuracy" / "story_gemma.csv").open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    stored: dict[tuple[str, str], int] = defaultdict(int)
    sizes = {row["file"]: int(row["size"]) for row in found}
    for row in found:
        stored[row["file"], row["layers"]] += int(row["stored"])
    rows = [
        (
            kind,
            *(
                text
                for file in ("float32", "int4")
                for text in (f"{stored[file, key] / MIB:,.1f}", share(stored[file, key], sizes[file]))
            ),
        )
        for kind, key in (
            ("embedding", "embedding"),
            ("dense layers, with their scales", "dense"),
            ("normalization", "norm"),
        )
    ]
    rows.append(("**file**", f"{sizes['float32'] / MIB:,.1f}", "", f"{sizes['int4'] / MIB:,.1f}", ""))
    return table(("MiB", "float32", "of it", "int4", "of it"), rows)


def accuracy() -> str:
    """Return how far the predictions of `plan` were off, from the table of docs/developer/predictions.md."""
    text = (
        (ROOT / "docs" / "developer" / "predictions.md")
        .read_text(encoding="utf-8")
        .partition("unseen_reality.py -->")[2]
    )
    row = next(line for line in text.splitlines() if line.startswith("| **all** |"))
    networks_, count, _, _, equal, _, worst = (part.strip() for part in row.strip("| ").split("|")[1:])
    return (
        f"Of {int(count):,} predictions for {networks_} networks that were drawn at random, {int(equal):,}"
        " are equal to the byte of TensorFlow 2.21's file, and the worst is off by"
        f" {worst.replace('%', ' %')}.\n"
    )


def tools() -> str:
    """Return what other tools, and modelinspect, report of one file each."""
    with (ROOT / "benchmarks" / "other_tools.csv").open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    rows: list[tuple[str, str, str]] = []
    for path in dict.fromkeys(row["file"] for row in found):
        report = mi.inspect(ROOT / path)
        own = "; ".join(
            f"{name} {size:,}"
            for name, size in sorted(report.to_dict()["categories"].items(), key=lambda entry: -entry[1])
            if size
        )
        findings = ", ".join(dict.fromkeys(finding.rule for finding in report.findings))
        rows.append(("**modelinspect**", f"`{path}`", f"{own}; findings: {findings}"))
        rows += [
            (f"{row['tool']} {row['version']}", "the same", row["reports"])
            for row in found
            if row["file"] == path
        ]
    return table(("tool", "file", "reports"), rows, left=3)


# --- questions


def faq() -> str:
    """Return the page of questions; every case of the bank belongs to exactly one.

    Raises `SystemExit` where one does not.
    """
    from tests.cases.bank import cases

    known = {case.number: case for case in cases()}
    asked: list[int] = []
    lines = [
        "# Questions and answers\n",
        _WRITTEN,
        (
            f"{len(known)} questions that people asked in public about the size of a model, by what they saw,"
            " and what modelinspect answers."
        ),
        "Each was rebuilt as a small model (`tests/cases`), and tests check the cause and its bytes.\n",
    ]
    for group in tomllib.loads((ROOT / "docs" / "faq.toml").read_text(encoding="utf-8"))["groups"]:
        lines.append(f"## {group['title']}\n")
        for question in group["questions"]:
            lines += [
                f"### {question['ask'].removesuffix('.')}\n",
                question["answer"] + "\n",
                f"```sh\n{question['command']}\n```\n",
            ]
            some = [known[number] for number in question.get("cases", ())]
            asked += [case.number for case in some]
            if some:
                lines.append(origin(some) + "\n")
    if sorted(asked) != sorted(known):
        raise SystemExit(
            "docs/faq.toml: each case belongs to one question; check"
            f" {sorted(set(known) ^ set(asked)) or 'for repetitions'}"
        )
    return "\n".join(lines)


def origin(some: Sequence[Any]) -> str:
    """Return where cases were asked, and what the rule or cause of each is."""
    rules = dict.fromkeys(case.cause or next(iter(case.findings)) for case in some)
    sources = dict.fromkeys(link(place) for case in some for place in sources_of(case.source))
    guessed = dict.fromkeys(
        link(place) for case in some if case.inferred for place in sources_of(case.source)
    )
    text = f"*Reported as* {', '.join(named(rule) for rule in rules)}. *Asked in* {', '.join(sources)}."
    return text + (
        f" No cause was settled in {', '.join(guessed)}; it fits the numbers there." if guessed else ""
    )


def sources_of(source: str) -> list[str]:
    """Return the threads of a case: one without its own place belongs to the place before it."""
    found: list[str] = []
    for part in source.split(", "):
        before = found[-1] if found else ""
        found.append(part if not re.fullmatch(r"#?\d+", part) else re.sub(r"#?\d+$", part, before))
    return found


def link(source: str) -> str:
    """Return a thread as a link. Raises `LookupError` for a site that is not known."""
    if match := re.fullmatch(r"([\w.-]+/[\w.-]+)#(\d+)", source):
        return f"[{source}](https://github.com/{match[1]}/issues/{match[2]})"
    if match := re.fullmatch(r"Stack Overflow (\d+)", source):
        return f"[{source}](https://stackoverflow.com/questions/{match[1]})"
    if match := re.fullmatch(r"discuss\.tensorflow\.org (\d+)", source):
        return f"[{source}](https://discuss.tensorflow.org/t/{match[1]})"
    raise LookupError(f"no address is known for {source}")


def named(rule: str) -> str:
    """Return a rule or cause as a link to its page."""
    if not (RULES / f"{rule}.md").is_file():
        raise LookupError(f"{rule} has no page")
    return f"[`{rule}`](../reference/rules/{rule}.md)"


# --- versions


def versions() -> str:
    """Return the page of versions: what the files of the repository were written by, and what the studies
    ran.
    """
    return "\n".join(
        [
            "# Versions\n",
            _WRITTEN,
            (
                "modelinspect reads bytes and needs no TensorFlow, so a model's version matters only where a"
                " format changed. The tables show"
            ),
            "which versions were tested, and how. A version that is not listed was not tested.\n",
            "## To run modelinspect\n",
            *("".join(part) for part in (required(),)),
            "## What wrote the files that tests read\n",
            (
                "Each file is in `fixtures/`, and tests check that every byte of it is attributed. The"
                " version is what the file itself says.\n"
            ),
            written(),
            (
                "Files of other writers, such as TensorFlow.js, safetensors and LiteRT-LM, do not name a"
                " version. [What each format's parser"
            ),
            "reads](../formats/README.md) is listed by format.\n",
            "## What was run to compare predictions and sizes\n",
            (
                "The same networks were pruned, saved and converted under each release in its own"
                " environment; every artifact was inspected."
            ),
            "Sizes by release: [the study](../article/study/releases.md).\n",
            releases(),
            (
                "The predictions of `plan` were compared with files of TensorFlow 2.21, Keras 3.15.1 and"
                " tf_keras 2.21, and for"
            ),
            "`--tensorflow` with files of 2.16 to 2.20"
            " ([how these differ](../developer/predictions.md#other-tensorflow-releases)).\n",
        ]
    )


def required() -> str:
    """Return what the package asks for, and the versions that its tests ran with."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pinned = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").split())
    pinned = {name.lower().replace("_", "-"): version for name, version in pinned.items()}
    rows = [
        (
            "Python",
            project["requires-python"].removeprefix(">="),
            f"3.11 (declared: {', '.join(pythons(project))})",
        )
    ]
    for extra, wanted in (
        ("", project["dependencies"]),
        (" (extra `prune`)", project["optional-dependencies"]["prune"]),
    ):
        for entry in wanted:
            name, _, least = entry.partition(">=")
            rows.append((name + extra, least, pinned.get(name.lower(), "-")))
    return table(("package", "at least", "tests run with"), rows, left=3)


def pythons(project: dict[str, Any]) -> list[str]:
    return [
        found[1]
        for text in project["classifiers"]
        if (found := re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", text))
    ]


def written() -> str:
    """Return the writers that fixtures name, by format, with the number of artifacts."""
    facts = {"keras_version": "Keras", "tensorflow_version": "TensorFlow", "producer": "GraphDef producer"}
    found: dict[tuple[str, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for name in sorted(entry["path"] for entry in entries()):
        try:
            report = mi.inspect(ROOT / "fixtures" / name, measure=False)
        except mi.ModelInspectError:
            continue
        for fact, label in facts.items():
            value = report.facts.get(fact)
            if (
                isinstance(value, str | int)
                and report.artifact.format != "checkpoint"
                and re.fullmatch(r"[\d.]+", str(value))
            ):
                found[report.artifact.format, label][str(value)] += 1
                break
    rows = []
    for (kind, label), counts in sorted(found.items()):
        known = sorted(counts, key=lambda version: [int(part) for part in version.split(".")])
        rows.append((f"`{kind}`", label, ", ".join(f"{version} ({counts[version]})" for version in known)))
    return table(("format", "writer", "versions (files)"), rows, left=3)


def entries() -> list[dict[str, Any]]:
    """Return what the manifest of the fixtures lists."""
    manifest = json.loads((ROOT / "fixtures" / "manifest.json").read_text(encoding="utf-8"))
    found: list[dict[str, Any]] = manifest["artifacts"]
    return found


def releases() -> str:
    """Return the releases of the study, and how many artifacts each made."""
    counts: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    with (ROOT / "docs" / "article" / "study" / "releases.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            counts[row["release"], row["tensorflow"]][row["outcome"] != "made"] += 1
    rows = [(release, exact, made, failed) for (release, exact), (made, failed) in sorted(counts.items())]
    return table(
        ("TensorFlow", "exactly", "artifacts made and inspected", "that this release cannot make"),
        rows,
        left=2,
    )


def shrink_efficientnet() -> str:
    """EfficientNetB0 before and after shrink, as benchmarks/accuracy/shrink_efficientnet.py found it."""
    with (ROOT / "benchmarks" / "accuracy" / "shrink_efficientnet.csv").open(
        encoding="utf-8", newline=""
    ) as file:
        rows = list(csv.DictReader(file))
    heads = ("file", "written by", "level", "equal in", "before", "after", "of before")
    heads += ("tensors equal", "dropped", "outputs equal")
    return table(
        heads,
        (
            (
                row["name"].removeprefix("EfficientNetB0 "),
                row["writer"],
                row["level"],
                row["loader"],
                int(row["before"]),
                int(row["after"]),
                f"{int(row['after']) / int(row['before']):.1%}".replace("%", " %"),
                int(row["tensors"]),
                int(row["dropped"]),
                int(row["outputs"]),
            )
            for row in rows
        ),
        left=4,
    )


TABLES: dict[str, Callable[[], str]] = {
    "shrink_efficientnet": shrink_efficientnet,
    "networks": readme_networks,
    "exports": exports,
    "gemma": gemma,
    "accuracy": accuracy,
    "tools": tools,
}
PAGES: dict[Path, Callable[[], str]] = {GUIDE / "faq.md": faq, GUIDE / "versions.md": versions}


def pages() -> dict[Path, str]:
    """Return every page that is written from data, as it should be."""
    found = {path: make() for path, make in PAGES.items()}
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        if path not in found and "<!-- table: " in (text := path.read_text(encoding="utf-8")):
            found[path] = _TABLE.sub(_filled, text)
    return found


def _filled(match: re.Match[str]) -> str:
    make = TABLES.get(match["name"])
    return match[0] if make is None else f"{match[1]}{make()}{match[3]}"


def main() -> int:
    """Write or check."""
    check = "--check" in sys.argv[1:]
    stale = {
        path: text
        for path, text in pages().items()
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    }
    for path, text in stale.items():
        name = path.relative_to(ROOT)
        if check:
            print(f"{name} is not what the data say; run: python docs/generate_tables.py")
        else:
            path.write_text(text, encoding="utf-8")
            print(f"rewrote {name}")
    return 1 if stale and check else 0


if __name__ == "__main__":
    sys.exit(main())
