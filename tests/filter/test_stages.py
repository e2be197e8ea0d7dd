"""Who scores the stages: an entailment classifier, a local causal model, an API."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from limbeck.data.articles.article import Article
from limbeck.errors import ConfigError, TeacherError
from limbeck.filter import stages
from limbeck.filter.config import ArticleSet, Judge, Screen
from limbeck.filter.stages import Question, judge_of, screen_of
from limbeck.tasks.classification import prompted_teacher
from limbeck.teachers.labels.label_probs import LabelProbs
from limbeck.types import Rows

ABOUT = ArticleSet(files="x", crisis="an energy crisis", keywords=["blackout"])
QUESTIONS = [Question(Article("1", "Blackout here", title="News"), ABOUT), Question(Article("2", "Rain"), ABOUT)]


def nothing(n: int, note: str = "") -> None:
    pass


class Entailment:
    """Stands for a loaded classifier of pairs."""

    labels = ("contradiction", "Entailment", "neutral")
    seen: ClassVar[list[Rows]] = []

    def __init__(self, model: str) -> None:
        self.model = model

    def logits(self, rows: Rows, update: Any) -> Any:
        Entailment.seen.append(rows)
        return np.log(np.array([[0.1, 0.7, 0.2], [0.5, 0.25, 0.25]])[: len(rows)]).astype(np.float32)


def test_an_entailment_classifier_reads_title_and_lead_with_the_hypothesis(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "Predictor", Entailment)
    asker = screen_of(Screen(model="org/nli"))
    assert asker.ask(QUESTIONS, nothing) == pytest.approx([0.7, 0.25])
    rows = Entailment.seen[-1]
    assert rows.text == ["News. Blackout here", "Rain"]
    assert rows.text_pair == ["This article is about an energy crisis."] * 2
    assert asker.name != screen_of(Screen(model="org/nli", hypothesis="{crisis}?")).name


def test_a_classifier_without_entailment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "Predictor", Entailment)
    monkeypatch.setattr(Entailment, "labels", ("yes", "no"))
    with pytest.raises(ConfigError, match=r"screen\.model: org/nli has the labels yes, no"):
        screen_of(Screen(model="org/nli")).ask(QUESTIONS, nothing)


def test_keywords_alone_need_no_model() -> None:
    assert screen_of(Screen()).ask(QUESTIONS, nothing) == [1.0, 0.0]


def test_a_local_judge_answers_by_the_probability_of_yes(causal_folder: Any, tmp_path: Path) -> None:
    judge = Judge(model=str(causal_folder))
    asker = judge_of(judge, tmp_path / "answers.sqlite")
    found = asker.ask(QUESTIONS, nothing)
    from limbeck.models.load import load_language_model, load_tokenizer

    rows = [
        {"text": "News\nBlackout here", "title": "News", "crisis": "an energy crisis"},
        {"text": "Rain", "title": "", "crisis": "an energy crisis"},
    ]
    model, tokenizer = load_language_model(str(causal_folder)), load_tokenizer(str(causal_folder))
    probs = prompted_teacher.local_label_probs(model, tokenizer, judge.prompt, rows, ["yes", "no"]).probs_NC
    assert found == pytest.approx(probs[:, 0].tolist(), abs=1e-5)
    shown = prompted_teacher.rendered_prompts(judge.prompt, rows, ["yes", "no"], tokenizer)[0].text
    assert "Does this article report or warn about an energy crisis, beyond a passing mention?" in shown


def test_scores_are_kept_under_all_that_an_api_is_asked_with(tmp_path: Path) -> None:
    def name(**options: Any) -> str:
        api = {"base_url": "http://127.0.0.1:9/v1", "model": "m", **options}
        return judge_of(Judge(api=api), tmp_path / "answers.sqlite").name  # type: ignore[arg-type]

    usual = name()
    assert usual.endswith(Judge(model="x").prompt.hash), "scores of earlier versions are found"
    names = {name(temperature=1), name(temperature=None), name(max_tokens=999), name(reasoning_effort="low"), usual}
    assert len(names) == 5


def test_a_local_judge_reads_one_day(causal_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The filter's folder keeps it: articles that are asked about tomorrow have the prompt of today."""
    from limbeck.models.load import load_tokenizer

    model = tmp_path / "model"
    shutil.copytree(causal_folder, model)
    tokenizer = load_tokenizer(str(model))
    tokenizer.chat_template = "{{ strftime_now('%Y') }}{{ messages[0].content }}"
    tokenizer.save_pretrained(model)
    (tmp_path / "template_date.json").write_text('"2019-11-01"', encoding="utf-8")
    days: list[Any] = []

    def answers(model: Any, tokenizer: Any, prompt: Any, rows: Any, labels: Any, *, update: Any) -> LabelProbs:
        days.append(str(prompt.date))
        assert prompted_teacher.rendered_prompts(prompt, rows, labels, tokenizer)[0].text.startswith("2019")
        probs = np.full((len(rows), 2), 0.5)
        return LabelProbs(probs, probs, np.ones(len(rows), dtype=np.bool_), (frozenset(),) * len(rows), "local")

    monkeypatch.setattr(prompted_teacher, "local_label_probs", answers)
    judge_of(Judge(model=str(model)), tmp_path / "answers.sqlite").ask(QUESTIONS, nothing)
    assert days == ["2019-11-01"]


