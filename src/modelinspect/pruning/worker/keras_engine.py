"""The engine of Keras 3 and `MagnitudePruning`; it loads a model file that was judged safe."""

from __future__ import annotations

import json
import platform
import warnings
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy
import tensorflow as tf

from modelinspect.core.names import CONFIG_JSON, WEIGHTS_H5, WEIGHTS_INDEX
from modelinspect.pruning.data import Samples
from modelinspect.pruning.errors import PruningError
from modelinspect.pruning.events import WeightSparsity
from modelinspect.pruning.job import Job
from modelinspect.pruning.magnitude.callback import MagnitudePruning
from modelinspect.pruning.magnitude.choice import Choice, choices_of, wish_of
from modelinspect.pruning.magnitude.kernels import Unit, find_units
from modelinspect.pruning.magnitude.masks import count_zeros
from modelinspect.pruning.magnitude.oneshot import prune
from modelinspect.pruning.methods import Stage
from modelinspect.pruning.modelfile import ModelFile, ModelKind, look_at, refuse_code
from modelinspect.pruning.schedules import ConstantSchedule, PolynomialSchedule, Schedule
from modelinspect.pruning.selection import Decision, LayerFacts, Pattern, WeightFacts, select
from modelinspect.pruning.worker import keras_saving, networks
from modelinspect.pruning.worker.code import custom_objects
from modelinspect.pruning.worker.networks import Network
from modelinspect.pruning.worker.reasons import reason_of
from modelinspect.pruning.worker.run import Engine, Train


class KerasEngine(Engine):
    """Prunes the network itself, once its original is saved."""

    keras = keras
    problems = (ValueError, TypeError, RuntimeError, tf.errors.OpError)

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def start(self, seed: int) -> dict[str, str]:
        keras.utils.set_random_seed(seed)
        if keras.backend.backend() == "tensorflow":
            tf.config.experimental.enable_op_determinism()
        backend = keras.backend.backend()
        versions = {
            "h5py": h5py.__version__,
            "hdf5": h5py.version.hdf5_version,
            "keras": keras.__version__,
            "keras_backend": backend,
            "numpy": numpy.__version__,
            "python": platform.python_version(),
            "tensorflow": tf.__version__,
        }
        return versions if backend == "tensorflow" else {**versions, backend: _version_of(backend)}

    def network(self, job: Job) -> Network:
        if job.is_architecture:
            return networks.build(job.model, keras)
        return _load(Path(job.model), allow_code=job.allow_code, code=job.code, warn=self.warnings.append)

    def decide(self, network: Network, job: Job) -> tuple[Decision, ...]:
        units = find_units(network)
        choices = choices_of(units, wish_of(job.schedule.sparsity, None, None, None), job.pattern)
        return select([_facts(unit, choices) for unit in units], job.selection, Pattern())

    def clone(self, network: Network) -> Network:
        return keras_saving.clone(network)

    def pruned(
        self,
        network: Network,
        job: Job,
        decisions: Sequence[Decision],
        schedule: Schedule,
        losses: list[str],
        train: Train,
    ) -> Iterator[tuple[Stage, Network]]:
        chosen = {decision.layer.name for decision in decisions if decision.chosen}
        wanted = {
            id(kernel.variable)
            for unit in find_units(network)
            if unit.name in chosen
            for kernel in unit.kernels
        }
        pattern: dict[str, Any] = {
            "block_size": job.pattern.layout or job.pattern.block_size,
            "pooling": job.pattern.pooling,
            "m_by_n": job.pattern.m_by_n,
            "include": lambda _layer, variable: id(variable) in wanted,
        }
        if job.training.one_shot:
            prune(network, job.schedule.sparsity, **pattern)
        else:
            has_state = bool(getattr(network.optimizer, "built", False))
            self.compile(network, job, losses)
            train(network, (MagnitudePruning(**_arguments(schedule), **pattern),))
            if (
                not has_state
            ):  # compare like with like: the original was saved without the state of an optimizer
                self.compile(network, job, losses)
        yield Stage.PRUNED, network

    def count_zeros(self, network: Network, decisions: Sequence[Decision]) -> tuple[WeightSparsity, ...]:
        kernels = {
            (kernel.layer, kernel.weight): kernel for unit in find_units(network) for kernel in unit.kernels
        }
        return tuple(
            WeightSparsity(
                decision.layer.name,
                weight.name,
                weight.shape,
                count_zeros(kernels[decision.layer.name, weight.name].variable),
                decision.chosen,
            )
            for decision in decisions
            for weight in decision.layer.weights
        )

    def save(self, network: Network, method: str, target: Path, samples: Samples, scratch: Path) -> None:
        keras_saving.save(network, method, target, samples, scratch)


