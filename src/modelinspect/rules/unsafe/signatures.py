"""What bytes look like that are where nothing should."""

from __future__ import annotations

from modelinspect.core import signatures

_MAGIC = {
    signatures.ELF: "a Linux program",
    b"\xcf\xfa\xed\xfe": "a macOS program",
    b"\xca\xfe\xba\xbe": "a Java class or macOS program",
    signatures.ZIP: "a zip archive",
    signatures.GZIP_DEFLATE: "gzip",
    signatures.BZIP2: "bzip2",
    signatures.XZ: "xz",
    signatures.HDF5: "HDF5",
    b"#!/": "a script",
    signatures.PDF: "a PDF",
    b"<?php": "PHP",
    b"<script": "a script",
    b"\xe3\x00\x00\x00\x00": "marshalled Python code",
}
_WORDS = (
    b"import os",
    b"import subprocess",
    b"import socket",
    b"__import__(",
    b"exec(",
    b"eval(",
    b"os.system",
    b"/bin/sh",
    b"powershell",
)
_PROTOCOLS = tuple(bytes((0x80, version)) for version in (2, 3, 4, 5))


def looks_like(data: bytes) -> str:
    """Return what bytes look like; nothing where they look like nothing known."""
    for magic, name in _MAGIC.items():
        if data.startswith(magic):
            return name
    if data.startswith(signatures.WINDOWS) and b"PE\0\0" in data:
        return "a Windows program"
    if data.startswith(_PROTOCOLS) and (
        data[2:3] in (b"\x95", b"c", b"}", b"]", b"(", b"q") or b"." in data[-2:]
    ):
        return "a pickle"
    return "Python or shell code" if any(word in data for word in _WORDS) else ""
