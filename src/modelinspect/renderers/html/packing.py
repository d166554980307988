"""Pack long columns for a page: compressed, in characters that no markup can be made of."""

from __future__ import annotations

import base64
import gzip
import json
import re
from typing import Any

_LEVEL = 6
_IN_SCRIPT = re.compile("[<>&\u2028\u2029]")
_EXACT_IN_SCRIPTS = 2**53


def packed(data: bytes, level: int = _LEVEL) -> str:
    """Return bytes compressed by gzip, in base64; the same bytes give the same text."""
    return base64.b64encode(gzip.compress(data, level, mtime=0)).decode("ascii")


def packed_json(value: Any) -> str:
    """Return a value as JSON, packed."""
    return packed(as_json(value).encode())


def as_json(value: Any) -> str:
    """Return a value as JSON in ASCII that can be in a script element: it holds no character that markup
    begins with.
    """
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return _IN_SCRIPT.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def number(value: int | float) -> int | float | str:
    """Return a number that a script reads exactly: a larger one as text."""
    return f"{value:,}" if isinstance(value, int) and abs(value) > _EXACT_IN_SCRIPTS else value
