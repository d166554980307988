"""Read a whole LiteRT-LM file: head, sections, and the padding between them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from modelinspect.core.artifact import Severity
from modelinspect.core.bytemap import RegionKind
from modelinspect.core.facts import Fact, add_facts
from modelinspect.core.span import Span
from modelinspect.errors import Code
from modelinspect.formats.archives.nested import Packed
from modelinspect.formats.base import Site
from modelinspect.formats.litertlm.header import BLOCK, Header, Section, read_header
from modelinspect.formats.litertlm.schema import SectionType
from modelinspect.formats.litertlm.sections import Placed, SectionReader
from modelinspect.formats.safetensors.file import count_parameters
from modelinspect.formats.tflite.facts import join_models


def read_file(site: Site) -> None:
    """Claim every byte of the file and add the tensors of its models.

    Raises `FormatError` where the header cannot be read.
    """
    header = read_header(site)
    placed = _place(site, header)
    reader = SectionReader(site, placed)
    reader.run()
    _claim_padding(site, header, placed)
    facts = site.parsing.facts
    facts["litertlm_version"] = ".".join(str(part) for part in header.version)
    facts["system_metadata"] = dict(header.system)
    facts["sections"] = tuple(
        _section_facts(section, reader.facts.get(section.index, {})) for section in header.sections
    )
    if reader.models:
        facts["models"] = dict(reader.models)
        add_facts(
            facts,
            join_models({name: told for name, told in reader.models.items() if isinstance(told, Mapping)}),
        )
    facts["parameters"] = count_parameters(site.parsing)
    dead = sum(one.section.size for one in placed if one.section.kind is SectionType.DEPRECATED)
    if dead:
        facts["deprecated_bytes"] = dead


def _place(site: Site, header: Header) -> list[Placed]:
    """Return the sections that have their bytes to themselves, by offset; others are reported, and their
    bytes left to the first.
    """
    taken = header.end
    names: Counter[str] = Counter()
    placed: list[Placed] = []
    for section in sorted(header.sections, key=lambda section: (section.begin, section.index)):
        problem = _problem(section, taken, site.source.size)
        if problem is not None:
            text, code = problem
            severity = Severity.ERROR if code is Code.TRUNCATED else Severity.WARNING
            site.diagnose(
                f"section {section.index} ({section.type_name}) {text}",
                min(section.begin, site.source.size),
                severity,
                code,
            )
            continue
        taken = section.end
        if section.begin % BLOCK:
            site.diagnose(
                f"section {section.index} ({section.type_name}) does not begin at a multiple of {BLOCK:,}",
                section.begin,
            )
        name = _name(section)
        names[name] += 1
        name += f" {names[name]}" if names[name] > 1 else ""
        path = site.claims.path(name)
        placed.append(
            Placed(section, name, path, Packed(site, name, Span(section.begin, section.size), None, path))
        )
    return placed


def _problem(section: Section, taken: int, size: int) -> tuple[str, Code] | None:
    if section.end < section.begin:
        return f"ends at byte {section.end:,}, before its begin", Code.MALFORMED
    if section.end > size:
        return f"ends at byte {section.end:,} but the file has {size:,}", Code.TRUNCATED
    if section.begin < taken:
        return (
            (
                f"begins at byte {section.begin:,}, {taken - section.begin:,} bytes before what is stored"
                " before it ends"
            ),
            Code.COLLISION,
        )
    return None


def _name(section: Section) -> str:
    """Return what a section is called in paths and names: its model where it is one, else its type."""
    if section.kind is SectionType.TFLITE_MODEL:
        return section.model or "model"
    return f"{section.type_name} {section.model}".rstrip()


def _claim_padding(site: Site, header: Header, placed: list[Placed]) -> None:
    """Label what lies between sections: zeros up to the next block are padding; anything else is reported."""
    whole = header.complete and len(placed) == len(header.sections)
    for gap in _gaps(header.end, placed, site.source.size):
        if gap.size < BLOCK and not any(site.source.read_at(gap.offset, gap.size)):
            site.claims.claim(gap.offset, gap.size, RegionKind.FREE, site.claims.path("padding"))
        elif whole:
            name = "trailing bytes" if gap.end == site.source.size else "between sections"
            site.diagnose(f"{gap.size:,} bytes belong to no section", gap.offset, code=Code.TRAILING)
            site.claims.claim(gap.offset, gap.size, RegionKind.FREE, site.claims.path(name))
        else:
            site.diagnose(
                f"{gap.size:,} bytes belong to no section that could be read", gap.offset, Severity.NOTE
            )


def _gaps(begin: int, placed: list[Placed], size: int) -> Iterator[Span]:
    for one in placed:
        if one.section.begin > begin:
            yield Span(begin, one.section.begin - begin)
        begin = max(begin, one.section.end)
    if size > begin:
        yield Span(begin, size - begin)


def _section_facts(section: Section, more: Mapping[str, Fact]) -> dict[str, Fact]:
    items = {key: value for key, value in section.items.items() if key != "model_type"}
    section_facts: dict[str, Fact] = {
        "type": section.type_name,
        "model": section.model,
        "offset": section.begin,
        "size": section.size,
    }
    return section_facts | ({"items": items} if items else {}) | dict(more)
