"""Convert a model with TensorFlow's own converter, in a process that is limited in time and memory, and
measure the files.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from modelinspect.analyses.lint import lint_artifact
from modelinspect.conversion.releases import NEWEST, Release, measured_release, release_of
from modelinspect.core.artifact import FormatName, Severity
from modelinspect.errors import MissingExtraError, UsageError
from modelinspect.networks.subject import Subject
from modelinspect.pruning.engines import Engine
from modelinspect.pruning.process import ENVIRONMENT, check_extra
from modelinspect.reports.plan import OptionEntry, PlanReport
from modelinspect.rules.registry import unsafe_rules

SECONDS, MEMORY = 600, 8 << 30
"""How long TensorFlow may take, and how much memory it may allocate, in bytes."""
COMMAND = (sys.executable, "-m", "modelinspect.pruning.worker.convert")
_FORMATS = (FormatName.KERAS_HDF5, FormatName.KERAS_ZIP, FormatName.SAVED_MODEL)
_PREFIX = "tflite-"
_FORMS = {"tflite-sparse": "float32-sparse"}
_CALIBRATED = ("int8", "int16x8")


class ConversionJob(msgspec.Struct, frozen=True, kw_only=True):
    """What to convert: a file or folder, the library that loads it, the forms to make, where, and the memory
    to stay below.
    """

    path: str
    library: str
    forms: tuple[str, ...]
    folder: str
    fixes_batch: bool
    memory: int


class MadeEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A form that was made, or the reason why the converter refused it, and the version of TensorFlow."""

    form: str
    size: int | None = None
    reason: str = ""
    tensorflow: str = ""


def installed_release(wanted: str = "") -> Release:
    """Return the release that is installed, whose files are predicted beside those that it writes; the newest
    that was measured, where it is another.

    Raises `UsageError` where another release is ``wanted``.
    """
    version = _installed_version()
    if wanted and version and release_of(wanted) is not measured_release(version):
        raise UsageError(
            f"--convert runs the TensorFlow that is installed, {version}, and --tensorflow asks for {wanted}"
        )
    return measured_release(version) or (release_of(wanted) if wanted else NEWEST)


def _installed_version() -> str:
    """Return the version of TensorFlow that is installed, if any."""
    for name in ("tensorflow", "tensorflow-cpu", "tensorflow-intel", "tensorflow-macos"):
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return ""


def measure_forms(
    report: PlanReport,
    subject: Subject,
    path: Path,
    *,
    seconds: int = SECONDS,
    memory: int = MEMORY,
    command: Sequence[str] = COMMAND,
) -> PlanReport:
    """Return the plan with the sizes of the files that TensorFlow made, each beside its prediction.

    Raises `UsageError` for what TensorFlow cannot load or should not: a model with a finding about unsafe
    content is not loaded. Raises `MissingExtraError` where TensorFlow is not installed.
    """
    artifact = subject.artifact
    if artifact.format not in _FORMATS or not path.exists():
        raise UsageError("--convert needs a Keras model or a SavedModel on this machine")
    _require_safe(subject)
    library = _library(subject)
    if command is COMMAND:
        check_extra(Engine.KERAS if library != "tf_keras" else Engine.TFMOT)
    options = [entry for entry in report.options if entry.option.startswith(_PREFIX)]
    fixes_batch = any("clone_model" in entry.command for entry in options)
    names = {entry.option: _form(entry.option) for entry in options} or {f"{_PREFIX}float32": "float32"}
    with TemporaryDirectory(prefix="modelinspect-") as folder:
        job = ConversionJob(
            path=str(path),
            library=library,
            forms=tuple(names.values()),
            folder=folder,
            fixes_batch=fixes_batch,
            memory=memory,
        )
        made, trouble = _run(job, command, seconds)
    return _merged(report, {option: made[form] for option, form in names.items() if form in made}, trouble)


def _form(option: str) -> str:
    return _FORMS.get(option, option.removeprefix(_PREFIX))


def _require_safe(subject: Subject) -> None:
    """Refuse a model about which a rule has found that loading it may do more than load it."""
    findings = lint_artifact(subject, unsafe_rules()).findings
    serious = [finding for finding in findings if finding.severity in (Severity.ERROR, Severity.WARNING)]
    if serious:
        more = f" (and {len(serious) - 1} more)" if len(serious) > 1 else ""
        raise UsageError(f"not loaded: {serious[0].rule}: {serious[0].message}{more}")


