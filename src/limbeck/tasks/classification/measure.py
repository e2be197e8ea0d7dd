"""The end of a classification run: the student folder and its card, and all figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from limbeck.atomic import write_json
from limbeck.data.look_alikes import look_alike_warnings
from limbeck.evaluation.classification import Classified, HeldOut, measure_classification
from limbeck.evaluation.speed import by_system, load_warnings, measure_speed
from limbeck.formatting import layers_text, parameters_text
from limbeck.models.label_scorer import language_model_of
from limbeck.models.layers import depth, is_recurrent
from limbeck.models.load import hub_name, load_weights, reader_of, save_model
from limbeck.models.pooled_classifier import write_length_limit
from limbeck.models.retrieval_memory import write_memory
from limbeck.ranks import device
from limbeck.recipes.catalogue import recipe_card
from limbeck.results.record import Results
from limbeck.results.sections import Adapter, Calibration, Section, SimpleBaselines, Speed, Speeds, TeacherLabels
from limbeck.students.adapters import adapter_notes, all_parameters, merged_for_export, trainable_parameters
from limbeck.tasks.baselines import FROZEN, MAIN, TFIDF, untrained_warnings
from limbeck.tasks.classification.calibrate import calibration_of, collection_warnings
from limbeck.tasks.classification.config import RunConfig
from limbeck.tasks.classification.context import Context, ModelTeacher
from limbeck.tasks.classification.label_teacher import LabelTeacher, label_teacher_warnings, worth_of_labels
from limbeck.tasks.classification.memory_of_rows import memory_section
from limbeck.tasks.classification.pilot import advice_for
from limbeck.tasks.classification.rationales import rationale_note
from limbeck.tasks.classification.rows import demonstration_warnings, dev_warnings, leaked_rows, task_file
from limbeck.tasks.classification.simple_baselines import described_simply, model_like, timed_simply
from limbeck.tasks.layer_similarity import layer_map
from limbeck.tasks.record import Facts, assemble, described, last_stage, main_last
from limbeck.tasks.task import System
from limbeck.tasks.task_file import CALIBRATION_FILE, TASK_FILE, student_max_length

__all__ = ["Exported", "compare_systems", "model_card", "write_student"]


@dataclass(frozen=True)
class Exported:
    """Facts about the exported student only."""

    adapter: Adapter | None
    calibration: Calibration | None


def write_student(context: Context, part: Path) -> Exported:
    """Write the first seed's student after its last stage, regardless of its score, into an empty folder."""
    context.student.to(device())
    load_weights(context.student, last_stage(context.folder, context.costs, context.config.seeds[0]))
    adapter = _adapter_figures(context)
    merged_for_export(language_model_of(context.student))
    save_model(context.student, context.tokenizer, part)
    write_length_limit(context.student, part, context.max_length)
    write_json(part / TASK_FILE, task_file(context.config.task, context.rows.labels, context.max_length))
    memory = context.memories.get((MAIN, context.config.seeds[0]))
    if memory is not None:
        write_memory(memory, part)
    calibration = calibration_of(context)
    if calibration is not None:
        write_json(part / CALIBRATION_FILE, calibration.model_dump(include={"temperature", "rows", "labels"}))
    return Exported(adapter, calibration)


def _speeds(context: Context) -> Speeds:
    """Measure the student and, alternating with it, the teacher if it is a model, and the simplest baseline."""
    models, encoded = {"student": context.student}, {"student": context.test}
    if isinstance(context.teacher, ModelTeacher):
        models = {"teacher": context.teacher.model, **models}
        encoded = {"teacher": context.teacher.test, **encoded}
    timed = context.config.speed
    return measure_speed(models, encoded, beside=timed_simply(context) if timed else None, timed=timed)


