"""Finds layers that read a file or an address when the model is loaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from modelinspect.core.artifact import Severity
from modelinspect.rules.unsafe.base import Located, Subject, UnsafeRule

_KEYS = {
    "StringLookup": "vocabulary",
    "IntegerLookup": "vocabulary",
    "IndexLookup": "vocabulary",
    "TextVectorization": "vocabulary",
    "TFSMLayer": "filepath",
    "TorchModuleWrapper": "module",
}


def _find(subject: Subject) -> Iterator[Located]:
    for config in subject.configs:
        for item in config.objects():
            class_name, settings = item.get("class_name"), item.get("config")
            if not isinstance(class_name, str) or not isinstance(settings, Mapping):
                continue
            kind = class_name.rpartition(">")[2]
            value = settings.get(_KEYS.get(kind, ""))
            if isinstance(value, str) and value:
                message = f"{kind} layer {settings.get('name')!r} reads {value} when the model is loaded"
                yield Located(message, len(value), "keep what it reads in the model, and load only what you know", config.find(value))


RULE = UnsafeRule(
    "config-file",
    Severity.WARNING,
    "Loading a model that names files or addresses reads them (CVE-2025-12058).",
    _find,
    remedy="keep what it reads in the model, and load only what you know",
    example="StringLookup layer 'words' reads https://example.com/words.txt when the model is loaded",
)
