"""Name the bytes by which files are recognized: each exists here once, and everything else imports it."""

from __future__ import annotations

HDF5 = b"\x89HDF\r\n\x1a\n"
"""The format signature of a superblock (HDF5 File Format Specification, II.A)."""
ZIP = b"PK\x03\x04"
"""A local file header (PKWARE APPNOTE 4.3.7), which most archives begin with."""
ZIP_ENTRY = b"PK\x01\x02"
"""A header of the central directory (4.3.12)."""
ZIP_END = b"PK\x05\x06"
"""The end of the central directory (4.3.16), with which an empty archive begins."""
GZIP = b"\x1f\x8b"
"""ID1 and ID2 of a gzip member (RFC 1952, 2.3.1)."""
GZIP_DEFLATE = GZIP + b"\x08"
"""The same with the only method that is in use."""
ZSTD = b"\x28\xb5\x2f\xfd"
"""A frame of Zstandard (RFC 8878, 3.1.1)."""
BZIP2 = b"BZh"
XZ = b"\xfd7zXZ\x00"
TAR = b"ustar"
"""The magic of a POSIX tar header, at `TAR_OFFSET`."""
TAR_OFFSET = 257
TFLITE = b"TFL3"
"""The file identifier of schema.fbs, at `TFLITE_OFFSET`."""
TFLITE_OFFSET = 4
LITERTLM = b"LITERTLM"
MLIR = b"ML\xefR"
"""The beginning of MLIR byte code."""
NUMPY = b"\x93NUMPY"
ELF = b"\x7fELF"
PDF = b"%PDF-"
WINDOWS = b"MZ"
KERAS_HUB = (b'"keras_hub_version"', b'"keras_nlp_version"')
"""Keys of a preset's metadata that a ``.keras`` archive does not have."""
KERAS_CONFIG = b'"class_name"'
"""A key of every Keras configuration."""
