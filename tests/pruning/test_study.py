"""A study: its plan, its going on after a stop, its tables. The pruning itself is played."""

from __future__ import annotations

import csv
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from modelinspect.pruning.artifacts import Inspect, Inspected
from modelinspect.pruning.engines import Engine
from modelinspect.pruning.errors import JobError, PruningError
from modelinspect.pruning.events import WarningEvent
from modelinspect.pruning.job import Job
from modelinspect.pruning.methods import METHODS, Stage
from modelinspect.pruning.stage import Watch
from modelinspect.pruning.study_plan import DEFAULT_RECIPE, Recipe, read_recipe, runs_of
from modelinspect.pruning.study_run import cell_of, do_study, fitting_workers, results_of
from modelinspect.pruning.study_tables import COLUMNS, markdown, tidy, write_csv, write_parquet
from modelinspect.reports.inspect import Categories
from modelinspect.reports.manifest import ArtifactRow, PruneReport, ScheduleEntry, StageEntry, WeightEntry

NOTHING = Categories(**dict.fromkeys(Categories.__struct_fields__, 0))


def never(_place: Path) -> Inspected:
    raise AssertionError("nothing is inspected here")


def played(job: Job, target: Path, _inspect: Inspect, _watch: Watch) -> PruneReport:
    """A result as the pruning stage gives it: sizes follow from the sparsity."""
    target.mkdir()
    weight = WeightEntry(
        layer="dense", weight="kernel", shape=(10, 10), zero_count=80, sparsity=0.8, target=job.target
    )
    rows = [
        ArtifactRow(
            stage=stage,
            method=method,
            outcome="made",
            size=int(1000 * (1 - job.target)),
            gzip_size=500,
            categories=NOTHING,
        )
        for stage in job.stages
        for method in job.methods
    ]
    rows.append(ArtifactRow(stage="stripped", method="tflite-int16", outcome="failed", reason="no | kernel"))
    return PruneReport(
        model=job.model,
        command=(),
        seed=job.seed,
        versions={},
        schedule=ScheduleEntry(
            kind="one-shot",
            initial_sparsity=None,
            final_sparsity=0.8,
            begin_step=None,
            end_step=None,
            power=None,
            frequency=None,
            steps=0,
        ),
        block_size=(1, 1),
        block_pooling="AVG",
        sparsity_m_by_n=None,
        training={},
        layers=(),
        stages=(
            StageEntry(stage="stripped", loss=1.0, metric=0.5, metric_name="accuracy", weights=(weight,)),
        ),
        artifacts=tuple(rows),
        warnings=(),
    )


def recipe(text: str) -> Recipe:
    import tomllib

    return msgspec.convert(tomllib.loads(text), Recipe)


SMALL = recipe(
    '[[grids]]\narchitectures = ["mlp", "cnn"]\nsparsities = [0.5, 0.8]\nmethods = ["h5", "keras-deflate"]\n'
)


def test_the_default_recipe_has_over_300_cells_and_every_method() -> None:
    runs = runs_of(read_recipe(DEFAULT_RECIPE))
    assert sum(len(run.job.stages) * sum(name in METHODS for name in run.job.methods) for run in runs) >= 300
    assert {name for run in runs for name in run.job.methods} >= {
        name for name, method in METHODS.items() if Engine.TFMOT in method.engines
    }
    assert len({run.key for run in runs}) == len(runs)


def test_a_run_is_listed_once_even_where_grids_overlap() -> None:
    grids = SMALL.grids
    assert len(runs_of(msgspec.structs.replace(SMALL, grids=grids + grids))) == 4


def test_the_key_changes_with_anything_that_decides_the_result() -> None:
    one, other = (runs_of(msgspec.structs.replace(SMALL, seed=seed))[0].key for seed in (1, 2))
    assert one != other


ENGINES = recipe(
    '[[grids]]\narchitectures = ["mlp"]\nsparsities = [0.5]\nmethods = ["h5", "saved-model-keras",'
    ' "keras-int8"]\nstages = ["original", "stripped"]\nengines = ["tfmot", "keras", "keras-jax"]\n'
)


