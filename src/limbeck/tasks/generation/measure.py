"""The end of a generation run: the student folder and its card, and all figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from limbeck.atomic import write_json
from limbeck.data.generation.encoded import EncodedSequences
from limbeck.data.generation.templates import uses_chat_template
from limbeck.evaluation.generation.outputs import HeldOutTexts
from limbeck.evaluation.generation.speed import writing_speed
from limbeck.evaluation.writing import Writer, measure_writing
from limbeck.formatting import layers_text, parameters_text
from limbeck.models.language_model import is_encoder_decoder
from limbeck.models.layers import depth
from limbeck.models.load import hub_name, load_tokenizer, load_weights, save_model
from limbeck.ranks import device
from limbeck.recipes.catalogue import recipe_card
from limbeck.results.record import Results, StageCost
from limbeck.results.sections import Speed, Speeds, Writing
from limbeck.tasks.baselines import untrained_warnings
from limbeck.tasks.generation.config import TextRunConfig
from limbeck.tasks.generation.context import Context
from limbeck.tasks.generation.rows import dev_warnings, leaked_texts
from limbeck.tasks.generation.settings import set_padding, set_writing
from limbeck.tasks.generation.training import measured_pair
from limbeck.tasks.layer_similarity import layer_map
from limbeck.tasks.record import Facts, assemble, described, main_last
from limbeck.tasks.task import System

__all__ = ["compare_systems", "held_out_texts", "model_card", "write_student"]


def write_student(context: Context, student: Any, weights: Path, part: Path) -> None:
    """Write the first seed's student after its last stage, regardless of its score, into an empty folder.

    Args:
        context: of the run.
        student: any student of the run; its weights are replaced.
        weights: those of its last stage.
        part: the folder.
    """
    load_weights(student, weights)
    set_writing(student, context.student_tokenizer, context.train_rows)
    set_padding(context.student_tokenizer, student)
    save_model(student, context.student_tokenizer, part)
    task = context.config.task.model_dump(mode="json")
    write_json(part / "task.json", {**task, "max_length": context.max_length})


def compare_systems(
    context: Context, planned: Sequence[System], student: Any, costs: list[StageCost], command: str
) -> Results:
    """Return all figures of the run; `student` is the exported one."""
    context.progress.log("measuring size and speed, and comparing the systems")
    config, rows = context.config, context.rows
    models = {"teacher": context.teacher, "student": student}
    speeds = {
        name: writing_speed(model.to(device()), context.test, context.answered, config.speed)
        for name, model in models.items()
        if model is not None
    }
    systems = [_writer(context, student, one, speeds) for one in main_last(planned) if one.name in context.outputs]
    facts = Facts(
        kind="generation",
        name=Path(config.output).name,
        command=command,
        recipe=config.recipe.name,
        paper=recipe_card(config.recipe.name).paper,
        seeds=config.seeds,
        rows={
            "train": len(rows.train) - len(context.train_rows.left_out),
            "test": len(context.test),
            "left_out": _left_out(context),
        },
        words={"Teacher": config.teacher.model, "Student": _student_words(config)},
        fingerprints=rows.fingerprints,
    )
    mapped = layer_map(config, measured_pair(context), len(context.train_rows))
    of = {one.system.name: "teacher" if one.system.role == "teacher" else "student" for one in systems}
    return assemble(
        facts,
        measure_writing(systems, held_out_texts(context, context.test), metrics=config.answers.metrics),
        folder=context.folder,
        costs=costs,
        sections=[
            _writing(context, student),
            Speeds(systems={name: speeds[model] for name, model in of.items()}),
            *([mapped] if mapped is not None else []),
        ],
        warnings=_warnings(context),
    )


def _writing(context: Context, student: Any) -> Writing:
    answers = context.config.answers
    how = "the most likely token" if answers.temperature == 0 else f"sampled at temperature {answers.temperature:g}"
    return Writing(
        task=_task_words(context.config),
        encoder_decoder=is_encoder_decoder(student),
        decoding=f"{how}, at most {answers.max_new_tokens} tokens" if len(context.answered) else None,
        test_tokens=int(context.test.supervised.sum()),
    )


def _task_words(config: TextRunConfig) -> str:
    if config.task.text is not None:
        return "plain text"
    return "conversations" if config.task.messages is not None else "prompt and completion"


def _student_words(config: TextRunConfig) -> str:
    student = config.student
    if student.model is not None:
        return student.model if student.cut is None else f"layers of {student.model}"
    if student.pruned is not None:
        return "the teacher, pruned"
    return "layers of the teacher" if student.from_teacher is not None else "random weights"


def _writer(context: Context, student: Any, system: System, speeds: Mapping[str, Speed]) -> Writer:
    model = context.teacher if system.role == "teacher" else student
    speed = speeds["teacher" if system.role == "teacher" else "student"]
    shape = f"{layers_text(depth(model))} of width {model.config.hidden_size}"
    detail = f"{shape}, {parameters_text(speed.parameters)} parameters"
    return Writer(described(system, detail), context.outputs[system.name])


def held_out_texts(context: Context, encoded: EncodedSequences) -> HeldOutTexts:
    """Return prompts and references as decoded by the tokenizer, as read by all systems."""
    decode = context.student_tokenizer.decode
    if context.rows.test.task.text is not None:
        return HeldOutTexts([], [])
    rows = range(len(encoded))
    return HeldOutTexts(
        [decode(encoded.prompt_ids(row).tolist(), skip_special_tokens=True).strip() for row in rows],
        [decode(encoded.completion_ids(row).tolist(), skip_special_tokens=True).strip() for row in rows],
    )


def _left_out(context: Context) -> int:
    """Return the number of bad rows, plus rows that did not fit the token limit."""
    return context.rows.left_out + len(context.train_rows.left_out) + len(context.test.left_out)


def _warnings(context: Context) -> list[str]:
    config, rows = context.config, context.rows
    found = [f"Held-out rows: {finding}" for finding in context.test.findings]
    if context.teacher is None:
        found.append(
            "The teacher runs on a server and was only asked about the training rows: its own figures on the "
            "held-out rows, KL to it, agreement with it, its size and its speed are unknown."
        )
    if left_out := _left_out(context):
        found.append(f"{left_out} bad rows were left out; see quarantine-*.jsonl in the run folder.")
    if config.data.test is None:
        found.append("No test data were given: the held-out rows are a random part of the training rows.")
    if 0 < len(context.answered) < len(context.test):
        found.append(
            f"{len(context.answered)} of {len(context.test)} held-out prompts were answered, a random part "
            "(answers.rows); figures of probabilities are for all."
        )
    found += untrained_warnings(config.recipes(), len(context.completed_rows), "completion")
    if leaked := leaked_texts(rows):
        found.append(f"{len(leaked)} held-out rows also occur in the training rows; figures may be too good.")
    return found + dev_warnings(config, rows)


def model_card(config: TextRunConfig, results: Results, student: Path) -> str:
    """Return the model card of the student in a folder."""
    from limbeck.report.card import render_card
    from limbeck.report.use import writer_use

    writing = results.section(Writing)
    task, encoder = config.task, writing is not None and writing.encoder_decoder
    use = writer_use(
        encoder_decoder=encoder,
        chat=uses_chat_template(task, load_tokenizer(str(student)), encoder_decoder=encoder),
        system=task.system,
        separator="" if encoder or task.text is not None else task.separator,
    )
    began_as = hub_name(config.student.begins_as(config.teacher.model))
    return render_card(results, use, began_as)
