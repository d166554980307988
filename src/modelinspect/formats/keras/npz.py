"""Turn the arrays of a NumPy ``.npz`` (a zip of ``.npy`` members) into tensors.

Specification: numpy.lib.format, "Format Version 1.0" to "3.0".
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from modelinspect.core import signatures
from modelinspect.core.bytemap import RegionKind
from modelinspect.core.dtypes import PICKLED
from modelinspect.core.limits import KIB
from modelinspect.core.span import Span
from modelinspect.core.tensors import DTYPES, ByteOrder, DType, Role, Storage, Tensor, dense_size, opaque
from modelinspect.encodings.cursor import Cursor
from modelinspect.encodings.zip import walk_zip
from modelinspect.errors import FormatError
from modelinspect.formats.archives.nested import claim_rest, fill_outside, packed_zip
from modelinspect.formats.base import Site
from modelinspect.formats.keras.store import layer_of

_HEADER_LIMIT = 64 * KIB
_KINDS = {"f": "float", "i": "int", "u": "uint", "c": "complex", "b": "bool"}
_DESCR = re.compile(r"'descr': '([<>|=])([a-zA-Z])(\d*)'")
_OBJECTS = re.compile(r"'[|<>=]?O\d*'")
_SHAPE = re.compile(r"'shape': \(([\d, ]*)\)")


def read_npz(site: Site, names: Mapping[str, str]) -> None:
    """Claim the bytes of the site's archive and add its arrays as tensors.

    Raises `FormatError` where it is not a zip.

    ``names`` are what people called the owners of the arrays, by their paths in the archive; others keep
    their path.
    """
    directory = walk_zip(site.walk)
    fill_outside(site, directory, "before the archive", "trailing bytes")
    files = packed_zip(site, directory)
    for name, packed in files.items():
        if name.endswith(".npy") and not packed.problem:
            try:
                path = name.removesuffix(".npy")
                _read_npy(packed.site(), path, names.get(path))
            except FormatError as error:
                site.survive(error)
    claim_rest(site, directory, files)


def _read_npy(site: Site, path: str, given: str | None) -> None:
    head = site.source.read_at(0, min(_HEADER_LIMIT, site.source.size))
    cursor = Cursor(head, site.source.name, 0, "npy header")
    cursor.expect(signatures.NUMPY)
    major = cursor.u8()
    cursor.skip(1)
    text = cursor.take(cursor.u16() if major == 1 else cursor.u32()).decode("latin-1")
    begin, size = cursor.index, site.source.size - cursor.index
    site.claims.claim(0, begin, RegionKind.CONTAINER, site.claims.path("header"))
    dtype, order = _dtype(text)
    shape = _shape(text)
    role = Role.OPTIMIZER if path.startswith(("optimizer", "_optimizer")) else Role.WEIGHT
    name = given or path
    layer = None if path == "__root__" else (given if role is Role.WEIGHT else None) or layer_of(path)
    if dtype is None or dense_size(dtype, shape) != size:
        is_pickle = _OBJECTS.search(text) is not None
        what = (
            "pickled Python objects, which are never loaded"
            if is_pickle
            else "not as long as its header states"
        )
        tensor = Tensor(
            name,
            opaque(PICKLED if is_pickle else "bytes", 0),
            shape,
            role,
            Storage.INLINE,
            (site.extent(begin, size),),
            size,
            layer,
            path=path,
            payload_note=f"its bytes are {what}",
        )
    else:
        payload = site.raw((Span(begin, size),), order)
        tensor = Tensor(
            name,
            dtype,
            shape,
            role,
            Storage.DENSE,
            (site.extent(begin, size),),
            size,
            layer,
            path=path,
            payload=payload,
        )
    added = site.parsing.add_tensor(tensor)
    site.claims.claim(begin, size, RegionKind.TENSOR_DATA, site.claims.path("data"), added)


def _dtype(text: str) -> tuple[DType | None, ByteOrder]:
    match = _DESCR.search(text)
    if match is None or match.group(2) not in _KINDS:
        return None, ByteOrder.LITTLE
    kind, width = _KINDS[match.group(2)], match.group(3)
    name = kind if kind == "bool" else f"{kind}{int(width or 0) * 8}"
    return DTYPES.get(name), ByteOrder.BIG if match.group(1) == ">" else ByteOrder.LITTLE


def _shape(text: str) -> tuple[int, ...]:
    match = _SHAPE.search(text)
    return (
        tuple(int(part) for part in match.group(1).split(",") if part.strip() and len(part) < 20)
        if match
        else ()
    )
