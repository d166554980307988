"""Finds HDF5 data sets whose data are in other files."""

from __future__ import annotations

from modelinspect.core.artifact import DocumentKind, Severity
from modelinspect.rules.unsafe.base import UnsafeRule
from modelinspect.rules.unsafe.references import references

RULE = UnsafeRule(
    "external-storage",
    Severity.ERROR,
    "Data in another file have readers take that file's bytes for weights, secrets too.",
    references(DocumentKind.EXTERNAL_STORAGE, "a data set has its data in another file: {}", "save the model again, whole, in one file"),
    remedy="save the model again, whole, in one file",
    example="a data set has its data in another file: /passwords -> /etc/passwd",
)
