"""Write docs/reference/rules/: what each rule and each cause means, from the code.

usage: python docs/generate_rules.py
"""

from __future__ import annotations

from pathlib import Path

from modelinspect.analyses.explain.meaning import meaning, names
from modelinspect.reports.meaning import Kind, Meaning

DOCS = Path(__file__).resolve().parent / "reference" / "rules"
_NOTE = "<!-- Written by docs/generate_rules.py; do not edit. -->"
_HEAD = f"""# Rules and causes

{_NOTE}

A *cause* is where a difference in size comes from: `explain` gives every byte of the difference exactly one cause. A *rule*
finds what explains a size without a difference, or what is wrong; `inspect`, `explain` and `lint` show its findings.
`modelinspect explain NAME` prints any of these pages.

| name | | |
| --- | --- | --- |
"""  # noqa: E501


def pages() -> dict[Path, str]:
    """Return every generated page with its text."""
    index, made = _HEAD, {}
    for name in names():
        found = meaning(name)
        entries = (
            []
            if found is None
            else [entry for entry in found.meanings if entry.kind in (Kind.RULE, Kind.CAUSE)]
        )
        if entries:
            made[DOCS / f"{name}.md"] = f"# {name}\n\n{_NOTE}\n" + "".join(map(_section, entries))
            kinds = " and ".join(
                f"{entry.kind}, {entry.severity}" if entry.severity else entry.kind for entry in entries
            )
            index += f"| [`{name}`]({name}.md) | {kinds} | {entries[0].meaning} |\n"
    return {DOCS / "README.md": index, **made}


def _section(found: Meaning) -> str:
    text = f"\n## As a {found.kind}{f' ({found.severity})' if found.severity else ''}\n\n{found.meaning}\n"
    if found.evidence:
        text += (
            f"\nIt looks at {' and '.join(found.evidence)}."
            + (f" It reports {found.least} or more." if found.least else "")
            + "\n"
        )
    if found.example:
        text += f"\nFor example:\n\n> {found.example}\n"
    if found.remedies.keys() == {""}:
        words, _, code = found.remedies[""].partition("\n")
        text += f"\nWhat to do: {words}{'' if words.endswith((':', '.')) else '.'}\n"
        text += f"\n```text\n{code}\n```\n" if code else ""
    elif found.remedies:
        text += f"\nWhat to do{', depending on the model' if len(found.remedies) > 1 else ''}:\n\n" + "".join(
            map(_remedy, found.remedies.items())
        )
    return text.rstrip() + "\n"


def _remedy(named: tuple[str, str]) -> str:
    name, (words, _, code) = named[0], named[1].partition("\n")
    lines = "".join(f"  {line}".rstrip() + "\n" for line in ("```", *code.split("\n"), "```"))
    return f"- `{name}`: {words}\n" + (f"\n{lines}\n" if code else "")


def main() -> None:
    """Write every page, and remove those of names that are gone."""
    made = pages()
    DOCS.mkdir(parents=True, exist_ok=True)
    for old in set(DOCS.glob("*.md")) - made.keys():
        old.unlink()
    for path, text in made.items():
        path.write_text(text, encoding="utf-8")
    print(f"{len(made)} pages")


if __name__ == "__main__":
    main()
