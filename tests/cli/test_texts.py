"""Commands on a generation run and its student."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.evaluation.measured import find, section, value
from tests.tasks.generation.text_models import as_messages, held_out_rows, text_sections, train_rows, write_jsonl

from limbeck.results.read import read_results

Command = Callable[..., tuple[int, str, str]]


def make_student(folder: Path, kind: str) -> Path:
    """A student folder as a run leaves it: a teacher that knows the task, with a task file."""
    sections = text_sections(folder, kind)
    task = {"kind": "generation", **sections["task"], "max_length": 96}
    student = Path(sections["teacher"]["model"])
    (student / "task.json").write_text(json.dumps(task), encoding="utf-8")
    return student


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_student(tmp_path_factory.mktemp("student"), "llama")


def answers(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


# ---- predict ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_predict_answers_a_line_a_prompt(student: Path, limbeck: Command) -> None:
    """A text, or a row with the field of the prompt; what else a row has is not read."""
    row = {"question": train_rows()[1]["question"], "answer": 5}
    code, out, errors = limbeck("predict", str(student), stdin=f"{train_rows()[0]['question']}\n\n{json.dumps(row)}\n")
    assert code == 0, errors
    wanted = [{"prompt": r["question"], "answer": r["answer"], "cut_off": False} for r in train_rows()[:2]]
    assert answers(out) == wanted


@pytest.mark.slow
def test_predict_reads_files_of_all_kinds_and_writes_one(student: Path, limbeck: Command, tmp_path: Path) -> None:
    rows = train_rows()[:20]
    lines = tmp_path / "prompts.txt"
    lines.write_text("\n".join(row["question"] for row in rows), encoding="utf-8")
    outputs = []
    for file in (write_jsonl(tmp_path / "rows.jsonl", rows), str(lines)):
        target = tmp_path / "answers.jsonl"
        code, out, errors = limbeck("predict", str(student), file, "--output", str(target))
        assert (code, out) == (0, ""), errors
        outputs.append(answers(target.read_text(encoding="utf-8")))
    assert outputs[0] == outputs[1]
    assert [one["prompt"] for one in outputs[0]] == [row["question"] for row in rows]
    assert sum(one["answer"] == row["answer"] for one, row in zip(outputs[0], rows, strict=True)) > 15


@pytest.mark.slow
def test_predict_cuts_answers_off_and_samples(student: Path, limbeck: Command) -> None:
    prompt = train_rows()[2]["question"]
    code, out, _ = limbeck("predict", str(student), "--max-new-tokens", "1", stdin=prompt)
    (one,) = answers(out)
    assert (code, one["cut_off"]) == (0, True)
    assert train_rows()[2]["answer"].startswith(one["answer"])
    many = "\n".join([prompt] * 12)
    _, greedy, _ = limbeck("predict", str(student), stdin=many)
    _, sampled, _ = limbeck("predict", str(student), "--temperature", "5", "--max-new-tokens", "8", stdin=many)
    assert len({one["answer"] for one in answers(greedy)}) == 1
    assert len({one["answer"] for one in answers(sampled)}) > 6


@pytest.mark.slow
def test_predict_writes_as_rows_come(student: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An endless input gives answers, a batch behind it."""
    from limbeck.data.generation.records import Example, Message
    from limbeck.tasks.generation.predict import WritingStudent
    from limbeck.types import Origin

    read = []

    def endless() -> Any:
        while True:
            read.append(1)
            yield Example((Message("user", "where is my card"),), None, Origin("", len(read)))

    stream = WritingStudent(student).write_stream(endless(), max_new_tokens=3, batch_rows=4)
    assert next(stream)["prompt"] == "where is my card"
    assert len(read) == 4


@pytest.mark.slow
def test_predict_goes_on_with_a_conversation(limbeck: Command, tmp_path: Path) -> None:
    """Rows with messages, whose last turn by the assistant is not read; a line of text is a user's turn."""
    student = make_student(tmp_path, "chat")
    rows = [*as_messages(train_rows()[:1]), {"messages": as_messages(train_rows()[1:2])[0]["messages"][:1]}]
    lines = "".join(json.dumps(row) + "\n" for row in rows) + train_rows()[2]["question"]
    code, out, errors = limbeck("predict", str(student), stdin=lines)
    assert code == 0, errors
    assert [one["answer"] for one in answers(out)] == [row["answer"] for row in train_rows()[:3]]


