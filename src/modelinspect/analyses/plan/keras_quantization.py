"""Predict the `.keras` file that Keras 3 saves after `quantize("int8")` or `quantize("int4")`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from modelinspect.analyses.plan.base import Basis, Family, LeftOut, Note, Option, Outcome, Planning
from modelinspect.conversion.quantized.layers import Fault, Mode, Quantized
from modelinspect.conversion.quantized.saving import quantized_file
from modelinspect.core.artifact import FormatName
from modelinspect.core.tensors import Role
from modelinspect.errors import FormatError
from modelinspect.measure.blocks import UnmeasurableError
from modelinspect.networks.writers import is_whole, keras_module
from modelinspect.remedies.advice import load_lines
from modelinspect.reports.wording import plural
from modelinspect.shrinking.stripped_hdf5 import is_no_training

_NAMES = {f"keras-{mode}": mode for mode in Mode}


def _find(planning: Planning) -> Iterator[Outcome]:
    subject = planning.subject
    if not is_whole(subject.artifact):
        return
    if keras_module(subject.artifact) != "keras":
        yield LeftOut(tuple(_NAMES), "tf_keras has no Model.quantize; Keras 3 has")
        return
    faults: dict[Fault, tuple[list[str], list[Quantized]]] = {}
    for name, mode in _NAMES.items():
        if not planning.wants(name):
            continue
        try:
            made = quantized_file(subject, mode, is_no_training)
        except (FormatError, UnmeasurableError) as error:
            yield LeftOut((name,), str(error))
            continue
        if made.size >= subject.size and not planning.wanted:
            yield LeftOut((name,), f"not smaller: {made.size:,} bytes")
            continue
        for fault in Fault:
            if faulty := [layer for layer in made.layers if layer.fault is fault]:
                faults.setdefault(fault, ([], faulty))[0].append(name)
        is_loaded = all(layer.fault is not Fault.NOT_LOADED for layer in made.layers)
        yield Option(
            name,
            made.size,
            Basis.EXACT if made.error is None else Basis.ESTIMATE,
            False,
            "in Keras 3, with load_model; not compiled"
            if is_loaded
            else f"with load_weights, into this model after quantize({mode.value!r})",
            _command(planning, mode),
            _notes(planning, made.layers, mode),
            made.error,
        )
    for fault, (names, faulty) in faults.items():
        yield _warning(fault, names, faulty)


def _command(planning: Planning, mode: Mode) -> str:
    target = f"{planning.subject.file_name.removesuffix('.keras')}-{mode}.keras"
    lines = (load_lines(planning.subject.artifact), f"model.quantize({mode.value!r})")
    return "\n".join((*lines, f"model.save({target!r})"))


def _warning(fault: Fault, names: list[str], layers: list[Quantized]) -> Note:
    warning = f"Do not use {' or '.join(names)} without a test of the result: in Keras 3.15, "
    match fault:
        case Fault.NOT_LOADED:
            return Note(
                f"{warning}load_model refuses the file or restores other weights, because the configuration"
                f" does not say that layers within {_owners(layers)} are quantized."
            )
        case Fault.NOT_SCALED:
            return Note(
                f"{warning}{_owners(layers)} uses the integers of the quantized kernel without their scale,"
                " so the outputs are wrong."
            )


def _owners(layers: list[Quantized]) -> str:
    """Name the layers that hold others, once each."""
    named = (f"{one.owner.name} ({one.owner.class_name})" for one in layers if one.owner is not None)
    owners = list(dict.fromkeys(named))
    return ", ".join(owners[:3]) + (f" and {len(owners) - 3} more" if len(owners) > 3 else "")


def _notes(planning: Planning, layers: Sequence[Quantized], mode: Mode) -> str:
    rounded = (
        "4 bits, in blocks of 128 inputs" if mode is Mode.INT4 else "8 bits, with a scale for each output"
    )
    notes = [
        f"rounds the weights of {plural(len(layers), 'layer')} to {rounded}; other layers stay as they are"
    ]
    if planning.subject.of_role(Role.OPTIMIZER):
        notes.append("without the optimizer, because the command does not compile the model")
    return "; ".join(notes)


FAMILY = Family(tuple(_NAMES), _find, reads_weights=False, formats=frozenset((FormatName.KERAS_ZIP,)))