def test_engines_are_crossed_with_the_stages_and_methods_that_each_has() -> None:
    tfmot, keras, jax = (run.job for run in runs_of(ENGINES))
    assert (tfmot.engine, tfmot.stages, tfmot.methods) == (
        "tfmot",
        (Stage.ORIGINAL, Stage.STRIPPED),
        ("h5", "saved-model-keras"),
    )
    assert (keras.engine, keras.stages, keras.methods) == (
        "keras",
        (Stage.ORIGINAL, Stage.PRUNED),
        ("h5", "keras-int8"),
    )
    assert (jax.engine, jax.backend) == ("keras", "jax")
    assert len({run.key for run in runs_of(ENGINES)}) == 3


def test_a_table_compares_the_engines(tmp_path: Path) -> None:
    runs = runs_of(ENGINES)
    assert do_study(runs, tmp_path, never, do=played) == ()
    rows = tidy(results_of(runs, tmp_path))
    assert {row["engine"] for row in rows} == {"tfmot", "keras", "keras-jax"}
    text = markdown(rows)
    table = text.partition("## Engine against engine, bytes")[2]
    assert (
        "| artifact | pruning | tfmot, file / gzip | keras, file / gzip | keras-jax, file / gzip |" in table
    )
    assert "| mlp h5 | one-shot, 50%, element | 500 / 500 | 500 / 500 | 500 / 500 |" in table
    assert "| mlp keras-int8 | one-shot, 50%, element |  | 500 / 500 | 500 / 500 |" in table
    assert "saved-model-keras" not in table


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[[grids]]\narchitectures = ["mpl"]\nsparsities = [0.5]\n', "no architecture is named 'mpl'"),
        ('[[grids]]\narchitectures = ["mlp"]\nsparsities = [1.5]\n', "must be at least 0 and below 1"),
        (
            '[[grids]]\narchitectures = ["mlp"]\nsparsities = [0.5]\nschedules = ["x"]\n',
            "no schedule 'x'; there are one-shot",
        ),
        (
            '[[grids]]\narchitectures = ["mlp"]\nsparsities = [0.5]\npatterns = ["x"]\n',
            "no pattern 'x'; there are element",
        ),
        (
            '[[grids]]\narchitectures = ["mlp"]\nsparsity = [0.5]\n',
            "has no key 'sparsity'; did you mean sparsities?",
        ),
        (
            '[[grids]]\narchitectures = ["mlp"]\nsparsities = [0.5]\nengines = ["x"]\n',
            "no engine of a study is named 'x'; there are tfmot",
        ),
        (
            '[[grids]]\narchitectures = ["mlp"]\nsparsities = [0.5]\nengines = ["tfmot-jax"]\n',
            "no engine of a study is named 'tfmot-jax'",
        ),
        ("grids = 3\n", "grids must be an array"),
        ("[[grids\n", "recipe.toml"),
    ],
)
def test_a_recipe_that_cannot_be_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "recipe.toml").write_text(text)
    with pytest.raises(JobError) as raised:
        runs_of(read_recipe(tmp_path / "recipe.toml"))
    assert message in str(raised.value)


def test_a_study_that_was_stopped_repeats_no_finished_run(tmp_path: Path) -> None:
    runs = runs_of(SMALL)
    started: list[str] = []

    def stopping(job: Job, target: Path, inspect: Inspect, watch: Watch) -> PruneReport:
        started.append(f"{job.model} {job.target}")
        if len(started) == 3:
            raise MemoryError
        return played(job, target, inspect, watch)

    with pytest.raises(MemoryError):
        do_study(runs, tmp_path, never, workers=1, do=stopping)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cells"]
    first = {
        run.key: cell_of(tmp_path, run).stat().st_mtime_ns for run in runs if cell_of(tmp_path, run).exists()
    }
    assert 2 <= len(first) < len(runs)
    started.clear()
    assert (
        do_study(runs, tmp_path, never, workers=1, do=lambda *a: (started.append("x"), played(*a))[1]) == ()
    )
    assert len(started) == len(runs) - len(first)
    assert {key: (tmp_path / "cells" / f"{key}.json").stat().st_mtime_ns for key in first} == first
    assert len(results_of(runs, tmp_path)) == len(runs)


def test_a_run_that_fails_is_told_and_tried_again(tmp_path: Path) -> None:
    def failing(job: Job, target: Path, inspect: Inspect, watch: Watch) -> PruneReport:
        if job.model == "cnn":
            raise PruningError("no luck")
        return played(job, target, inspect, watch)

    runs = runs_of(SMALL)
    failed = do_study(runs, tmp_path, never, workers=2, do=failing)
    assert sorted(error.reason for error in failed) == ["no luck", "no luck"]
    assert do_study(runs, tmp_path, never, workers=2, do=played) == ()