def _facts(unit: Unit, choices: Sequence[Choice]) -> LayerFacts:
    """Describe a layer; its weights are those that can be pruned, its refusal the reason of the first where
    none can.
    """
    own = [choice for choice in choices if choice.kernel.layer == unit.name]
    weights = tuple(WeightFacts(choice.kernel.weight, choice.kernel.shape) for choice in own if choice.chosen)
    reasons = [choice.reason for choice in own if choice.reason]
    refusal = "" if weights else (reasons[0] if reasons else f"{unit.type} has no kernel that is pruned")
    return LayerFacts(unit.name, unit.type, True, weights, refusal)


def _arguments(schedule: Schedule) -> dict[str, Any]:
    match schedule:
        case ConstantSchedule(sparsity, begin, end, frequency):
            return {
                "sparsity": sparsity,
                "schedule": "constant",
                "begin_step": begin,
                "end_step": end,
                "frequency": frequency,
            }
        case PolynomialSchedule(initial, final, begin, end, power, frequency):
            return {
                "sparsity": final,
                "initial_sparsity": initial,
                "begin_step": begin,
                "end_step": end,
                "power": power,
                "frequency": frequency,
            }


def _load(place: Path, *, allow_code: bool, code: str | None, warn: Callable[[str], None]) -> Network:
    """Return the network of a model file; ``warn`` is given what Keras warned about.

    Raises `JobError` or `PruningError`.
    """
    facts = look_at(place)
    if not allow_code:
        refuse_code(place, facts)
    if code:
        keras.saving.get_custom_objects().update(custom_objects(Path(code)))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        network = _loaded(place, facts, allow_code, warn)
    for warning in caught:
        if issubclass(warning.category, UserWarning):
            warn(f"{place.name}: Keras warns: {reason_of(ValueError(str(warning.message)))}")
    if not getattr(network, "inputs", None) or not network.built:
        raise PruningError(
            f"{place}: a subclassed model ({type(network).__name__}) does not say the shape of its input, so"
            " it cannot be trained here; use modelinspect.MagnitudePruning in the code that trains it"
        )
    return network


def _version_of(package: str) -> str:
    """Return the version of an installed package."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"


def _loaded(place: Path, facts: ModelFile, allow_code: bool, warn: Callable[[str], None]) -> Network:
    try:
        if facts.kind is ModelKind.WEIGHTS:
            return _with_weights(place, safe_mode=not allow_code)
        try:
            return keras.models.load_model(place, safe_mode=not allow_code)
        except (AttributeError, KeyError, OSError, RuntimeError, TypeError, ValueError) as problem:
            # the second try shows whether compiling raised it, or the network itself
            network = keras.models.load_model(place, safe_mode=not allow_code, compile=False)
            warn(f"{place.name}: its optimizer could not be loaded and starts again: {reason_of(problem)}")
            return network
    except Exception as problem:  # all mean that Keras cannot load the file
        raise PruningError(_advice(place, facts, problem)) from problem


def _with_weights(place: Path, *, safe_mode: bool) -> Network:
    folder = place if place.is_dir() else place.parent
    names = (WEIGHTS_H5, WEIGHTS_INDEX) if place.is_dir() else (place.name,)
    weights = next(folder / name for name in names if (folder / name).is_file())
    config = json.loads((folder / CONFIG_JSON).read_bytes())
    network = keras.saving.deserialize_keras_object(config, safe_mode=safe_mode)
    network.load_weights(weights)
    return network


def _advice(place: Path, facts: ModelFile, problem: Exception) -> str:
    reason = reason_of(problem)
    if facts.foreign or facts.code:
        return (
            f"{place}: {reason}; give the file that defines its own classes with --code FILE.py --allow-code"
        )
    return f"{place}: Keras {keras.__version__} cannot load it: {reason}"