def compare_systems(context: Context, planned: Sequence[System], exported: Exported, command: str) -> Results:
    """Return all figures of the run; the context's student is the exported one."""
    context.progress.log("measuring size and speed")
    speeds = _speeds(context)
    context.progress.log("comparing the systems")
    config, rows = context.config, context.rows
    held_out = HeldOut(rows.test, rows.test_labels, rows.labels)
    systems = [_classified(context, one, speeds.systems) for one in main_last(planned) if one.name in context.logits]
    facts = Facts(
        kind="classification",
        name=Path(config.output).name,
        command=command,
        recipe=config.recipe.name,
        paper=recipe_card(config.recipe.name).paper,
        seeds=config.seeds,
        rows={
            "train": len(rows.train),
            "labelled": rows.labelled,
            "test": len(rows.test),
            "left_out": rows.left_out,
        },
        fingerprints=rows.fingerprints,
    )
    sections: list[Section | None] = [
        _speed_section(context, systems, speeds),
        _teacher_labels(context.teacher) if isinstance(context.teacher, LabelTeacher) else None,
        context.teacher.ensemble if isinstance(context.teacher, LabelTeacher) else None,
        exported.adapter,
        exported.calibration,
        memory_section(context),
        layer_map(config, context.measured_pair, len(rows.train)),
    ]
    measured, simple = measure_classification(systems, held_out), list(context.simple_fits.values())
    if simple:
        measured = replace(measured, sections=[SimpleBaselines(fits=simple), *measured.sections])
    return assemble(
        facts,
        measured,
        folder=context.folder,
        costs=list(context.costs.values()),
        sections=[section for section in sections if section is not None],
        warnings=_warnings(context) + load_warnings(speeds),
    )


def _speed_section(context: Context, systems: Sequence[Classified], speeds: Speeds) -> Speeds:
    """Return size and speed by system; all students share the same, and so do models of one shape."""
    models = [one.system for one in systems if one.system.role != "simple"]
    of = {system.name: "teacher" if system.role == "teacher" else "student" for system in models}
    if (like := model_like(context)) is not None:
        of[FROZEN] = like
    return by_system(speeds, {**of, TFIDF: TFIDF})


def _adapter_figures(context: Context) -> Adapter | None:
    """Count trained parameters; must be called before the adapter is merged."""
    adapter = context.config.student.adapter
    if adapter is None:
        return None
    return Adapter(
        name=adapter.kind,
        trainable_parameters=trainable_parameters(context.student),
        parameters=all_parameters(context.student),
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


def _classified(context: Context, system: System, speeds: dict[str, Speed]) -> Classified:
    logits, is_teacher = context.logits[system.name], system.role == "teacher"
    if system.role == "simple":
        return Classified(described_simply(context, system), logits)
    temperatures = context.temperatures.get(system.name, {})
    if is_teacher and isinstance(context.teacher, LabelTeacher):
        return Classified(described(system, context.teacher.title), logits)
    whole = depth(context.teacher.model) if isinstance(context.teacher, ModelTeacher) else None
    if is_teacher and whole is not None:
        layers, of = whole, None
    else:
        layers, of = depth(context.student), None if is_recurrent(context.student.config) else whole
    speed = speeds["teacher" if is_teacher else "student"]
    detail = f"{layers_text(layers, of)}, {parameters_text(speed.parameters)} parameters"
    return Classified(described(system, detail, layers), logits, temperatures)


def _warnings(context: Context) -> list[str]:
    config, rows = context.config, context.rows
    found = label_teacher_warnings(context.teacher, rows.labels) if isinstance(context.teacher, LabelTeacher) else []
    if isinstance(context.teacher, LabelTeacher):
        worth = worth_of_labels(context.teacher, rows)
        if worth is not None and not worth.is_worth_it:
            found.append(f"The teacher is {worth}. {advice_for(config)}")
    found += context.warnings + look_alike_warnings(rows.labels)
    if context.rationales is not None:
        found.append(rationale_note(context.rationales))
    if rows.left_out:
        found.append(f"{rows.left_out} bad rows were left out; see quarantine-*.jsonl in the run folder.")
    if config.data.test is None:
        found.append("No test data were given: the held-out rows are a random part of the (labelled) training rows.")
    found += untrained_warnings(config.recipes(), rows.labelled, "label")
    if config.student.adapter is not None:
        found += adapter_notes(config.student.adapter)
    if leaked := leaked_rows(rows):
        found.append(f"{len(leaked)} held-out texts also occur in the training rows; figures may be too good.")
    return found + dev_warnings(config, rows) + demonstration_warnings(config, rows) + collection_warnings(rows)


def model_card(config: RunConfig, results: Results, student: Path) -> str:
    """Return the model card of the student in a folder."""
    from limbeck.report.card import render_card
    from limbeck.report.use import classifier_use

    max_length = student_max_length(student)
    assert max_length is not None, "write_student puts it there"
    use = classifier_use(
        max_length=max_length,
        pairs=config.task.text_pair is not None,
        reader=reader_of(student),
    )
    began_as = hub_name(config.student.begins_as(config.teacher.model))
    return render_card(results, use, began_as)
