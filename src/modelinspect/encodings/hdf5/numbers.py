"""Numbers and names as the bytes of HDF5 structures hold them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def numbers(columns: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Return the little-endian numbers that are in the rows of a table of bytes."""
    import numpy as np

    padded = np.zeros((len(columns), 8), dtype=np.uint8)
    padded[:, : columns.shape[1]] = columns
    return padded.view("<u8")[:, 0]


def text(data: bytes) -> str:
    """Decode a name; bytes that are not UTF-8 become backslash escapes."""
    return data.decode("utf-8", "backslashreplace")