def _library(subject: Subject) -> str:
    if subject.artifact.format is FormatName.SAVED_MODEL:
        return "saved_model"
    return "keras" if str(subject.artifact.facts.get("keras_version", "")).startswith("3") else "tf_keras"


def _run(job: ConversionJob, command: Sequence[str], seconds: int) -> tuple[dict[str, MadeEvent], str]:
    """Run the child; return what it made, and how it ended where not by itself."""
    legacy = {"TF_USE_LEGACY_KERAS": "1" if job.library == "tf_keras" else "0"}
    process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
        list(command),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **ENVIRONMENT, **legacy, "TMPDIR": job.folder},
        start_new_session=True,
    )
    trouble = ""
    try:
        out, _ = process.communicate(msgspec.json.encode(job) + b"\n", timeout=seconds)
    except subprocess.TimeoutExpired:
        trouble = f"TensorFlow was stopped after {seconds} seconds"
        _end(process)
        out, _ = process.communicate()
    finally:
        _end(process)
    if not trouble and process.returncode:
        trouble = f"TensorFlow's process ended with status {process.returncode}"
    decoder = msgspec.json.Decoder(MadeEvent)
    events = [
        decoder.decode(line)
        for line in out.splitlines(keepends=True)
        if line.endswith(b"\n") and line.startswith(b"{")
    ]
    return {event.form: event for event in events}, trouble


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the child and what it started; a no-op where it has ended."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)


def _merged(report: PlanReport, made: dict[str, MadeEvent], trouble: str) -> PlanReport:
    """Put measured sizes in the place of predicted ones, which are named beside them."""
    options: list[OptionEntry] = []
    notes, left_out = list(report.notes), list(report.left_out)
    for entry in report.options:
        event = made.get(entry.option)
        if event is None or event.size is None:
            options.append(entry)
            if event is not None:
                left_out.append(f"{entry.option}: the converter{_version(event)} refused it: {event.reason}")
            continue
        is_predicted = _is_predicted(event, report)
        told = f"predicted {entry.size:,} bytes ({entry.basis}"
        told += f", within {entry.error:.1%})" if entry.error is not None else ")"
        beyond = abs(entry.size - event.size) > (entry.error or 0.0) * event.size
        if beyond and is_predicted:
            notes.append(
                f"{entry.option}: modelinspect predicted {entry.size:,} bytes and the"
                f" converter{_version(event)} wrote {event.size:,}: that is more than the stated error, and"
                " an error of modelinspect"
            )
        calibrated = (
            ["calibrated with random samples, on which the size does not depend"]
            if _form(entry.option) in _CALIBRATED
            else []
        )
        options.append(
            msgspec.structs.replace(
                entry,
                size=event.size,
                delta=entry.delta + event.size - entry.size,
                basis="measured",
                error=None,
                notes="; ".join(
                    part for part in (*_written_by(event), told, *calibrated, entry.notes) if part
                ),
            )
        )
    if trouble:
        left_out.append(f"forms that are not measured: {trouble}")
    ran = next((event.tensorflow for event in made.values() if event.tensorflow), report.tensorflow)
    if ran and measured_release(ran) is not measured_release(report.tensorflow or ran):
        left_out.append(
            f"the files of TensorFlow {ran} are not predicted: predictions beside them are for"
            f" {report.tensorflow}"
        )
    options.sort(key=lambda entry: (entry.size, entry.option))
    return msgspec.structs.replace(
        report, options=tuple(options), notes=tuple(notes), left_out=tuple(left_out), tensorflow=ran
    )


def _is_predicted(event: MadeEvent, report: PlanReport) -> bool:
    """Return whether the prediction is for the release that wrote the file."""
    predicted = measured_release(report.tensorflow or "")
    return not event.tensorflow or measured_release(event.tensorflow) is predicted is not None


def _version(event: MadeEvent) -> str:
    return f" of TensorFlow {event.tensorflow}" if event.tensorflow else ""


def _written_by(event: MadeEvent) -> list[str]:
    return [f"written by TensorFlow {event.tensorflow}"] if event.tensorflow else []


__all__ = ["ConversionJob", "MadeEvent", "MissingExtraError", "measure_forms"]