def test_an_interrupt_reaches_the_runs_through_their_events(tmp_path: Path) -> None:
    def watching(job: Job, target: Path, inspect: Inspect, watch: Watch) -> PruneReport:
        if job.model == "cnn":
            raise MemoryError
        for _ in range(1000):
            watch(WarningEvent("still here"))
            import time

            time.sleep(0.01)
        raise AssertionError("was never stopped")

    mixed = [run for run in runs_of(SMALL) if run.job.schedule.sparsity == 0.5]
    with pytest.raises(MemoryError):
        do_study(mixed, tmp_path, never, workers=2, do=watching)
    assert list((tmp_path / "cells").iterdir()) == []


def test_the_tidy_table_has_a_row_for_each_artifact_in_csv_and_parquet(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    runs = runs_of(SMALL)
    assert do_study(runs, tmp_path, never, workers=2, do=played) == ()
    rows = tidy(results_of(runs, tmp_path))
    assert len(rows) == 4 * 3
    write_csv(rows, tmp_path / "table.csv")
    write_parquet(rows, tmp_path / "table.parquet")
    with (tmp_path / "table.csv").open() as stream:
        read = list(csv.DictReader(stream))
    assert tuple(read[0]) == COLUMNS
    assert [row["size"] for row in read[:2]] == ["500", "500"]
    assert parquet.read_table(tmp_path / "table.parquet").num_rows == 12
    assert rows[0]["reached"] == 0.8


def test_the_markdown_tables_hold_sizes_by_sparsity_and_what_could_not_be_made(tmp_path: Path) -> None:
    runs = runs_of(SMALL)
    do_study(runs, tmp_path, never, workers=1, do=played)
    text = markdown(tidy(results_of(runs, tmp_path)))
    assert "## Bytes against sparsity: mlp" in text
    assert "| h5 | 500 | 200 |" in text.replace("199", "200")
    assert "no \\| kernel" in text


def test_workers_fit_into_processors() -> None:
    import os

    assert 1 <= fitting_workers() <= (os.cpu_count() or 1)


def test_layers_left_out_for_one_reason_are_one_line(tmp_path: Path) -> None:
    from modelinspect.reports.manifest import LayerDecision

    layers = tuple(
        LayerDecision(name=f"relu_{n}", type="ReLU", pruned=False, reason="no weights") for n in range(5)
    )
    report = msgspec.structs.replace(
        played(runs_of(SMALL)[0].job, tmp_path / "made", never, lambda _event: None), layers=layers
    )
    (notes,) = (block for block in report.blocks() if getattr(block, "title", "") == "Layers not pruned")
    assert [(note.label, note.text) for note in notes.notes] == [
        ("relu_0, relu_1, relu_2 and 2 more", "no weights")
    ]  # type: ignore[union-attr]


REAL = """
samples = 32
[[grids]]
architectures = ["mlp"]
sparsities = [0.5, 0.8]
methods = ["h5-no-optimizer", "keras-deflate"]
"""


@pytest.mark.tensorflow
def test_a_real_study_that_is_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(REAL)
    target = tmp_path / "study"
    command = [
        sys.executable,
        "-m",
        "modelinspect",
        "study",
        str(tmp_path / "recipe.toml"),
        "-o",
        str(target),
        "--workers",
        "1",
    ]
    first = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not list(target.glob("cells/*.json")) and first.poll() is None:
        time.sleep(0.02)
    first.kill()
    first.wait()
    (finished,) = target.glob("cells/*.json")
    stands = finished.stat().st_mtime_ns
    assert not (target / "table.csv").exists()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("4 cells of 2 runs: ")
    assert finished.stat().st_mtime_ns == stands
    assert len(list(target.glob("cells/*.json"))) == 2
    assert sorted(path.name for path in target.iterdir()) == [
        "cells",
        "table.csv",
        "table.parquet",
        "tables.md",
    ]
    with (target / "table.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["target"], row["errors"]) for row in rows] == [("0.5", "")] * 2 + [("0.8", "")] * 2
    assert [float(row["reached"]) for row in rows] == pytest.approx([0.5, 0.5, 0.8, 0.8], abs=0.005)
