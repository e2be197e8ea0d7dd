"""The end of a run: the student folder and its card, and all figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from limbeck.atomic import write_json
from limbeck.evaluation.masked import measure_masked
from limbeck.evaluation.speed import by_system, measure_speed
from limbeck.formatting import layers_text, parameters_text
from limbeck.models.layers import depth
from limbeck.models.load import hub_name, load_tokenizer, load_weights, save_model
from limbeck.recipes.catalogue import recipe_card
from limbeck.results.record import Results, StageCost
from limbeck.results.record import System as Described
from limbeck.students.adapters import all_parameters
from limbeck.tasks.layer_similarity import layer_map
from limbeck.tasks.masked_lm.config import MaskedRunConfig
from limbeck.tasks.masked_lm.context import Context
from limbeck.tasks.masked_lm.rows import row_warnings
from limbeck.tasks.record import Facts, assemble, described, main_last
from limbeck.tasks.task import System
from limbeck.tasks.task_file import TASK_FILE

__all__ = ["compare_systems", "model_card", "write_student"]


def write_student(context: Context, student: Any, weights: Path, part: Path) -> None:
    """Write the first seed's student after its last stage, regardless of its score, into an empty folder.

    Args:
        context: of the run.
        student: any student of the run; its weights are replaced.
        weights: those of its last stage.
        part: the folder.
    """
    load_weights(student, weights)
    save_model(student, context.tokenizer, part)
    task = context.config.task.model_dump(mode="json")
    write_json(part / TASK_FILE, {**task, "max_length": context.max_length})


def compare_systems(
    context: Context, planned: Sequence[System], student: Any, costs: list[StageCost], command: str
) -> Results:
    """Return all figures of the run; `student` is the exported one."""
    context.progress.log("comparing the systems")
    config, rows = context.config, context.rows
    models = {"teacher": context.teacher, "student": student}
    systems = [_described(system, models) for system in main_last(planned)]
    of = {one.name: "teacher" if one.role == "teacher" else "student" for one in systems}
    mapped = layer_map(config, context.measured_pair, len(context.train))
    facts = Facts(
        kind=config.task.kind,
        name=Path(config.output).name,
        command=command,
        recipe=config.recipe.name,
        paper=recipe_card(config.recipe.name).paper,
        seeds=config.seeds,
        rows={
            "train": len(context.train.texts_read),
            "test": len(context.test.texts_read),
            "left_out": rows.left_out + len(context.train.bare) + len(context.test.bare),
        },
        fingerprints=rows.fingerprints,
    )
    return assemble(
        facts,
        measure_masked(systems, context.outputs),
        folder=context.folder,
        costs=costs,
        sections=[by_system(measure_speed(models, {}, timed=False), of), *([] if mapped is None else [mapped])],
        warnings=[*row_warnings(config, rows), *_bare_texts(context)],
    )


def _bare_texts(context: Context) -> list[str]:
    if not (bare := [*context.train.bare, *context.test.bare]):
        return []
    return [f"{len(bare)} texts have no token that can be masked and were left out, e.g. {bare[0]}."]


def _described(system: System, models: dict[str, Any]) -> Described:
    teacher, student = models["teacher"], models["student"]
    if system.role == "teacher":
        layers, words = depth(teacher), layers_text(depth(teacher), None)
    else:
        layers, words = depth(student), layers_text(depth(student), depth(teacher))
    size = all_parameters(teacher if system.role == "teacher" else student)
    return described(system, f"{words}, {parameters_text(size)} parameters", layers)


def model_card(config: MaskedRunConfig, results: Results, student: Path) -> str:
    """Return the model card of the student in a folder."""
    from limbeck.report.card import render_card
    from limbeck.report.use import masked_use

    use = masked_use(str(load_tokenizer(str(student)).mask_token))
    return render_card(results, use, hub_name(config.student.begins_as(config.teacher.model)))
