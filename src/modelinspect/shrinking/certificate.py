"""The certificate of a shrink: what was read, what was written, by which steps, and what was compared."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from modelinspect.core.artifact import Artifact
from modelinspect.core.limits import MIB
from modelinspect.shrinking.proof import Proof
from modelinspect.shrinking.steps import Step
from modelinspect.sources.files import FileSet
from modelinspect.version import VERSION


@dataclass(frozen=True, slots=True)
class FileRecord:
    """A file: its name in the artifact, its size, and the SHA-256 of its bytes."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Record:
    """One side of a shrink: a location, its format, and its files."""

    location: str
    format: str
    files: tuple[FileRecord, ...]

    @property
    def size(self) -> int:
        """The bytes of all files."""
        return sum(file.size for file in self.files)


def record_files(artifact: Artifact, files: FileSet) -> Record:
    """Read an artifact's files once and return their sizes and hashes. Raises `ModelInspectError`."""
    found = []
    for member in artifact.members:
        source = files.open(member.name)
        digest = hashlib.sha256()
        for offset in range(0, source.size, MIB):
            digest.update(source.read_at(offset, min(MIB, source.size - offset)))
        found.append(FileRecord(member.name, source.size, digest.hexdigest()))
    return Record(artifact.location, str(artifact.format), tuple(found))


def certificate(before: Record, after: Record, steps: tuple[Step, ...], proof: Proof) -> str:
    """Return the SHA-256 over all that a shrink states, but for where the files are: the same for the same
    input and version.
    """
    stated: Mapping[str, Any] = {
        "modelinspect": VERSION,
        "before": [asdict(file) for file in before.files],
        "after": [asdict(file) for file in after.files],
        "steps": [[str(step.name), step.level, step.saved] for step in steps],
        "proof": {**asdict(proof), "witnesses": dict(sorted(proof.witnesses.items()))},
    }
    return hashlib.sha256(json.dumps(stated, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