@pytest.fixture(scope="module")
def causal_folder(tmp_path_factory: pytest.TempPathFactory, make_causal_tokenizer: Callable[..., Any]) -> Path:
    """A folder with a tiny causal model of random weights."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("causal")
    make_causal_tokenizer(chat=False).save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=420, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        initializer_range=0.6, bos_token_id=1, eos_token_id=2, pad_token_id=0,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def test_an_api_is_asked_and_what_it_does_not_answer_has_no_score(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[Any] = []

    def answers(teacher: Any, prompt: Any, rows: Any, labels: Any, *, samples: int, update: Any) -> LabelProbs:
        asked.append((teacher.endpoint.model, [row["crisis"] for row in rows], list(labels), samples))
        probs = np.array([[0.8, 0.2], [0.5, 0.5]])
        return LabelProbs(probs, probs, np.array([True, False]), (frozenset(), frozenset()), "samples")

    monkeypatch.setattr(prompted_teacher, "chat_label_probs", answers)
    api = {"base_url": "http://127.0.0.1:9/v1", "model": "m"}
    asker = judge_of(Judge.model_validate({"api": api, "samples": 3}), tmp_path / "answers.sqlite")
    assert asker.ask(QUESTIONS, nothing) == [0.8, None]
    assert asked == [("m", ["an energy crisis"] * 2, ["yes", "no"], 3)]
    other = judge_of(Judge.model_validate({"api": api, "samples": 4}), tmp_path / "answers.sqlite")
    assert other.name != asker.name


def test_advice_names_the_keys_of_a_filter_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refused(*arguments: Any, **options: Any) -> LabelProbs:
        raise TeacherError("Set teacher.api.temperature to null")

    monkeypatch.setattr(prompted_teacher, "chat_label_probs", refused)
    judge = Judge.model_validate({"api": {"base_url": "http://127.0.0.1:9/v1", "model": "m"}})
    with pytest.raises(TeacherError, match=r"^Set judge\.api\.temperature to null$"):
        judge_of(judge, tmp_path / "answers.sqlite").ask(QUESTIONS, nothing)


def test_a_prompt_that_asks_for_other_fields_is_refused(tmp_path: Path) -> None:
    judge = Judge.model_validate({"model": "m", "prompt": {"input": "{{ text }} {{ body }}"}})
    with pytest.raises(ConfigError, match="rows have no field 'body'"):
        judge_of(judge, tmp_path / "a.sqlite")


def test_a_changed_folder_is_another_asker(tmp_path: Path) -> None:
    (tmp_path / "m.safetensors").write_bytes(b"1")
    before = screen_of(Screen(model=str(tmp_path))).name
    (tmp_path / "m.safetensors").write_bytes(b"12")
    assert screen_of(Screen(model=str(tmp_path))).name != before