@pytest.mark.slow
def test_predict_with_an_encoder_and_a_decoder(limbeck: Command, tmp_path: Path) -> None:
    student = make_student(tmp_path, "t5")
    code, out, errors = limbeck("predict", str(student), "--max-new-tokens", "96", stdin="where is my card")
    assert code == 0, errors
    assert answers(out)[0]["answer"]


@pytest.mark.slow
def test_predict_goes_on_with_plain_text(student: Path, limbeck: Command, tmp_path: Path) -> None:
    import shutil

    plain = tmp_path / "plain"
    shutil.copytree(student, plain)
    task = {"kind": "generation", "text": "body", "max_length": 64}
    (plain / "task.json").write_text(json.dumps(task), encoding="utf-8")
    text = train_rows()[0]["question"] + "\n\n"  # as the rows were laid out
    code, out, errors = limbeck("predict", str(plain), stdin=json.dumps({"body": text}))
    assert code == 0, errors
    assert answers(out)[0]["answer"] == train_rows()[0]["answer"]


@pytest.mark.parametrize(
    ("words", "stdin", "message"),
    [
        ([], "{broken", "standard input:1: looks like JSON but is not"),
        ([], '{"text": "a"}', "field 'question'"),
        (["--top", "2"], "a", "--top is not for generative students"),
        (["--max-new-tokens", "500"], "a", "reads at most 96 tokens, prompt and answer together. Give at most 94"),
        (["--lang", "bg"], "a", "--lang is not for generative students"),
        (["--max-new-tokens", "0"], "a", "--max-new-tokens: Input should be greater than 0"),
        (["nowhere.jsonl"], "", "nowhere.jsonl"),
    ],
    ids=["broken", "field", "top", "too_long", "language", "none_new", "no_file"],
)
def test_predict_says_what_is_wrong(
    words: list[str], stdin: str, message: str, student: Path, limbeck: Command
) -> None:
    code, _, errors = limbeck("predict", str(student), *words, stdin=stdin)
    assert code == 2
    assert message in errors


def test_predict_options_of_writing_are_refused_elsewhere(limbeck: Command, tmp_path: Path) -> None:
    code, _, errors = limbeck("predict", str(tmp_path), "--temperature", "1", stdin="a")
    assert code == 2
    assert "--temperature is not for students that label texts" in errors


@pytest.mark.parametrize("content", ["{", '{"kind": "generation", "prompt": "question"}', '{"kind": "generation"}'])
def test_a_damaged_task_file(content: str, student: Path, limbeck: Command, tmp_path: Path) -> None:
    import shutil

    damaged = tmp_path / "damaged"
    shutil.copytree(student, damaged)
    (damaged / "task.json").write_text(content, encoding="utf-8")
    code, _, errors = limbeck("predict", str(damaged), stdin="a")
    assert code == 2
    assert "task.json is damaged" in errors


# ---- evaluate ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_run_from_the_command_line_then_its_student_again(limbeck: Command, tmp_path: Path) -> None:
    """`evaluate` finds the figures that the run reported, and the report is built again as it was."""
    sections = text_sections(tmp_path, answers={"rows": 12, "max_new_tokens": 48}, training={
        "max_steps": 6, "batch_size": 8, "learning_rate": 1e-2, "max_length": 96,
    })  # fmt: skip
    run_file = tmp_path / "run.yaml"
    run_file.write_text("".join(f"{name}: {json.dumps(v)}\n" for name, v in sections.items()), encoding="utf-8")
    code, _, errors = limbeck("distill", str(run_file))
    assert code == 0, errors
    for words in ("figures on 12 held-out rows", "perplexity", "report:", "student:"):
        assert words in errors
    folder = Path(sections["output"])
    results = read_results(folder)
    assert results.run.command == f"limbeck distill {run_file}"

    teacher, figures = sections["teacher"]["model"], tmp_path / "figures.json"
    words = [str(folder / "student"), sections["data"]["test"], "--against", teacher, "--output", str(figures)]
    code, _, errors = limbeck("evaluate", *words)
    assert code == 0, errors
    for name in ("perplexity", "ROUGE-L", "exact"):
        assert name.lower() in errors.lower()
    again = read_results(figures)
    assert [system.name for system in again.systems if system.role != "constant"] == ["distilled", "teacher"]
    for system in ("distilled", "teacher"):
        for metric in ("nll", "kl", "agreement", "rouge_l", "exact_match"):
            before, now = (find(one, system, metric) for one in (results, again))
            assert (now is None) == (before is None), metric
            assert now is None or before is None or now.value == pytest.approx(before.value, abs=1e-6), metric

    page = (folder / "report.html").read_bytes()
    (folder / "report.html").unlink()
    assert limbeck("report", str(folder))[0] == 0
    assert (folder / "report.html").read_bytes() == page


