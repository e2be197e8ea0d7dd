"""The end of a classification run: the student folder and its card, and all figures."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from limbeck.atomic import write_json
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
from limbeck.ranks import device
from limbeck.recipes.catalogue import recipe_card
from limbeck.results import (
    AdapterFigures,
    Comparison,
    Results,
    Speed,
    StudentCalibration,
    SystemName,
    TeacherLabels,
)
from limbeck.runs.bench import Bench, ModelTeacher
from limbeck.runs.calibrate import calibrate_student
from limbeck.runs.folder import RUN_FILE, environment
from limbeck.runs.label_teacher import LabelTeacher, label_teacher_warnings, worth_of_labels
from limbeck.runs.outcome import TITLES, read_curves
from limbeck.runs.pilot import advice_for
from limbeck.runs.prepare import demonstration_warnings, leaked_rows, task_file
from limbeck.runs.reasons import reason_note
from limbeck.students.adapters import adapter_notes, all_parameters, merged_for_export, trainable_parameters
from limbeck.tasks.task_file import CALIBRATION_FILE

__all__ = ["Exported", "compare_systems", "model_card", "write_student"]


@dataclass(frozen=True)
class Exported:
    """What is known of the exported student alone."""

    adapter: AdapterFigures | None
    calibration: StudentCalibration | None


def _first_distilled_folder(bench: Bench) -> Path:
    seed = bench.config.seeds[0]
    return sorted((bench.folder / "stages").glob(f"*-distilled-*-seed{seed}/done.json"))[-1].parent / "model"


def write_student(bench: Bench, part: Path) -> Exported:
    """Write the first seed's student after its last stage, whatever its score, into an empty folder."""
    bench.student.to(device())
    load_weights(bench.student, _first_distilled_folder(bench))
    adapter = _adapter_figures(bench)
    merged_for_export(language_model_of(bench.student))
    save_model(bench.student, bench.tokenizer, part)
    write_json(part / "task.json", task_file(bench.config.task, bench.rows.labels, bench.max_length))
    calibration = calibrate_student(bench)
    if calibration is not None:
        write_json(part / CALIBRATION_FILE, calibration.model_dump())
    return Exported(adapter, calibration)


def _speeds(bench: Bench) -> dict[str, Speed]:
    """Measure the student, and in turn with it the teacher, if it is a model."""
    models, encoded = {"student": bench.student}, {"student": bench.test}
    if isinstance(bench.teacher, ModelTeacher):
        models = {"teacher": bench.teacher.model, **models}
        encoded = {"teacher": bench.teacher.test, **encoded}
    return measure_speed(models, encoded)


def compare_systems(bench: Bench, exported: Exported, command: str) -> Results:
    """Return all figures of the run; the bench's student is the exported one."""
    bench.progress.say("measuring size and speed")
    speeds = _speeds(bench)
    bench.progress.say("comparing the systems")
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
        adapter=exported.adapter,
        calibration=exported.calibration,
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


def model_card(bench: Bench, results: Results, student: Path) -> str:
    """Return the model card of the student in a folder."""
    from limbeck.report.card import render_card
    from limbeck.report.use import classifier_use
    from limbeck.results.bridge import as_results

    config = bench.config
    use = classifier_use(
        max_length=bench.max_length,
        pairs=config.task.text_pair is not None,
        transformers_reads_it=is_plain_folder(student),
    )
    began_as = hub_name(config.student.begins_as(config.teacher.model))
    return render_card(as_results(results), began_as, use=use)
