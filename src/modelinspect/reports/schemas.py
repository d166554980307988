"""Make the JSON schemas of the reports."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import msgspec

REPORTS: dict[str, str] = {
    "check": "modelinspect.reports.check:CheckReport",
    "check-all": "modelinspect.reports.several:CheckAllReport",
    "content": "modelinspect.reports.content:ContentReport",
    "diff": "modelinspect.reports.diff:DiffReport",
    "embed": "modelinspect.reports.embed:EmbedReport",
    "explain": "modelinspect.reports.explain:ExplainReport",
    "inspect": "modelinspect.reports.inspect:InspectReport",
    "inspect-all": "modelinspect.reports.several:InspectAllReport",
    "lint": "modelinspect.reports.lint:LintReport",
    "lint-all": "modelinspect.reports.lint:LintAllReport",
    "map": "modelinspect.reports.map:MapDocument",
    "meaning": "modelinspect.reports.meaning:MeaningReport",
    "models": "modelinspect.reports.models:ModelsReport",
    "plan": "modelinspect.reports.plan:PlanReport",
    "prune": "modelinspect.reports.manifest:PruneReport",
    "pruning": "modelinspect.reports.pruned_kernels:KernelsReport",
    "rules": "modelinspect.reports.lint:RulesReport",
    "scan": "modelinspect.reports.scan:ScanReport",
    "scan-dataset": "modelinspect.reports.dataset:DatasetReport",
    "shrink": "modelinspect.reports.shrink:ShrinkReport",
    "shrink-all": "modelinspect.reports.shrink:ShrinkAllReport",
    "tensors": "modelinspect.reports.tensors:TensorsReport",
    "tensors-all": "modelinspect.reports.several:TensorsAllReport",
}
"""The type that each report's JSON has, by the name of its schema."""


def schema(name: str) -> dict[str, Any]:
    """Return the JSON schema (2020-12) of a report. Raises `KeyError`."""
    module, _, type_name = REPORTS[name].partition(":")
    report = getattr(import_module(module), type_name)
    tag: str = report.__struct_config__.tag
    made = msgspec.json.schema(report)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": tag, "title": tag, **made}
