"""Turn exceptions of TensorFlow into one line, and distinguish a full disk from other trouble."""

from __future__ import annotations

import errno
import re

LONGEST = 240
_PLACE = re.compile(r"^(?:\S+:\d+:\d+: )+(?:error: )?|^<[^>]*>:\d+:\d+: error: ")
_EXPLAINED = {
    "_M_range_check": "the TFLite converter failed with an internal error",
    "name already exists": (
        "tfmot gives every mask of a layer the same name, and HDF5 has one place for a name"
    ),
}
FULL = (errno.ENOSPC, errno.EDQUOT)
FULL_WORDS = (
    "No space left on device",
    f"errno = {errno.ENOSPC}",
    "Disk quota exceeded",
    "disk is full",
    "filesystem full",
)


def reason_of(problem: BaseException) -> str:
    """Return what an exception says in one line."""
    lines = [line.strip() for line in str(problem).splitlines() if line.strip()]
    text = (
        next((line for line in lines if not line.startswith(("Traceback", "File ", "Error occurred"))), "")
        or type(problem).__name__
    )
    text = _PLACE.sub("", " ".join(text.split()))
    text = next((f"{why} ({text})" for words, why in _EXPLAINED.items() if words in text), text)
    if len(text) > LONGEST:
        text = text[: LONGEST - 1] + "…"
    return (
        text
        if isinstance(problem, (ValueError, RuntimeError, OSError))
        else f"{type(problem).__name__}: {text}"
    )


def is_full_disk(problem: BaseException) -> bool:
    """Return whether an exception, or one that led to it, means a full disk."""
    seen: set[int] = set()
    at: BaseException | None = problem
    while at is not None and id(at) not in seen:
        seen.add(id(at))
        if (isinstance(at, OSError) and at.errno in FULL) or any(word in str(at) for word in FULL_WORDS):
            return True
        at = at.__cause__ or at.__context__
    return False
