"""The end of a run: figures, results.json, the report, and a student folder that anyone can use."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from limbeck.atomic import replace_folder, write_json, write_text
from limbeck.data.look_alikes import look_alike_warnings
from limbeck.evaluation.speed import measure_speed
from limbeck.evaluation.systems import (
    HeldOut,
    Predictions,
    always_the_most_frequent,
    compare,
    describe,
    describe_constant,
    disagreements,
)
from limbeck.evaluation.verdict import verdict
from limbeck.formatting import layers_text, parameters_text
from limbeck.models.label_scorer import language_model_of
from limbeck.models.layers import depth
from limbeck.models.load import hub_name, is_plain_folder, load_weights, save_model
from limbeck.ranks import is_main, wait_for_all
from limbeck.recipes.catalogue import recipe_card
from limbeck.results import (
    AdapterFigures,
    Comparison,
    Curve,
    Results,
    Speed,
    StageCost,
    StudentCalibration,
    SystemName,
    TeacherLabels,
)
from limbeck.runs.bench import Bench, ModelTeacher
from limbeck.runs.calibrate import calibrate_student
from limbeck.runs.folder import RUN_FILE, environment
from limbeck.runs.kept import mark_student, student_is_whole, write_results
from limbeck.runs.label_teacher import LabelTeacher, label_teacher_warnings, worth_of_labels
from limbeck.runs.pilot import advice_for
from limbeck.runs.prepare import demonstration_warnings, leaked_rows, task_file
from limbeck.runs.reasons import reason_note
from limbeck.runs.temperature import CALIBRATION_FILE
from limbeck.students.adapters import adapter_notes, all_parameters, merged_for_export, trainable_parameters

__all__ = ["TITLES", "read_curves", "write_outcome"]

TITLES: dict[SystemName, str] = {
    "teacher": "Teacher",
    "student_before": "Student before training",
    "fine_tuned": "Fine-tuned student",
    "random_order": "Student in random order",
    "distilled": "Distilled student",
}


def write_outcome(bench: Bench, command: str) -> Results:
    """Measure, compare, and write the student folder, ``results.json`` and ``report.html``."""
    from limbeck.report.page import write_report
    from limbeck.report.read import read_results

    results_file = bench.folder / "results.json"
    if is_main():
        if results_file.exists() and not student_is_whole(bench.folder, bench.progress):
            _write_student(bench, _first_distilled_folder(bench))
            _write_card(bench, read_results(results_file))
            mark_student(bench.folder)
        if not results_file.exists():
            adapter = _adapter_figures(bench)
            calibration = _write_student(bench, _first_distilled_folder(bench))
            bench.progress.say("measuring size and speed")
            speeds = _speeds(bench)
            bench.progress.say("comparing the systems")
            results = _results(bench, speeds, command).model_copy(
                update={"adapter": adapter, "calibration": calibration}
            )
            _write_card(bench, results)
            mark_student(bench.folder)
            write_results(bench.folder, results)
        bench.progress.say("drawing the report")
        write_report(read_results(results_file), bench.folder / "report.html")
    wait_for_all()
    return read_results(results_file)


def _first_distilled_folder(bench: Bench) -> Path:
    """Weights of the first seed's student after its last stage: the one that is exported, whatever its score."""
    seed = bench.config.seeds[0]
    return sorted((bench.folder / "stages").glob(f"*-distilled-*-seed{seed}/done.json"))[-1].parent / "model"


def _write_student(bench: Bench, weights: Path) -> StudentCalibration | None:
    load_weights(bench.student, weights)
    merged_for_export(language_model_of(bench.student))
    with replace_folder(bench.folder / "student") as part:
        save_model(bench.student, bench.tokenizer, part)
        write_json(part / "task.json", task_file(bench.config.task, bench.rows.labels, bench.max_length))
        calibration = calibrate_student(bench)
        if calibration is not None:
            write_json(part / CALIBRATION_FILE, calibration.model_dump())
    return calibration


