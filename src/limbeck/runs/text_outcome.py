"""The end of a run on texts: figures, results.json, the report, and a student folder that anyone can use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limbeck.atomic import replace_folder, write_json, write_text
from limbeck.data.generation.encoded import EncodedSequences
from limbeck.data.generation.templates import uses_chat_template
from limbeck.evaluation.generation.measure import measure_generation
from limbeck.evaluation.generation.outputs import GeneratingSystem, HeldOutTexts, SystemOutputs
from limbeck.evaluation.generation.speed import writing_speed
from limbeck.evaluation.generation.verdict import generation_verdict
from limbeck.formatting import layers_text, parameters_text
from limbeck.generation_results import GenerationResults, GenerationSpeed
from limbeck.models.language_model import is_encoder_decoder
from limbeck.models.layers import depth
from limbeck.models.load import hub_name, load_weights, save_model
from limbeck.ranks import device, is_main, wait_for_all
from limbeck.recipes.catalogue import recipe_card
from limbeck.results import StageCost, SystemName
from limbeck.runs.folder import RUN_FILE, environment
from limbeck.runs.kept import mark_student, student_is_whole, write_results
from limbeck.runs.outcome import TITLES, read_curves
from limbeck.runs.text_config import TextRunConfig
from limbeck.runs.text_data import TextRows, leaked_texts
from limbeck.runs.text_settings import set_padding, set_writing
from limbeck.types import Progress

__all__ = ["TextOutcome", "write_text_outcome"]


@dataclass(frozen=True)
class TextOutcome:
    """What the figures are made from."""

    config: TextRunConfig
    folder: Path
    rows: TextRows
    teacher: Any
    """``None``: it runs on a server, so nothing is known of its size, its speed and its figures."""
    student: Any
    """Any student of this run; its weights are replaced."""
    tokenizer: Any
    train: EncodedSequences
    test: EncodedSequences
    outputs: Mapping[SystemName, Mapping[int, SystemOutputs]]
    answered: NDArray[np.int64]
    costs: list[StageCost]
    max_length: int
    command: str


def write_text_outcome(outcome: TextOutcome, progress: Progress) -> GenerationResults:
    """Measure, compare, and write the student folder, ``results.json`` and ``report.html``."""
    from limbeck.report.page import write_report

    results_file = outcome.folder / "results.json"
    if is_main():
        if results_file.exists() and not student_is_whole(outcome.folder, progress):
            _write_student(outcome)
            _write_card(outcome, _written(results_file))
            mark_student(outcome.folder)
        if not results_file.exists():
            _write_student(outcome)
            progress.say("measuring size and speed, and comparing the systems")
            results = _results(outcome)
            _write_card(outcome, results)
            mark_student(outcome.folder)
            write_results(outcome.folder, results)
        progress.say("drawing the report")
        write_report(_written(results_file), outcome.folder / "report.html")
    wait_for_all()
    return _written(results_file)


def _written(results_file: Path) -> GenerationResults:
    from limbeck.report.read import read_any_results

    results = read_any_results(results_file)
    assert isinstance(results, GenerationResults)
    return results


def _write_student(outcome: TextOutcome) -> None:
    """Export the first seed's student after its last stage, whatever its score."""
    seed = outcome.config.seeds[0]
    stages = sorted((outcome.folder / "stages").glob(f"distilled-*-seed{seed}/done.json"))
    load_weights(outcome.student, stages[-1].parent / "model")
    set_writing(outcome.student, outcome.tokenizer, outcome.train)
    set_padding(outcome.tokenizer, outcome.student)
    with replace_folder(outcome.folder / "student") as part:
        save_model(outcome.student, outcome.tokenizer, part)
        task = outcome.config.task.model_dump(mode="json")
        write_json(part / "task.json", {**task, "max_length": outcome.max_length})


