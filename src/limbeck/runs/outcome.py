"""The end of a run: figures, results.json, the report, and a student folder that anyone can use."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limbeck.atomic import replace_folder, write_json, write_text
from limbeck.data.encode import Encoded
from limbeck.evaluation.speed import measure_speed
from limbeck.evaluation.systems import HeldOut, Predictions, compare, describe, disagreements
from limbeck.evaluation.verdict import verdict
from limbeck.models.layers import depth
from limbeck.models.load import load_weights, save_model
from limbeck.ranks import is_main, wait_for_all
from limbeck.recipes.catalogue import recipe_card
from limbeck.results import Comparison, Curve, Results, Speed, StageCost, SystemName
from limbeck.runs.config import RunConfig
from limbeck.runs.folder import RUN_FILE, environment
from limbeck.runs.prepare import RunRows, leaked_rows, task_file
from limbeck.types import Progress

__all__ = ["TITLES", "Outcome", "read_curves", "write_outcome"]

TITLES: dict[SystemName, str] = {
    "teacher": "Teacher",
    "student_before": "Student before training",
    "fine_tuned": "Fine-tuned student",
    "distilled": "Distilled student",
}


@dataclass(frozen=True)
class Outcome:
    """What the figures are made from."""

    config: RunConfig
    folder: Path
    rows: RunRows
    teacher: Any
    student: Any
    """The last seed's distilled student; all seeds have the same shape."""
    tokenizer: Any
    max_length: int
    encoded_for_teacher: Encoded
    encoded_for_student: Encoded
    logits: dict[SystemName, dict[int, NDArray[np.float32]]]
    costs: list[StageCost]
    command: str


def write_outcome(outcome: Outcome, progress: Progress) -> Results:
    """Measure, compare, and write the student folder, ``results.json`` and ``report.html``."""
    from limbeck.report.page import write_report
    from limbeck.report.read import read_results

    results_file = outcome.folder / "results.json"
    if is_main():
        if not results_file.exists():
            first = _first_distilled_folder(outcome)
            _write_student(outcome, first)
            progress.say("measuring size and speed")
            results = _results(outcome, _speeds(outcome))
            _write_card(outcome, results)
            write_json(results_file, results.model_dump())
        write_report(read_results(results_file), outcome.folder / "report.html")
    wait_for_all()
    return read_results(results_file)


def _first_distilled_folder(outcome: Outcome) -> Path:
    """Weights of the first seed's student after its last stage: the one that is exported, whatever its score."""
    seed = outcome.config.seeds[0]
    return sorted((outcome.folder / "stages").glob(f"*-distilled-*-seed{seed}"))[-1] / "model"


def _write_student(outcome: Outcome, weights: Path) -> None:
    load_weights(outcome.student, weights)
    with replace_folder(outcome.folder / "student") as part:
        save_model(outcome.student, outcome.tokenizer, part)
        write_json(part / "task.json", task_file(outcome.config.task, outcome.rows.labels, outcome.max_length))


def _speeds(outcome: Outcome) -> dict[str, Speed]:
    return measure_speed(
        {"teacher": outcome.teacher, "student": outcome.student},
        {"teacher": outcome.encoded_for_teacher, "student": outcome.encoded_for_student},
    )


