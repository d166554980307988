"""Finds HDF5 virtual data sets."""

from __future__ import annotations

from modelinspect.core.artifact import DocumentKind, Severity
from modelinspect.rules.unsafe.base import UnsafeRule
from modelinspect.rules.unsafe.references import references

RULE = UnsafeRule(
    "virtual-dataset",
    Severity.WARNING,
    "A virtual data set is put together of others, which may be in other files.",
    references(
        DocumentKind.VIRTUAL_DATASET, "a virtual data set takes its elements from others: {}", "save the model again with data of its own"
    ),
    remedy="save the model again with data of its own",
    example="a virtual data set takes its elements from others: /virtual",
)
