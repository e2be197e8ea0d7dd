"""What a generation run leaves behind: the student's folder, and what is said about the figures."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from tests.evaluation.measured import figure, section
from tests.tasks.generation.text_models import text_sections, train_rows, write_jsonl

import limbeck
from limbeck.models.load import load_language_model, load_tokenizer, weights_fingerprint
from limbeck.results import Results
from limbeck.results.sections import Samples, Speeds, Writing
from limbeck.tasks.run_config import Student


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Results]:
    """A run with two seeds on rows of which some are there twice and one is bad; half of them are held out."""
    folder = tmp_path_factory.mktemp("run")
    sections = text_sections(folder, answers={"rows": 9, "max_new_tokens": 4, "temperature": 0.7}, seeds=[3, 1])
    rows = [*train_rows(), *train_rows()[:8], {"question": 5, "answer": "a"}]
    train = write_jsonl(folder / "rows.jsonl", rows)
    sections["data"] = {"train": train, "on_bad_row": "quarantine", "test_size": 0.5}
    sections["training"]["max_steps"] = 2
    patch = pytest.MonkeyPatch()
    patch.setattr("limbeck.report.page.write_report", lambda results, path: path.touch())
    results = limbeck.distill(**sections)
    patch.undo()
    assert isinstance(results, Results)
    return Path(sections["output"]), results


@pytest.mark.slow
def test_the_first_seeds_student_is_exported(run: tuple[Path, Results]) -> None:
    """Whatever its score: the best of several on the held-out rows would be too good."""
    folder, _ = run
    exported, trained = (
        weights_fingerprint(load_language_model(str(path)))
        for path in (folder / "student", folder / "stages" / "distilled-01-kd-seed3" / "model")
    )
    assert exported == trained
    other = load_language_model(str(folder / "stages" / "distilled-01-kd-seed1" / "model"))
    assert weights_fingerprint(other) != exported
    assert load_tokenizer(str(folder / "student"))("where is it")["input_ids"]


@pytest.mark.slow
def test_the_card_says_what_it_is(run: tuple[Path, Results]) -> None:
    card = (run[0] / "student" / "README.md").read_text(encoding="utf-8")
    assert "limbeck" in card
    assert "1503.02531" in card
    assert "base_model" not in card  # the student has random weights
    assert str(run[0].parent) not in card


@pytest.mark.parametrize(
    ("student", "began_as"),
    [
        ({"model": "org/small"}, "org/small"),
        ({"from_teacher": {"layers": [1]}}, "org/large"),
        ({"config": {"model_type": "llama"}}, None),
    ],
)
def test_the_card_names_the_model_that_the_student_began_as(student: dict[str, Any], began_as: str | None) -> None:
    assert Student.model_validate(student).begins_as("org/large") == began_as


@pytest.mark.slow
def test_warnings_are_about_this_run(run: tuple[Path, Results]) -> None:
    _, results = run
    text = "\n".join(results.warnings)
    assert "1 bad rows were left out" in text
    assert "No test data were given" in text
    assert "9 of 28 held-out prompts were answered" in text
    assert "held-out rows also occur in the training rows" in text
    assert results.run.rows["left_out"] == 1


@pytest.mark.slow
def test_the_record_says_how_the_figures_came_to_be(run: tuple[Path, Results]) -> None:
    _, results = run
    writing, speeds = section(results, Writing), section(results, Speeds).systems
    assert writing.decoding == "sampled at temperature 0.7, at most 4 tokens"
    assert (writing.task, results.run.facts["Student"]) == ("prompt and completion", "random weights")
    assert not writing.encoder_decoder
    rows = results.run.rows
    assert (results.run.seeds, rows["train"], rows["test"]) == ([3, 1], 28, 28)
    assert [(cost.system, cost.seed, cost.steps) for cost in results.costs] == [
        ("distilled", 3, 2), ("distilled", 1, 2),
    ]  # fmt: skip
    by_name = {system.name: system for system in results.systems}
    assert list(figure(results, "distilled", "nll").seeds) == [1, 3]
    assert by_name["distilled"].detail.startswith("1 layer of width 16, ")
    assert re.fullmatch(r".*, \d\d?\.\d k parameters", by_name["distilled"].detail)
    assert speeds["teacher"].parameters > speeds["distilled"].parameters
    assert speeds["teacher"].tokens_per_second is not None
    assert all(len(sample.answers) >= 2 for sample in section(results, Samples).samples)


@pytest.mark.slow
def test_samples_hold_the_held_out_prompts_and_references(run: tuple[Path, Results]) -> None:
    rows = {row["question"]: row["answer"] for row in train_rows()}
    samples = section(run[1], Samples).samples
    assert samples
    assert all(rows[sample.prompt] == sample.reference for sample in samples)


@pytest.mark.slow
def test_what_was_measured_is_not_measured_again(run: tuple[Path, Results]) -> None:
    """Each system has a file of its sums and its answers."""
    files = sorted(path.name for path in (run[0] / "predictions").iterdir())
    names = ["distilled-seed1", "distilled-seed3", "student_init-seed1", "student_init-seed3", "teacher-seed3"]
    assert files == [f"{name}.json" for name in names]
    values = json.loads((run[0] / "predictions" / "distilled-seed3.json").read_text(encoding="utf-8"))
    assert len(values["nll_sum_N"]) == len(values["kl_sum_N"]) == len(values["texts"]) == 28
    assert sum(text is not None for text in values["texts"]) == 9
