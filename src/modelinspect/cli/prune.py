"""The command ``prune``."""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

from modelinspect.cli.options import (
    TEXT_FORMS,
    ColorOption,
    JsonOption,
    QuietOption,
    TextFormatOption,
    TopOption,
    choose_form,
)
from modelinspect.cli.output import Color, Destination, write_line
from modelinspect.cli.parameters import Argument, Option

if TYPE_CHECKING:
    from modelinspect.pruning.artifacts import Inspected
    from modelinspect.pruning.job import Job
    from modelinspect.pruning.stage import Watch

EXAMPLES = """\b
Examples:
  modelinspect prune mlp -o pruned
  modelinspect prune model.keras -o pruned --sparsity 0.5 --data train.npz --epochs 3
  modelinspect prune model.keras -o pruned --block-size tflite-int8 --methods 'keras*,tflite-*'
  modelinspect prune cnn -o pruned --one-shot --block-size 16x1 --types Dense --methods 'h5*,tflite-*'
"""

Model = Annotated[
    str,
    Argument(
        metavar="MODEL",
        help=(
            "A Keras model (.keras, .h5, .weights.h5 beside config.json, SavedModel of Keras 2), or an"
            " architecture."
        ),
    ),
]
Engine = Annotated[
    str,
    Option(
        metavar="NAME", help="What prunes: tfmot (Keras 2), keras (Keras 3), or auto, by what wrote the file."
    ),
]
Target = Annotated[
    Path,
    Option("--output", "-o", metavar="DIR", help="The directory to make; it appears whole or not at all."),
]
Force = Annotated[bool, Option("--force", help="Replace the directory if this command made it.")]
Schedule = Annotated[str, Option(metavar="KIND", help="The schedule: constant or polynomial.")]
Sparsity = Annotated[float, Option(metavar="SHARE", help="The share of zeros at the end, 0 to below 1.")]
Initial = Annotated[float, Option(metavar="SHARE", help="polynomial: the share of zeros at the begin step.")]
Begin = Annotated[
    int | None, Option(metavar="STEP", help="The first training step that prunes.  [default: 0]")
]
End = Annotated[
    int | None,
    Option(metavar="STEP", help="The last step that prunes; constant: -1 is never.  [default: fitted]"),
]
Power = Annotated[float, Option(metavar="P", help="polynomial: the exponent.")]
Frequency = Annotated[
    int | None, Option(metavar="STEPS", help="The steps from one pruning to the next.  [default: fitted]")
]
Block = Annotated[
    str,
    Option(
        metavar="HxW|LAYOUT",
        help="Prune blocks of weights: inputs x outputs, or tflite-float (4x1), tflite-int8 (16x1).",
    ),
]
Pooling = Annotated[str, Option(metavar="AVG|MAX", help="How the weights of a block count.")]
MByN = Annotated[
    str, Option(metavar="MxN", help="M zeros in every N weights instead of a share, such as 2x4.")
]
Layers = Annotated[
    str, Option(metavar="PATTERN[,...]", help="Prune only layers whose name matches, such as 'dense*'.")
]
Exclude = Annotated[str, Option(metavar="PATTERN[,...]", help="Leave out layers whose name matches.")]
Types = Annotated[str, Option(metavar="TYPE[,...]", help="Prune only layers of these types, such as Dense.")]
OneShot = Annotated[bool, Option("--one-shot", help="Prune at once, without training.")]
Data = Annotated[
    Path | None, Option(metavar="FILE.npz", help="Samples x and y to train on.  [default: seeded noise]")
]
Samples = Annotated[int | None, Option(metavar="N", help="How many samples of seeded noise.")]
BaselineEpochs = Annotated[
    int | None, Option(metavar="N", help="Epochs before pruning.  [default: 1; a model file: 0]")
]
Epochs = Annotated[int, Option(metavar="N", help="Epochs while pruning.")]
BatchSize = Annotated[int | None, Option(metavar="N", help="Samples of a training step.")]
Optimizer = Annotated[
    str, Option(metavar="NAME", help="adam, adamw, adagrad, adamax, nadam, rmsprop, sgd or momentum.")
]
Rate = Annotated[float | None, Option("--learning-rate", metavar="R", help="The optimizer's learning rate.")]
Loss = Annotated[
    str | None, Option(metavar="NAME", help="The loss.  [default: the model's, or what its output suggests]")
]
Seed = Annotated[int, Option(metavar="N", help="The seed of weights, samples and their order.")]
Stages = Annotated[
    str,
    Option(
        metavar="STAGE[,...]",
        help="What to save: original, wrapped and stripped (tfmot), pruned (keras).  [default: all]",
    ),
]
Methods = Annotated[
    str, Option(metavar="PATTERN[,...]", help="How to save, such as 'h5*,tflite-*'.  [default: all]")
]
AllowCode = Annotated[
    bool, Option("--allow-code", help="Run code that MODEL brings (Lambda layers); only if you trust it.")
]
Code = Annotated[
    Path | None, Option(metavar="FILE.py", help="Python that defines MODEL's own layers; needs --allow-code.")
]


