"""Read an index of sharded safetensors: which shard holds which tensor.

Layout: what huggingface_hub's ``save_torch_state_dict`` writes as ``model.safetensors.index.json``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from posixpath import dirname, join

import msgspec

from modelinspect.core.artifact import DocumentKind, Severity
from modelinspect.core.bytemap import RegionKind
from modelinspect.encodings.json_keys import top_level_entries
from modelinspect.errors import FormatError
from modelinspect.formats.base import Parsing, Site
from modelinspect.formats.safetensors.file import read_safetensors
from modelinspect.formats.safetensors.header import Header

SUFFIX = ".safetensors.index.json"
_SHOWN = 5


def read_index(parsing: Parsing, site: Site, name: str, available: Iterable[str]) -> tuple[str, ...]:
    """Claim an index and the shards that it names, and check that each tensor is in its shard.

    ``available`` are the files that may be opened; returns the shards that were.
    """
    site.document(DocumentKind.SHARD_MAP)
    total, weight_map = _claim(site)
    if not weight_map:
        site.diagnose("the index assigns no tensor to a shard", 0)
    present = set(available)
    headers: dict[str, Header] = {}
    for shard in sorted(set(weight_map.values())):
        place = join(dirname(name), shard)
        if place not in present:
            site.diagnose(f"shard {shard!r} is missing", None, Severity.ERROR)
            continue
        try:
            headers[shard] = read_safetensors(parsing.open(place))
        except FormatError as error:
            parsing.open(place).survive(error)
    _check(site, weight_map, headers)
    stored = sum(tensor.span.size for header in headers.values() for tensor in header.tensors)
    if total is not None and total != stored and len(headers) == len(set(weight_map.values())):
        site.diagnose(
            f"the index gives a total size of {total:,} bytes but the shards hold {stored:,} bytes of"
            " tensors",
            None,
            Severity.NOTE,
        )
    parsing.facts["shards"] = len(set(weight_map.values()))
    return tuple(join(dirname(name), shard) for shard in headers)


def _claim(site: Site) -> tuple[int | None, dict[str, str]]:
    """Claim the index entry by entry; return its total size, if it has one, and its map from tensors to
    shards.
    """
    source = site.source
    site.limits.allow("the index", source.size, site.limits.structure_size, source.name)
    text = source.read_at(0, source.size)
    try:
        read = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        site.diagnose(f"the index is not a JSON object: {error}", 0)
        return None, {}
    site.claims.fill(0, source.size, RegionKind.CONTAINER, site.claims.path("JSON"))
    for entry in top_level_entries(text):
        site.claims.claim(
            entry.span.offset, entry.span.size, RegionKind.METADATA, site.claims.path(entry.key)
        )
    try:
        weight_map = msgspec.json.decode(read.get("weight_map", b"{}"), type=dict[str, str])
    except (msgspec.DecodeError, ValueError, RecursionError):
        site.diagnose("weight_map is not an object of strings", 0)
        weight_map = {}
    return _total_size(read.get("metadata")), weight_map


def _total_size(metadata: msgspec.Raw | None) -> int | None:
    try:
        value = msgspec.json.decode(metadata) if metadata is not None else None
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    total = value.get("total_size") if isinstance(value, Mapping) else None
    return int(total) if isinstance(total, int | float) and 0 <= total < 1 << 63 else None


def _check(site: Site, weight_map: Mapping[str, str], headers: Mapping[str, Header]) -> None:
    """Report tensors that the index looks for in a shard that does not hold them, and tensors that it does
    not list.
    """
    names = {shard: {tensor.name for tensor in header.tensors} for shard, header in headers.items()}
    for shard, held in sorted(names.items()):
        lost = sorted(name for name, place in weight_map.items() if place == shard and name not in held)
        if lost:
            site.diagnose(
                f"shard {shard!r} does not hold {_listed(lost)}, which the index looks for in it",
                None,
                Severity.ERROR,
            )
        extra = sorted(name for name in held if weight_map.get(name) != shard)
        if extra:
            site.diagnose(f"shard {shard!r} holds {_listed(extra)}, which the index does not look for in it")


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    return f"{len(names):,} tensors ({shown}, …)" if len(names) > _SHOWN else shown
