"""Turn the datasets of an HDF5 file into tensors, whatever format the file is of."""

from __future__ import annotations

from modelinspect.encodings.hdf5 import walk_hdf5
from modelinspect.encodings.hdf5.model import Hdf5File
from modelinspect.formats.base import Site
from modelinspect.formats.hdf5.documents import keep_documents
from modelinspect.formats.hdf5.naming import Naming
from modelinspect.formats.hdf5.policy import TensorPolicy


def read_hdf5(site: Site, naming: Naming) -> Hdf5File:
    """Claim every byte of the site's HDF5 file and add its datasets as tensors, described by ``naming``.

    The site may be a member, a window of one (a stored zip member) or a decoded stream. Raises `FormatError`
    where there is not a superblock; other trouble is diagnosed.
    """
    file = walk_hdf5(site.walk, TensorPolicy(site, naming))
    keep_documents(site, file)
    return file
