"""Finds links, devices and pipes in archives."""

from __future__ import annotations

from modelinspect.core.artifact import Severity
from modelinspect.rules.unsafe.base import UnsafeRule
from modelinspect.rules.unsafe.troubles import troubles

RULE = UnsafeRule(
    "archive-link",
    Severity.WARNING,
    "A link in an archive can lead out of its folder, and what is unpacked after it goes there.",
    troubles(r"which is not followed", "unpack it with a filter (tarfile: filter='data'); pack files alone"),
    remedy="unpack it with a filter (tarfile: filter='data'); pack files alone",
    example="member link is a symbolic link, which is not followed",
)
