"""Finds HDF5 links that lead to other files."""

from __future__ import annotations

from modelinspect.core.artifact import DocumentKind, Severity
from modelinspect.rules.unsafe.base import UnsafeRule
from modelinspect.rules.unsafe.references import references

RULE = UnsafeRule(
    "external-link",
    Severity.ERROR,
    "A link to another file has readers open that file, wherever it is.",
    references(DocumentKind.EXTERNAL_LINK, "an external link leads to another file: {}", "save the model again, whole, in one file"),
    remedy="save the model again, whole, in one file",
    example="an external link leads to another file: /there -> ../secret.h5:/weights",
)