def _speeds(bench: Bench) -> dict[str, Speed]:
    """Measure the student, and in turn with it the teacher, if it is a model."""
    models, encoded = {"student": bench.student}, {"student": bench.test}
    if isinstance(bench.teacher, ModelTeacher):
        models = {"teacher": bench.teacher.model, **models}
        encoded = {"teacher": bench.teacher.test, **encoded}
    return measure_speed(models, encoded)


def _results(bench: Bench, speeds: dict[str, Speed], command: str) -> Results:
    config, rows, costs = bench.config, bench.rows, list(bench.costs.values())
    held_out = HeldOut(rows.test, rows.test_labels, rows.labels)
    predictions = {name: _predictions(bench, name, speeds) for name in TITLES if name in bench.logits}
    teacher = predictions.get("teacher")
    systems = [
        describe(p, None if name == "teacher" else teacher, held_out,
                 speeds.get("teacher" if name == "teacher" else "student"))
        for name, p in predictions.items()
    ]  # fmt: skip
    comparisons = _comparisons(predictions, held_out)
    constant = always_the_most_frequent(held_out)
    if constant is not None:
        comparisons.append(compare(predictions["distilled"], constant, teacher, held_out, "accuracy"))
    most_frequent = describe_constant(constant, teacher, held_out) if constant is not None else None
    card = recipe_card(config.recipe.name)
    return Results(
        name=Path(config.output).name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        limbeck_version=version("limbeck"),
        command=command,
        verdict=verdict(systems, comparisons, most_frequent=most_frequent, passes=_passes(bench)),
        warnings=_warnings(bench),
        labels=rows.labels,
        train_rows=len(rows.train),
        labelled_rows=rows.labelled,
        test_rows=len(rows.test),
        left_out_rows=rows.left_out,
        recipe=config.recipe.name,
        paper=card.paper,
        systems=systems,
        comparisons=comparisons,
        most_frequent=most_frequent,
        curves=read_curves(bench.folder / "log.jsonl", costs),
        disagreements=disagreements(predictions["distilled"], teacher, held_out) if teacher else [],
        costs=costs,
        resolved_run=(bench.folder / RUN_FILE).read_text(encoding="utf-8"),
        environment=environment(),
        data_fingerprints=rows.fingerprints,
        teacher_labels=_teacher_labels(bench.teacher) if isinstance(bench.teacher, LabelTeacher) else None,
    )


def _passes(bench: Bench) -> float | None:
    """How often the fine-tuned student of a seed read each labelled row."""
    seen = next((cost.rows_seen for cost in bench.costs.values() if cost.system == "fine_tuned"), None)
    return seen / bench.rows.labelled if seen is not None and bench.rows.labelled else None


def _adapter_figures(bench: Bench) -> AdapterFigures | None:
    """Count what is trained; to be called before the adapter is merged."""
    adapter = bench.config.student.adapter
    if adapter is None:
        return None
    return AdapterFigures(
        kind=adapter.kind,
        trainable_parameters=trainable_parameters(bench.student),
        parameters=all_parameters(bench.student),
        notes=adapter_notes(adapter),
    )


def _teacher_labels(teacher: LabelTeacher) -> TeacherLabels:
    return TeacherLabels(
        source=teacher.title,
        route=teacher.train.how,
        calibration=list(teacher.train.steps),
        train_rows=int(teacher.train.kept_N.sum()),
        test_rows=int(teacher.test.kept_N.sum()),
        flags=teacher.train.count(),
    )


def _predictions(bench: Bench, name: SystemName, speeds: dict[str, Speed]) -> Predictions:
    if name == "teacher" and isinstance(bench.teacher, LabelTeacher):
        return Predictions(name, TITLES[name], bench.teacher.title, None, bench.logits[name])
    whole = depth(bench.teacher.model) if isinstance(bench.teacher, ModelTeacher) else None
    if name == "teacher" and whole is not None:
        layers, of = whole, None
    else:
        layers, of = depth(bench.student), whole
    speed = speeds["teacher" if name == "teacher" else "student"]
    detail = f"{layers_text(layers, of)}, {parameters_text(speed.parameters)} parameters"
    return Predictions(name, TITLES[name], detail, layers, bench.logits[name])


