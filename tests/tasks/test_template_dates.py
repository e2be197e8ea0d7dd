"""One day for a whole run, whatever day it is: where a chat template writes the date."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file
from tests.runs.interruption import StopAfter
from tests.tasks.generation.text_models import CHATML, LLAMA, make_model, save, text_sections, trained

import limbeck
from limbeck.data.generation.records import Example, Examples, Message
from limbeck.data.prompts.label_prompt import LabelPrompt
from limbeck.errors import ConfigError, ModelError
from limbeck.runs.config import run_config
from limbeck.runs.examine import examine
from limbeck.runs.folder import record_run
from limbeck.tasks.classification.config import RunConfig
from limbeck.tasks.classification.dates import date_notes, with_label_dates
from limbeck.tasks.classification.prompted_teacher import rendered_prompts
from limbeck.tasks.finding import Finding
from limbeck.tasks.generation.config import TextRunConfig
from limbeck.tasks.generation.dates import with_text_date
from limbeck.tasks.generation.harness import evaluate_tasks
from limbeck.tasks.generation.predict import WritingStudent
from limbeck.tasks.generation.store import fill_store_of
from limbeck.tasks.template_dates import dated_prompt
from limbeck.types import Origin, SilentProgress

DATED = "{{ '<|im_start|>' + strftime_now('%d') + '<|im_end|>' }}" + CHATML
FIRST, SECOND = date(2026, 11, 1), date(2026, 11, 2)


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch) -> Callable[[date], None]:
    """Make it another day, for templates."""
    import transformers.utils.chat_template_utils as templates

    def change(day: date) -> None:
        class Clock(datetime):
            @classmethod
            def now(cls, tz: Any = None) -> Any:
                return datetime(day.year, day.month, day.day, 12)

        monkeypatch.setattr(templates, "datetime", Clock)

    change(FIRST)
    return change


@pytest.fixture
def sections(tmp_path: Path) -> dict[str, Any]:
    """A run whose teacher's template writes the day of the month."""
    model, tokenizer = trained("chat")
    dated = copy.copy(tokenizer)
    dated.chat_template = DATED
    sections = text_sections(tmp_path, "chat", teacher={"model": save(model, dated, tmp_path / "dated")})
    sections["training"]["checkpoints"] = 4
    return sections


def config_of(sections: dict[str, Any]) -> TextRunConfig:
    config = run_config(sections)
    assert isinstance(config, TextRunConfig)
    return config


def recorded(folder: Path) -> Any:
    return yaml.safe_load((folder / "run.yaml").read_text(encoding="utf-8"))["task"]["date"]


def weights(folder: str | Path) -> dict[str, torch.Tensor]:
    return load_file(Path(folder) / "student" / "model.safetensors")


def same(first: str | Path, second: str | Path) -> bool:
    ours, theirs = weights(first), weights(second)
    return all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.slow
def test_a_run_that_goes_on_tomorrow_is_the_run_of_today(
    sections: dict[str, Any], on: Callable[[date], None], tmp_path: Path
) -> None:
    whole = Path(sections["output"])
    limbeck.distill(**sections)
    assert recorded(whole) == "2026-11-01"
    sections["output"] = str(tmp_path / "stopped")
    with pytest.raises(KeyboardInterrupt):
        limbeck.distill(progress=StopAfter(2), **sections)
    on(SECOND)
    limbeck.distill(**sections)
    assert recorded(tmp_path / "stopped") == "2026-11-01"
    assert same(whole, tmp_path / "stopped")
    # A run that begins tomorrow is another; the same one again is not.
    sections["output"] = str(tmp_path / "tomorrow")
    limbeck.distill(**sections)
    assert recorded(tmp_path / "tomorrow") == "2026-11-02"
    assert not same(whole, tmp_path / "tomorrow")
    sections["output"], sections["task"]["date"] = str(tmp_path / "named"), "2026-11-01"
    limbeck.distill(**sections)
    assert same(whole, tmp_path / "named")