def command(
    model: Model,
    output: Target,
    engine: Engine = "auto",
    schedule: Schedule = "polynomial",
    sparsity: Sparsity = 0.8,
    initial_sparsity: Initial = 0.0,
    begin_step: Begin = None,
    end_step: End = None,
    power: Power = 3.0,
    frequency: Frequency = None,
    block_size: Block = "1x1",
    pooling: Pooling = "AVG",
    m_by_n: MByN = "",
    layers: Layers = "",
    exclude: Exclude = "",
    types: Types = "",
    one_shot: OneShot = False,
    data: Data = None,
    samples: Samples = None,
    baseline_epochs: BaselineEpochs = None,
    epochs: Epochs = 4,
    batch_size: BatchSize = None,
    optimizer: Optimizer = "adam",
    learning_rate: Rate = None,
    loss: Loss = None,
    seed: Seed = 42,
    stages: Stages = "",
    methods: Methods = "",
    allow_code: AllowCode = False,
    code: Code = None,
    force: Force = False,
    format: TextFormatOption = None,
    as_json: JsonOption = False,
    color: ColorOption = Color.AUTO,
    quiet: QuietOption = False,
    top: TopOption = None,
) -> None:
    """Prune a Keras model and save it original and pruned in every way, with a manifest of sizes.

    Keras 3 models are pruned by modelinspect.MagnitudePruning, Keras 2 models by TensorFlow's model
    optimization toolkit (tfmot), which also has the stage between: wrapped.

    Architectures: mlp, cnn, many-small-layers, few-large-layers, lstm, embedding, depthwise, attention,
    mobilenet-v2.

    Methods of both: h5, h5-no-optimizer, weights-h5, keras, saved-model, saved-model-export, checkpoint,
    tflite-float32, tflite-float16, tflite-dynamic-int8, tflite-int8, tflite-int16, each of these also with
    -sparse, hdf5-gzip, keras-deflate, gz. Of tfmot: saved-model-keras, saved-model-no-traces. Of keras:
    weights-h5-sharded, keras-int8, keras-int4, orbax.
    """
    from modelinspect.pruning.job import Job, ScheduleWish, Training
    from modelinspect.pruning.methods import choose_methods, choose_stages
    from modelinspect.pruning.selection import Selection, pattern_of

    job = Job(
        model=model,
        stages=choose_stages(_listed(stages)),
        methods=choose_methods(_listed(methods)),
        schedule=ScheduleWish(schedule, sparsity, initial_sparsity, begin_step, end_step, power, frequency),
        pattern=pattern_of(block_size, pooling, m_by_n or None, names=("--block-size", "--m-by-n")),
        selection=Selection(_listed(layers), _listed(exclude), _listed(types)),
        training=Training(
            _text(data),
            samples,
            baseline_epochs,
            epochs,
            batch_size,
            optimizer,
            learning_rate,
            loss,
            one_shot,
        ),
        seed=seed,
        allow_code=allow_code,
        code=_text(code),
        engine=engine,
    )
    _prune(
        job,
        output,
        force,
        Destination(choose_form(TEXT_FORMS, format, as_json, None), color=color, quiet=quiet),
        top,
    )


