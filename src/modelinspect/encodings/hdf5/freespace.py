"""Read free-space managers (specification, section III.H)."""

from __future__ import annotations

from modelinspect.core.paths import PathId
from modelinspect.encodings.hdf5.state import State


def claim_free_space(state: State, address: int, path: PathId) -> int:
    """Claim a free-space manager's header and section list, and return their size. Raises `FormatError`."""
    size = 18 + state.offset_size + 7 * state.length_size
    cursor = state.cursor(address, size, "free-space manager header")
    cursor.expect(b"FSHD")
    version = cursor.u8()
    if version != 0:
        raise state.unsupported(f"free-space manager version {version} is not read here", cursor.base)
    cursor.skip(1 + 4 * state.length_size + 8 + state.length_size)
    sections, used, allocated = state.address(cursor), state.length(cursor), state.length(cursor)
    state.verify(cursor.data, "free-space manager header", cursor.base)
    state.container(address, size, size, path)
    if sections == state.undefined:
        return size
    allocated = max(allocated, used)
    state.locate(sections, allocated, "free-space section list")
    data = state.cursor(sections, used, "free-space section list")
    data.expect(b"FSSE")
    state.verify(data.data, "free-space section list", data.base)
    state.container(sections, used, allocated, state.paths.child(path, "section list"))
    return size + allocated