@pytest.mark.slow
def test_a_store_of_yesterday_has_every_row(
    sections: dict[str, Any], on: Callable[[date], None], tmp_path: Path
) -> None:
    sections["teacher"]["store"] = str(tmp_path / "store")
    rows, _ = fill_store_of(config_of(sections), SilentProgress())
    assert rows == 48
    assert json.loads((tmp_path / "store" / "store.json").read_text(encoding="utf-8"))["date"] == "2026-11-01"
    on(SECOND)
    assert fill_store_of(config_of(sections), SilentProgress()) == (0, 0.0)
    limbeck.distill(**sections)
    assert recorded(Path(sections["output"])) == "2026-11-01"
    sections["output"], sections["task"]["date"] = str(tmp_path / "another"), "2026-11-02"
    with pytest.raises(ConfigError, match="another date in the template: 2026-11-01 in the store, 2026-11-02 wanted"):
        limbeck.distill(**sections)


@pytest.mark.slow
def test_the_student_goes_on_with_the_day_of_its_run(
    sections: dict[str, Any], on: Callable[[date], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    limbeck.distill(**sections)
    on(SECOND)
    student = WritingStudent(Path(sections["output"]) / "student")
    row = Example((Message("user", "hello"),), None, Origin("rows", 1))
    encoded = student.encode(Examples(student.prompts, [row], 0, 0, "", ()), 4)
    assert student.tokenizer.decode(encoded.prompt_ids(0)).startswith("<|im_start|>01<|im_end|>")
    # Its folder has the template as it came, so other programs write their own day.
    assert student.tokenizer.chat_template == DATED
    messages = [{"role": "user", "content": "hello"}]
    assert student.tokenizer.apply_chat_template(messages, tokenize=False).startswith("<|im_start|>02<|im_end|>")
    # Tasks of lm-eval are laid out by limbeck.
    shown: list[str] = []

    def figures(system: str, model: Any, tokenizer: Any, tasks: Any, **options: Any) -> list[Any]:
        shown.append(tokenizer.apply_chat_template(messages, tokenize=False))
        return []

    monkeypatch.setattr("limbeck.tasks.generation.harness.harness_figures", figures)
    evaluate_tasks(f"{sections['output']}/student", ["task"], against=None, progress=SilentProgress())
    assert [text[:22] for text in shown] == ["<|im_start|>01<|im_end|>"[:22]]


def test_only_a_template_that_asks_has_a_day(sections: dict[str, Any], on: Any, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    assert with_text_date(config_of(sections), folder).task.date == FIRST
    plain = {"kind": "generation", "prompt": "question", "completion": "answer", "template": "plain"}
    assert with_text_date(config_of({**sections, "task": plain}), folder).task.date is None
    undated = text_sections(tmp_path, "chat")
    assert with_text_date(config_of(undated), folder).task.date is None
    # The student's template may be the one that asks.
    model, tokenizer = make_model(LLAMA, rows=360), copy.copy(trained("chat")[1])
    tokenizer.chat_template = DATED
    undated["student"] = {"model": save(model, tokenizer, tmp_path / "student")}
    assert with_text_date(config_of(undated), folder).task.date == FIRST
    tokenizer.chat_template = "{{ ['a', 'b'] | random }}" + CHATML
    undated["student"] = {"model": save(model, tokenizer, tmp_path / "student")}
    with pytest.raises(ModelError, match="is random: it renders"):
        with_text_date(config_of(undated), folder)


@pytest.mark.parametrize("record", ["", "task: []\n", "task: {date: never}\n", "a: [\n", "\x00"])
def test_a_damaged_record_or_store_has_no_day(sections: dict[str, Any], on: Any, tmp_path: Path, record: str) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "run.yaml").write_text(record)
    (folder / "store.json").write_text("{}")
    sections["teacher"]["store"] = str(folder)
    assert with_text_date(config_of(sections), folder).task.date == FIRST


def test_the_doctor_says_so(sections: dict[str, Any], on: Any) -> None:
    findings: dict[str, Finding] = {one.check: one for one in examine(config_of(sections), SilentProgress())}
    assert findings["template"].level == "note"
    words = "It writes today's date; in this run always 2026-11-01 (task.date)"
    assert words in findings["template"].message
    assert findings["losses"].level != "fault"


# ---- prompts that label ----------------------------------------------------------------------------------------


@pytest.fixture
def asked(tmp_path: Path) -> Callable[..., RunConfig]:
    """Return the maker of a run whose teacher is a local model with a prompt."""
    model, tokenizer = trained("chat")
    dated = copy.copy(tokenizer)
    dated.chat_template = DATED
    save(model, tokenizer, tmp_path / "undated")
    folder = save(model, dated, tmp_path / "teacher")

    def make(student: dict[str, Any], **teacher: Any) -> RunConfig:
        sections = {
            "data": {"train": "rows.jsonl"}, "teacher": {"model": folder, "prompt": {}, **teacher},
            "student": student, "recipe": "kd", "output": str(tmp_path / "run"),
        }  # fmt: skip
        config = run_config(sections)
        assert isinstance(config, RunConfig)
        return config

    return make


def prompt_text(prompt: LabelPrompt, tokenizer: Any) -> str:
    return rendered_prompts(prompt, [{"text": "hello"}], ["a", "b"], tokenizer)[0].text


def test_a_prompted_teacher_reads_one_day(
    asked: Callable[..., RunConfig], on: Callable[[date], None], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    config = with_label_dates(asked({"model": "org/encoder"}), folder)
    assert config.teacher.prompt is not None
    assert config.teacher.prompt.date == FIRST
    assert list(date_notes(config)) == [
        "the teacher's chat template asks for today's date; in this run it is always 2026-11-01 "
        "(teacher.prompt.date)"
    ]  # fmt: skip
    record_run(folder, config, {}, SilentProgress())
    on(SECOND)
    again = with_label_dates(asked({"model": "org/encoder"}), folder)
    assert again == config
    tokenizer = copy.copy(trained("chat")[1])
    tokenizer.chat_template = DATED
    assert prompt_text(again.teacher.prompt, tokenizer).startswith("<|im_start|>01<|im_end|>")  # type: ignore[arg-type]
    assert prompt_text(LabelPrompt(), tokenizer).startswith("<|im_start|>02<|im_end|>")
    assert prompt_text(LabelPrompt(date=FIRST, layout="plain"), tokenizer).startswith("Classify")
    other = with_label_dates(asked({"model": "org/encoder"}), tmp_path / "other")
    assert other.teacher.prompt is not None
    assert other.teacher.prompt.date == SECOND


def test_prompts_without_a_dated_template_have_none(asked: Callable[..., RunConfig], on: Any, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    for teacher in ({"model": str(tmp_path / "undated")}, {"prompt": {"layout": "plain"}}):
        config = asked({"model": "org/encoder"}, **teacher)
        assert with_label_dates(config, folder) == config
        assert not list(date_notes(config))
    api = {"model": None, "api": {"base_url": "http://127.0.0.1:9/v1", "model": "m"}}
    config = asked({"model": "org/encoder"}, **api)
    assert with_label_dates(config, folder) == config


def test_a_student_that_answers_in_words_reads_the_teachers_day(
    asked: Callable[..., RunConfig], on: Any, tmp_path: Path
) -> None:
    dated, undated = ({"model": str(tmp_path / name), "head": "verbaliser"} for name in ("teacher", "undated"))
    config = with_label_dates(asked(dated), tmp_path / "run")
    assert config.student.prompt is None, "it is the teacher's, with its day"
    own = {"prompt": {"instruction": "Say which."}}
    config = with_label_dates(asked({**undated, **own}), tmp_path / "run")
    assert config.student.prompt is not None
    assert config.student.prompt.date == FIRST, "else the two prompts would differ by it"
    # Without a teacher's prompt it has one of its own.
    config = with_label_dates(asked(dated, model=None, prompt=None, labels_from="label"), tmp_path / "run")
    assert config.student.prompt is not None
    assert (config.student.prompt.date, config.student.prompt.body) == (FIRST, "text")
    config = with_label_dates(asked(undated, model=None, prompt=None, labels_from="label"), tmp_path / "run")
    assert config.student.prompt is None


def test_commands_without_a_run_file_keep_the_day_in_their_folder(on: Callable[[date], None], tmp_path: Path) -> None:
    tokenizer = copy.copy(trained("chat")[1])
    assert dated_prompt(LabelPrompt(), tokenizer, tmp_path).date is None
    tokenizer.chat_template = DATED
    assert dated_prompt(LabelPrompt(layout="plain"), tokenizer, tmp_path).date is None
    assert not list(tmp_path.iterdir())
    assert dated_prompt(LabelPrompt(), tokenizer, tmp_path).date == FIRST
    on(SECOND)
    assert dated_prompt(LabelPrompt(), tokenizer, tmp_path).date == FIRST
    assert dated_prompt(LabelPrompt(date=SECOND), tokenizer, tmp_path).date == SECOND
    (tmp_path / "template_date.json").write_text('"never"')
    assert dated_prompt(LabelPrompt(), tokenizer, tmp_path).date == SECOND