def _prune(job: Job, target: Path, force: bool, destination: Destination, top: int | None) -> None:
    from modelinspect.pruning.stage import prune

    with terminated_like_interrupted(), _watching(job, destination.quiet) as watch:
        report = prune(job, target, inspect=inspected, command=_command(job), force=force, watch=watch)
    destination.write(report, top)


def inspected(place: Path) -> Inspected:
    """Inspect a made artifact: its categories, and its zeros by layer."""
    from modelinspect import api
    from modelinspect.core.artifact import Severity
    from modelinspect.pruning.artifacts import Inspected
    from modelinspect.reports.manifest import LayerSparsity

    report = api.inspect(place)
    layers: dict[str, tuple[int, int | None]] = {}
    for tensor in report.tensors:
        if tensor.role == "weight":
            name = tensor.layer or tensor.name
            elements, zeros = layers.get(name, (0, 0))
            known = None if zeros is None or tensor.zero_count is None else zeros + tensor.zero_count
            layers[name] = (elements + tensor.element_count, known)
    found = tuple(
        LayerSparsity(layer=name, element_count=elements, zero_count=zeros)
        for name, (elements, zeros) in layers.items()
    )
    errors = tuple(finding for finding in report.findings if finding.severity == Severity.ERROR)
    return Inspected(report.categories, found, report.diagnostic_count, errors)


@contextmanager
def _watching(job: Job, quiet: bool) -> Iterator[Watch]:
    """Show what the worker does unless quiet: on a terminal a bar with the current step, elsewhere a line for
    each stage.
    """
    if quiet:
        yield _ignore
        return
    if not sys.stderr.isatty():
        yield _tell
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
    )

    from modelinspect.pruning.events import EngineEvent, SavedEvent, StartEvent, StepEvent
    from modelinspect.pruning.methods import METHODS

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        total = len(job.stages) * sum(name in METHODS for name in job.methods)
        task = bar.add_task("starting", total=total)

        def watch(event: Any) -> None:
            match event:
                case EngineEvent(engine, reason):
                    bar.console.print(f"engine: {engine} ({reason})", markup=False, highlight=False)
                    bar.update(task, description="starting TensorFlow")
                case StepEvent(what, done, of):
                    bar.update(task, description=f"{what} (step {done} of {of})" if done else what)
                case StartEvent(stage, method):
                    bar.update(task, description=f"saving {stage} as {method}")
                case SavedEvent(_, method) if method in METHODS:
                    bar.advance(task)

        yield watch


def _ignore(_event: Any) -> None:
    """Show nothing of an event."""


def _tell(event: Any) -> None:
    """Write a line for each stage of the work."""
    from modelinspect.pruning.events import EngineEvent, StepEvent

    match event:
        case EngineEvent(engine, reason):
            write_line(f"prune: engine {engine}: {reason}", sys.stderr)
        case StepEvent(what, done) if not done:
            write_line(f"prune: {what}", sys.stderr)


@contextmanager
def terminated_like_interrupted() -> Iterator[None]:
    """Let SIGTERM clean up as Ctrl-C does."""

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # not the main thread: signals are somebody else's
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _command(job: Job) -> tuple[str, ...]:
    """Return the command line as it was typed, where it was."""
    typed = tuple(sys.argv[1:])
    return (
        ("modelinspect", *typed)
        if typed[:1] == ("prune",)
        else tuple(shlex.split(f"modelinspect prune {shlex.quote(job.model)}"))
    )


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