def _results(outcome: TextOutcome) -> GenerationResults:
    config, rows = outcome.config, outcome.rows
    models = {"teacher": outcome.teacher, "student": outcome.student}
    speeds = {
        name: writing_speed(model.to(device()), outcome.test, outcome.answered)
        for name, model in models.items()
        if model is not None
    }
    systems = [_system(outcome, name, speeds) for name in TITLES if name in outcome.outputs]
    figures = measure_generation(systems, _held_out(outcome), metrics=config.answers.metrics)
    answers = config.answers
    how = "the likeliest token" if answers.temperature == 0 else f"sampled at temperature {answers.temperature:g}"
    return GenerationResults(
        name=Path(config.output).name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        limbeck_version=version("limbeck"),
        command=outcome.command,
        verdict=generation_verdict(figures, outcome.costs),
        warnings=[*_warnings(outcome), *figures.warnings],
        task=_task_words(config),
        teacher=config.teacher.model,
        student=_student_words(config),
        encoder_decoder=is_encoder_decoder(outcome.student),
        recipe=config.recipe.name,
        paper=recipe_card(config.recipe.name).paper,
        decoding=f"{how}, at most {answers.max_new_tokens} tokens" if len(outcome.answered) else None,
        seeds=list(config.seeds),
        train_rows=len(rows.train) - len(outcome.train.left_out),
        test_rows=len(outcome.test),
        test_tokens=int(outcome.test.supervised.sum()),
        left_out_rows=_left_out(outcome),
        figures=figures,
        curves=read_curves(outcome.folder / "log.jsonl", outcome.costs),
        costs=outcome.costs,
        resolved_run=(outcome.folder / RUN_FILE).read_text(encoding="utf-8"),
        environment=environment(),
        data_fingerprints=rows.fingerprints,
    )


def _task_words(config: TextRunConfig) -> str:
    if config.task.text is not None:
        return "plain text"
    return "conversations" if config.task.messages is not None else "prompt and completion"


def _student_words(config: TextRunConfig) -> str:
    student = config.student
    if student.model is not None:
        return student.model
    return "layers of the teacher" if student.from_teacher is not None else "random weights"


def _system(outcome: TextOutcome, name: SystemName, speeds: Mapping[str, GenerationSpeed]) -> GeneratingSystem:
    model = outcome.teacher if name == "teacher" else outcome.student
    speed = speeds["teacher" if name == "teacher" else "student"]
    shape = f"{layers_text(depth(model))} of width {model.config.hidden_size}"
    detail = f"{shape}, {parameters_text(speed.parameters)} parameters"
    return GeneratingSystem(name, TITLES[name], detail, speed, outcome.outputs[name])


def _held_out(outcome: TextOutcome) -> HeldOutTexts:
    """Prompts and references as the tokenizer gives them back: what all systems have read."""
    test, decode = outcome.test, outcome.tokenizer.decode
    if outcome.rows.test.task.text is not None:
        return HeldOutTexts([], [])
    rows = range(len(test))
    return HeldOutTexts(
        [decode(test.prompt_ids(row).tolist(), skip_special_tokens=True).strip() for row in rows],
        [decode(test.completion_ids(row).tolist(), skip_special_tokens=True).strip() for row in rows],
    )


def _left_out(outcome: TextOutcome) -> int:
    """Rows that were refused when they were read, and rows that then did not fit the token limit."""
    return outcome.rows.left_out + len(outcome.train.left_out) + len(outcome.test.left_out)


def _warnings(outcome: TextOutcome) -> list[str]:
    config, rows = outcome.config, outcome.rows
    found = [f"Held-out rows: {finding}" for finding in outcome.test.findings]
    if outcome.teacher is None:
        found.append(
            "The teacher runs on a server and was asked about the training rows alone: its own figures on the "
            "held-out rows, KL to it, agreement with it, its size and its speed are not known."
        )
    if left_out := _left_out(outcome):
        found.append(f"{left_out} bad rows were left out; see quarantine-*.jsonl in the run folder.")
    if config.data.test is None:
        found.append("No test data were given: the held-out rows are a random part of the training rows.")
    if 0 < len(outcome.answered) < len(outcome.test):
        found.append(
            f"{len(outcome.answered)} of {len(outcome.test)} held-out prompts were answered, a random part "
            "(answers.rows); probabilities are of all."
        )
    if leaked := leaked_texts(rows):
        found.append(f"{len(leaked)} held-out rows also occur in the training rows; figures may be too good.")
    return found


def _write_card(outcome: TextOutcome, results: GenerationResults) -> None:
    from limbeck.report.generation_card import WritingUse, render_generation_card

    config, encoder = outcome.config, results.encoder_decoder
    task = config.task
    use = WritingUse(
        chat=uses_chat_template(task, outcome.tokenizer, encoder_decoder=encoder),
        system=task.system,
        separator="" if encoder or task.text is not None else task.separator,
    )
    began_as = hub_name(config.student.begins_as(config.teacher.model))
    text = render_generation_card(results, began_as, None, [], use)
    write_text(outcome.folder / "student" / "README.md", text)