@pytest.mark.slow
def test_evaluate_a_student_alone(student: Path, limbeck: Command, tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    rows = write_jsonl(tmp_path / "rows.jsonl", held_out_rows())
    code, _, errors = limbeck("evaluate", str(student), rows, "--output", str(figures))
    assert code == 0, errors
    found = read_results(figures)
    assert value(found, "distilled", "exact_match") > 0.5
    assert re.search(r"- Always the most frequent answer: '[\w ]+', the reference of 3 of 12", errors)
    assert re.search(r"Exact match .* 25.0 %", errors)
    assert find(found, "distilled", "kl") is None
    assert value(found, "distilled", "perplexity") < 5


@pytest.mark.slow
def test_evaluate_against_a_model_of_other_tokens(student: Path, limbeck: Command, tmp_path: Path) -> None:
    from tests.tasks.generation.text_models import LLAMA, make_model, make_tokenizer, save

    tokenizer = make_tokenizer(size=300)
    other = save(make_model(LLAMA, rows=len(tokenizer)), tokenizer, tmp_path / "other")
    figures = tmp_path / "figures.json"
    rows = write_jsonl(tmp_path / "rows.jsonl", held_out_rows())
    code, _, errors = limbeck("evaluate", str(student), rows, "--against", other, "--output", str(figures))
    assert code == 0, errors
    found = read_results(figures)
    assert not any(figure.metric == "kl" for figure in found.figures)
    assert any("different tokens" in warning for warning in found.warnings)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--text", "question"], "--text is not for generative students"),
        (["--layout", "rows"], "--layout is not for generative students"),
    ],
    ids=["text", "layout"],
)
def test_evaluate_refuses_options_of_other_students(
    words: list[str], message: str, student: Path, limbeck: Command, tmp_path: Path
) -> None:
    rows = write_jsonl(tmp_path / "rows.jsonl", held_out_rows())
    code, _, errors = limbeck("evaluate", str(student), rows, *words)
    assert code == 2
    assert message in errors


def test_evaluate_needs_completions(student: Path, limbeck: Command, tmp_path: Path) -> None:
    rows = write_jsonl(tmp_path / "rows.jsonl", [{"question": row["question"]} for row in held_out_rows()])
    code, _, errors = limbeck("evaluate", str(student), rows)
    assert code == 2
    assert "no row has the field 'answer'" in errors


