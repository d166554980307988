"""Parse safetensors: a file, or shards and the index that lists them."""

from __future__ import annotations

from modelinspect.core.artifact import FormatName
from modelinspect.core.bytemap import RegionKind
from modelinspect.core.names import CONFIG_JSON
from modelinspect.errors import FormatError
from modelinspect.formats.base import About, Parsing
from modelinspect.formats.safetensors.file import count_parameters, read_safetensors
from modelinspect.formats.safetensors.header import LENGTH, header_size
from modelinspect.formats.safetensors.index import SUFFIX, read_index

FILE_SUFFIX = ".safetensors"
"""A folder with it is a whole model: a preset."""


class SafetensorsFormat:
    """The safetensors format: one file, an index with its shards, or a folder of them."""

    name = FormatName.SAFETENSORS
    about = About(
        title="Safetensors",
        names=(FormatName.SAFETENSORS,),
        files=("`*.safetensors`", "`*.safetensors.index.json`", "a folder of them"),
        page="safetensors.md",
        limitations=(
            "GPTQ and AWQ weights are counted as the `int32` elements that the header names.",
            "Elements of 6 bits are not measured.",
        ),
    )

    def detect(self, parsing: Parsing) -> bool:
        """Return whether the primary file begins with a header or is an index, or the folder holds such
        files.
        """
        if parsing.primary is None:
            names = parsing.names()
            return CONFIG_JSON not in names and bool(_top_level(names))
        return parsing.primary.endswith(SUFFIX) or is_safetensors(parsing, parsing.primary)

    def parse(self, parsing: Parsing) -> FormatName:
        """Map the file, or the index and its shards; of a folder, every file."""
        name = parsing.primary
        if name is None:
            self._parse_folder(parsing)
        elif name.endswith(SUFFIX):
            read_index(parsing, parsing.open(name), name, (name, *parsing.neighbours()))
        else:
            read_safetensors(parsing.open(name))
        parsing.facts["parameters"] = count_parameters(parsing)
        return self.name

    def _parse_folder(self, parsing: Parsing) -> None:
        names = parsing.names()
        read: set[str] = set()
        for name in _top_level(names):
            if name.endswith(SUFFIX):
                read.update((name, *read_index(parsing, parsing.open(name), name, names)))
        for name in _top_level(names):
            if name not in read and name.endswith(FILE_SUFFIX):
                read.add(name)
                site = parsing.open(name)
                try:
                    read_safetensors(site)
                except FormatError as error:
                    site.survive(error)
        for name in names:
            if name not in read:
                site = parsing.open(name)
                site.claims.claim(0, site.source.size, RegionKind.ASSET, site.claims.path(name))


FORMAT = SafetensorsFormat()


def is_safetensors(parsing: Parsing, name: str) -> bool:
    """Return whether a file begins as safetensors do: a length, and a JSON object of that length that fits
    the file.
    """
    source = parsing.files.open(name)
    size = header_size(source.read_at(0, min(LENGTH + 1, source.size)))
    return size is not None and (LENGTH + size <= source.size or name.endswith(FILE_SUFFIX))


def _top_level(names: tuple[str, ...]) -> list[str]:
    return [name for name in names if "/" not in name and name.endswith((FILE_SUFFIX, SUFFIX))]