def _comparisons(predictions: dict[SystemName, Predictions], held_out: HeldOut) -> list[Comparison]:
    pairs: list[tuple[SystemName, SystemName]] = [
        ("distilled", "fine_tuned"),
        ("distilled", "random_order"),
        ("distilled", "teacher"),
        ("fine_tuned", "teacher"),
        ("distilled", "student_before"),
    ]
    teacher = predictions.get("teacher")
    metrics = ["accuracy", "macro_f1"] if len(held_out.labelled) else []
    found = []
    for first, second in pairs:
        if first in predictions and second in predictions:
            fidelity = ["agreement"] if teacher is not None and second != "teacher" else []
            for metric in metrics + fidelity:
                found.append(compare(predictions[first], predictions[second], teacher, held_out, metric))
    return found


def read_curves(log: Path, stages: Sequence[StageCost]) -> list[Curve]:
    """Turn the lines of log.jsonl into one curve for each of the run's stages, its seed and series.

    Lines of other stages are there where a run went on with another recipe after it was stopped in a stage.
    """
    from limbeck.stages.callbacks import read_log

    of_run = [(one.stage, one.system, one.seed) for one in stages]
    points: dict[tuple[str, SystemName, int, str], list[tuple[int, float]]] = {}
    for line in read_log(log):
        if (line.get("stage"), line.get("system"), line.get("seed")) not in of_run:
            continue
        for series, value in line.items():
            shown = series in ("loss", "learning_rate") or series.startswith(("term/", "train/"))
            if shown and isinstance(value, int | float):
                key = (line["stage"], line["system"], line["seed"], series)
                points.setdefault(key, []).append((line["step"], float(value)))
    return [
        Curve(stage=stage, system=system, seed=seed, series=series,
              steps=[step for step, _ in values], values=[value for _, value in values])
        for (stage, system, seed, series), values in points.items()
    ]  # fmt: skip


def _warnings(bench: Bench) -> list[str]:
    config, rows = bench.config, bench.rows
    found = label_teacher_warnings(bench.teacher, rows.labels) if isinstance(bench.teacher, LabelTeacher) else []
    if isinstance(bench.teacher, LabelTeacher):
        worth = worth_of_labels(bench.teacher, rows)
        if worth is not None and not worth.is_worth_it:
            found.append(f"The teacher is {worth}. {advice_for(config)}")
    found += bench.warnings + look_alike_warnings(rows.labels)
    if bench.reasons is not None:
        found.append(reason_note(bench.reasons))
    if rows.left_out:
        found.append(f"{rows.left_out} bad rows were left out; see quarantine-*.jsonl in the run folder.")
    if config.data.test is None:
        found.append("No test data were given: the held-out rows are a random part of the (labelled) training rows.")
    if rows.labelled == 0:
        found.append("No training row has a label, so there is no fine-tuned student to compare with.")
    if config.student.adapter is not None:
        found += adapter_notes(config.student.adapter)
    if len(config.seeds) < 3:
        found.append(
            f"{len(config.seeds)} training seed{'s' if len(config.seeds) > 1 else ''}: the intervals cover the choice "
            "of held-out rows, not the luck of a training run. Use three seeds or more for that (seeds: [0, 1, 2])."
        )
    if leaked := leaked_rows(rows):
        found.append(f"{len(leaked)} held-out texts also occur in the training rows; figures may be too good.")
    return found + demonstration_warnings(config, rows)


def _write_card(bench: Bench, results: Results) -> None:
    from limbeck.report.card import ClassifierUse, render_card

    config = bench.config
    use = ClassifierUse(
        max_length=bench.max_length,
        pairs=config.task.text_pair is not None,
        transformers_reads_it=is_plain_folder(bench.folder / "student"),
    )
    began_as = hub_name(config.student.begins_as(config.teacher.model))
    text = render_card(results, began_as, license=None, language=[], use=use)
    write_text(bench.folder / "student" / "README.md", text)