def test_evaluate_on_tasks_of_lm_eval_needs_the_extra(
    student: Path, limbeck: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Said before anything is measured; with it, the figures stand in the JSON beside the others."""

    from limbeck.results.sections import Harness, HarnessFigure

    rows, figures = write_jsonl(tmp_path / "rows.jsonl", held_out_rows()), tmp_path / "figures.json"
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "lm_eval", None)
        code, _, errors = limbeck("evaluate", str(student), rows, "--lm-eval", "hellaswag", "--output", str(figures))
    assert code == 2
    assert "pip install 'limbeck[lm-eval]'" in errors
    assert "perplexity" not in errors
    assert not figures.exists()
    code, _, errors = limbeck("evaluate", str(student), rows, "--lm-eval", " , ")
    assert code == 2
    assert "give tasks, separated by commas" in errors
    code, _, errors = limbeck("evaluate", str(tmp_path), rows, "--lm-eval", "hellaswag")
    assert code == 2
    assert "--lm-eval is not for students that label texts" in errors

    found = HarnessFigure(
        system="distilled", task="topics", metric="acc", value=0.75, standard_error=0.1, higher_is_better=True,
        samples=12, shots=0, version="1",
    )  # fmt: skip
    monkeypatch.setattr("limbeck.tasks.generation.harness.require_harness", lambda: None)
    monkeypatch.setattr("limbeck.tasks.generation.harness.harness_figures", lambda *words, **options: [found])
    code, _, errors = limbeck("evaluate", str(student), rows, "--lm-eval", "topics", "--output", str(figures))
    assert code == 0, errors
    assert "0.750 ± 0.100" in errors
    written = read_results(figures)
    assert section(written, Harness).figures == [found]
    assert written.systems


# ---- store, doctor, recipes, help -------------------------------------------------------------------------------


@pytest.mark.slow
def test_store_and_doctor_on_a_run_file(limbeck: Command, tmp_path: Path) -> None:
    sections = text_sections(tmp_path)
    run_file = tmp_path / "run.yaml"
    run_file.write_text("".join(f"{name}: {json.dumps(v)}\n" for name, v in sections.items()), encoding="utf-8")
    store = ["--set", f"teacher.store={tmp_path / 'store'}"]
    code, _, errors = limbeck("doctor", str(run_file), *store)
    assert code == 2
    assert "fault store:" in errors
    code, _, errors = limbeck("store", str(run_file), *store)
    assert code == 0, errors
    found = re.search(r"48 rows kept; the kept tokens hold ([\d.]+) %", errors)
    assert found is not None
    assert 50 < float(found[1]) < 100  # 64 of 360 tokens, at the temperature 2 of kd
    assert "every row is already in the store" in limbeck("store", str(run_file), *store)[2]
    code, _, errors = limbeck("doctor", str(run_file), *store)
    assert code == 0, errors
    for check in ("data:", "layout:", "vocabulary:", "end token:", "store:", "losses:", "memory:", "time:"):
        assert check in errors
    # A word that names no folder is a fault of the file, not of the program.
    code, _, errors = limbeck("store", str(run_file))
    assert code == 2
    assert "teacher.store is missing" in errors


def test_store_is_for_runs_on_texts(limbeck: Command, tmp_path: Path) -> None:
    run_file = tmp_path / "run.yaml"
    sections = {"data": {"train": "rows.jsonl"}, "teacher": {"model": "m"}, "student": {"model": "m"}}
    run_file.write_text(json.dumps({**sections, "recipe": "pkd", "output": "x"}), encoding="utf-8")
    code, _, errors = limbeck("store", str(run_file))
    assert code == 2
    assert "keeps the teacher's signals itself; limbeck store is not needed" in errors


def test_recipes_shows_one_of_texts(limbeck: Command) -> None:
    code, out, _ = limbeck("recipes", "gkd")
    assert code == 0
    for words in (
        "Text generation",
        "arXiv:2306.13649",
        "teacher logits and its vocabulary",
        "on_policy_fraction: 0.5",
    ):
        assert words in out
    listed = limbeck("recipes")[1]
    for name in ("fine_tune", "kd", "seqkd", "minillm", "distillm", "f_distill"):
        assert f"\n{name}\n" in listed


@pytest.mark.parametrize("command", ["distill", "doctor", "evaluate", "predict", "recipes", "store"])
def test_the_examples_in_help_are_commands(command: str, limbeck: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is parsed by the command itself: no option or argument that it does not have."""
    import importlib

    import click
    import typer.main

    from limbeck.cli.app import app

    code, out, _ = limbeck(command, "--help")
    assert code == 0
    assert "Example" in out
    text = importlib.import_module(f"limbeck.cli.{command}").HELP
    text = re.sub(r"^ +", "", text, flags=re.MULTILINE)
    examples = re.findall(r"(?:^|\| )limbeck (\w+)([^|>\n]*)", text, re.MULTILINE)
    assert command in [name for name, _ in examples]
    group = typer.main.get_command(app)
    for name, rest in examples:
        found = group.get_command(click.Context(group), name)  # type: ignore[attr-defined]
        found.make_context(name, shlex.split(rest))