def _results(outcome: Outcome, speeds: dict[str, Speed]) -> Results:
    config, rows = outcome.config, outcome.rows
    held_out = HeldOut(rows.test, rows.test_labels, rows.labels)
    predictions = {name: _predictions(outcome, name, speeds) for name in TITLES if name in outcome.logits}
    teacher = predictions["teacher"]
    systems = [
        describe(p, None if name == "teacher" else teacher, held_out,
                 speeds["teacher" if name == "teacher" else "student"])
        for name, p in predictions.items()
    ]  # fmt: skip
    comparisons = _comparisons(predictions, held_out)
    card = recipe_card(config.recipe.name)
    return Results(
        name=Path(config.output).name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        limbeck_version=version("limbeck"),
        command=outcome.command,
        verdict=verdict(systems, comparisons),
        warnings=_warnings(outcome),
        labels=rows.labels,
        train_rows=len(rows.train),
        labelled_rows=rows.labelled,
        test_rows=len(rows.test),
        left_out_rows=rows.left_out,
        recipe=config.recipe.name,
        paper=card.paper,
        systems=systems,
        comparisons=comparisons,
        curves=read_curves(outcome.folder / "log.jsonl"),
        disagreements=disagreements(predictions["distilled"], teacher, held_out),
        costs=outcome.costs,
        resolved_run=(outcome.folder / RUN_FILE).read_text(encoding="utf-8"),
        environment=environment(),
        data_fingerprints=rows.fingerprints,
    )


def _predictions(outcome: Outcome, name: SystemName, speeds: dict[str, Speed]) -> Predictions:
    model = outcome.teacher if name == "teacher" else outcome.student
    speed = speeds["teacher" if name == "teacher" else "student"]
    layers = depth(model)
    of = f" of {depth(outcome.teacher)}" if name != "teacher" else ""
    detail = f"{layers}{of} layers, {speed.parameters / 1e6:.1f} M parameters"
    return Predictions(name, TITLES[name], detail, layers, outcome.logits[name])


def _comparisons(predictions: dict[SystemName, Predictions], held_out: HeldOut) -> list[Comparison]:
    pairs: list[tuple[SystemName, SystemName]] = [
        ("distilled", "fine_tuned"),
        ("distilled", "teacher"),
        ("fine_tuned", "teacher"),
        ("distilled", "student_before"),
    ]
    metrics = ["accuracy", "macro_f1"] if len(held_out.labelled) else []
    found = []
    for first, second in pairs:
        if first in predictions and second in predictions:
            fidelity = [] if second == "teacher" else ["agreement"]
            for metric in metrics + fidelity:
                found.append(
                    compare(predictions[first], predictions[second], predictions["teacher"], held_out, metric)
                )
    return found


def read_curves(log: Path) -> list[Curve]:
    """Turn the lines of log.jsonl into one curve for each stage, seed and series."""
    from limbeck.stages.callbacks import read_log

    points: dict[tuple[str, SystemName, int, str], list[tuple[int, float]]] = {}
    for line in read_log(log):
        for series, value in line.items():
            if series in ("loss", "learning_rate") or series.startswith(("term/", "train/")):
                key = (line["stage"], line["system"], line["seed"], series)
                points.setdefault(key, []).append((line["step"], float(value)))
    return [
        Curve(stage=stage, system=system, seed=seed, series=series,
              steps=[step for step, _ in values], values=[value for _, value in values])
        for (stage, system, seed, series), values in points.items()
    ]  # fmt: skip


def _warnings(outcome: Outcome) -> list[str]:
    config, rows = outcome.config, outcome.rows
    found = []
    if rows.left_out:
        found.append(f"{rows.left_out} bad rows were left out; see quarantine-*.jsonl in the run folder.")
    if config.data.test is None:
        found.append("No test data were given: the held-out rows are a random part of the (labelled) training rows.")
    if rows.labelled == 0:
        found.append("No training row has a label, so there is no fine-tuned student to compare with.")
    if len(config.seeds) < 3:
        found.append(
            f"{len(config.seeds)} training seed{'s' if len(config.seeds) > 1 else ''}: the intervals cover the choice "
            "of held-out rows, not the luck of a training run. Use three seeds or more for that (seeds: [0, 1, 2])."
        )
    if leaked := leaked_rows(rows):
        found.append(f"{len(leaked)} held-out texts also occur in the training rows; figures may be too good.")
    return found


def _write_card(outcome: Outcome, results: Results) -> None:
    from limbeck.report.card import render_card

    model = outcome.config.teacher.model
    text = render_card(results, base_model=None if Path(model).exists() else model, license=None, language=[])
    write_text(outcome.folder / "student" / "README.md", text)
