"""Walk HDF5 files byte by byte, from the file format specification."""

from __future__ import annotations

from modelinspect.encodings.hdf5.model import Hdf5File, Hdf5Policy
from modelinspect.encodings.walk import Walk


def walk_hdf5(walk: Walk, policy: Hdf5Policy) -> Hdf5File:
    """Claim every byte of an HDF5 file and return what was found.

    Raises `FormatError` where there is no superblock; other trouble is reported, and the bytes that it hides
    stay unattributed.
    """
    from modelinspect.encodings.hdf5.walker import walk_file

    return walk_file(walk, policy)
