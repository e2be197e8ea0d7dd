"""The end of a run with a head: its student in a folder, and all figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from limbeck.atomic import write_json
from limbeck.evaluation.speed import by_system, load_warnings, measure_speed
from limbeck.formatting import layers_text, parameters_text
from limbeck.models.layers import depth, is_recurrent
from limbeck.models.load import load_weights, save_model
from limbeck.models.pooled_classifier import write_length_limit
from limbeck.ranks import device
from limbeck.recipes.catalogue import recipe_card
from limbeck.results.record import Results, StageCost
from limbeck.results.record import System as Described
from limbeck.results.sections import Adapter, Section
from limbeck.students.adapters import adapter_notes, all_parameters, merged_for_export, trainable_parameters
from limbeck.tasks.baselines import untrained_warnings
from limbeck.tasks.head_coder import Array
from limbeck.tasks.head_context import HeadContext
from limbeck.tasks.record import Facts, assemble, described
from limbeck.tasks.task import System
from limbeck.tasks.task_file import TASK_FILE

__all__ = ["export_student", "results_of"]


def export_student(context: HeadContext, weights: Path, part: Path) -> Adapter | None:
    """Write the first seed's distilled student after its last stage, regardless of its score; return its adapter."""
    student = context.student.model.to(device())
    load_weights(student, weights)
    adapter, found = context.config.student.adapter, None
    if adapter is not None:
        found = Adapter(
            name=adapter.kind,
            trainable_parameters=trainable_parameters(student),
            parameters=all_parameters(student),
            notes=adapter_notes(adapter),
        )
        merged_for_export(student)
    context.coder.finish(student)
    save_model(student, context.student.tokenizer, part)
    write_length_limit(student, part, context.max_length)
    write_json(part / TASK_FILE, {**context.coder.task_values(), "max_length": context.max_length})
    return found


def results_of(
    context: HeadContext,
    systems: Sequence[System],
    outputs: Mapping[str, Mapping[int, Array]],
    costs: Sequence[StageCost],
    sections: Sequence[Section | None],
    command: str,
) -> Results:
    """Return all figures of a run, from the outputs for the held-out rows by system and seed, with more `sections`."""
    models = {"student": context.student, **({} if context.teacher is None else {"teacher": context.teacher})}
    speeds = measure_speed(
        {name: used.model for name, used in models.items()},
        {name: used.test.inputs for name, used in models.items()},
        timed=context.config.speed,
    )
    recorded = [_described(context, system) for system in systems]
    of = {one.name: "teacher" if one.role == "teacher" else "student" for one in recorded}
    config, recipe, rows = context.config, context.config.recipe.name, context.rows
    facts = Facts(
        kind=config.task.kind,
        name=Path(config.output).name,
        command=command,
        recipe=recipe,
        paper=recipe_card(recipe).paper,
        seeds=config.seeds,
        rows=rows.counts,
        fingerprints=rows.fingerprints,
    )
    return assemble(
        facts,
        context.coder.measure(recorded, outputs),
        folder=context.folder,
        costs=list(costs),
        sections=[by_system(speeds, of), *(section for section in sections if section is not None)],
        warnings=[
            *rows.warnings,
            *untrained_warnings(config.recipes(), rows.labelled, "gold answer"),
            *load_warnings(speeds),
        ],
    )


def _described(context: HeadContext, system: System) -> Described:
    teacher, of_teacher = context.teacher, system.role == "teacher"
    if of_teacher and teacher is None:
        detail, layers = f"answers in {', '.join(context.config.teacher.columns)}", None
    else:
        used = teacher if of_teacher and teacher is not None else context.student
        alone = of_teacher or teacher is None or is_recurrent(used.model.config)
        whole = None if alone or teacher is None else depth(teacher.model)
        layers = depth(used.model)
        detail = f"{layers_text(layers, whole)}, {parameters_text(all_parameters(used.model))} parameters"
    return described(system, detail, layers)
