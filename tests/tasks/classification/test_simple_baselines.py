"""Logistic regression on TF-IDF and on frozen embeddings in a run: what they learn, answer, keep and tell."""

from __future__ import annotations

import itertools
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from tests.conftest import write_rows
from tests.evaluation.measured import compared, section, value
from tests.runs.interruption import InterruptAfter

import limbeck
from limbeck.errors import ConfigError
from limbeck.results.sections import SimpleBaselines, Speeds
from limbeck.runs.config import run_config
from limbeck.tasks.baselines import FROZEN, TFIDF
from limbeck.tasks.classification import simple_baselines
from limbeck.tasks.classification.context import Context, set_up
from limbeck.tasks.classification.rows import read_rows
from limbeck.tasks.classification.simple_baselines import (
    answer_simply,
    described_simply,
    model_like,
    rows_to_read,
    timed_simply,
)
from limbeck.types import SilentProgress

SYSTEMS = {system.name: system for system in simple_baselines.SIMPLE_SYSTEMS}


@pytest.fixture
def simple(sections: dict[str, Any]) -> dict[str, Any]:
    """The small run, with what this file is about."""
    return {**sections, "simple_baselines": True}


def context_of(sections: dict[str, Any]) -> Context:
    config, folder = run_config(sections), Path(sections["output"])
    return set_up(config, folder, read_rows(config), SilentProgress())


def accuracy(context: Context, name: str) -> float:
    gold = context.rows.test_labels
    return float((context.logits[name][0].argmax(axis=-1) == gold).mean())


def test_both_learn_gold_labels_alone_and_answer_the_held_out_rows(simple: dict[str, Any]) -> None:
    context = context_of(simple)
    for name in SYSTEMS:
        answer_simply(context, name, None)
        fit = context.simple_fits[name]
        assert (fit.labels, fit.rows) == ("gold", context.rows.labelled)
        assert fit.cpu_seconds > 0
    assert context.rows.labelled < len(context.rows.train)
    assert accuracy(context, TFIDF) > 0.8
    assert accuracy(context, FROZEN) > 0.5  # random weights, yet words tell intents apart
    assert not context.warnings
    described = {name: described_simply(context, system) for name, system in SYSTEMS.items()}
    assert (described[TFIDF].detail, described[TFIDF].layers) == ("words and parts of words", None)
    assert (described[FROZEN].detail, described[FROZEN].layers) == ("mean state of encoder, 4 layers", 4)
    assert rows_to_read(context) == context.rows.labelled + len(context.rows.test)


def test_frozen_embeddings_are_those_of_the_pretrained_encoder(simple: dict[str, Any]) -> None:
    """Whatever the teacher's weights are by now: fitted again with scikit-learn."""
    from limbeck.evaluation.predict import predict_vectors
    from limbeck.models.frozen_encoder import load_frozen_encoder

    context = context_of(simple)
    assert not isinstance(context.teacher, limbeck.tasks.classification.label_teacher.LabelTeacher)
    for parameter in context.teacher.model.parameters():
        parameter.data.zero_()
    answer_simply(context, FROZEN, None)
    encoder, labelled = load_frozen_encoder(simple["teacher"]["model"]), context.rows.train_labels >= 0
    train, test = (predict_vectors(encoder, part) for part in (context.train, context.test))
    mean, scale = train[labelled].mean(axis=0), (train[labelled] - train[labelled].mean(axis=0)).std()
    model = LogisticRegression(C=context.simple_fits[FROZEN].inverse_strength, max_iter=5000)
    model.fit((train[labelled] - mean) / scale, context.rows.train_labels[labelled])
    expected = model.predict((test - mean) / scale)
    assert (context.logits[FROZEN][0].argmax(axis=-1) == expected).mean() > 0.95


def test_where_no_row_has_a_gold_label_they_learn_the_teachers(
    simple: dict[str, Any], tickets: dict[str, Path], tmp_path: Path
) -> None:
    rows = [json.loads(line) for line in tickets["labelled"].read_text(encoding="utf-8").splitlines()]
    taught = [{"text": row["text"], **({"said": row["label"]} if n % 3 else {})} for n, row in enumerate(rows)]
    simple["data"] = {"train": str(write_rows(tmp_path / "taught.jsonl", taught)), "test": str(tickets["test"])}
    simple["task"] = {"labels": sorted({row["label"] for row in rows})}
    simple |= {"student": {"model": simple["teacher"]["model"]}, "teacher": {"labels_from": "said"}}
    context = context_of(simple)
    for name in SYSTEMS:
        answer_simply(context, name, None)
        fit = context.simple_fits[name]
        assert (fit.labels, fit.rows) == ("teacher", sum("said" in row for row in taught))
    assert accuracy(context, TFIDF) > 0.8


def test_a_large_set_is_sampled_with_a_fixed_seed(simple: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simple_baselines, "_MOST_ROWS", 30)
    found = []
    for output in ("a", "b"):
        context = context_of({**simple, "output": f"{simple['output']}-{output}"})
        answer_simply(context, TFIDF, None)
        assert context.simple_fits[TFIDF].rows == 30
        found.append(context.logits[TFIDF][0])
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"teacher": "finished"}, "the run names no pretrained encoder"),
        ({"teacher": "finished", "student": "encoder"}, None),
        ({"teacher": "finished", "student": "encoder", "adapter": "qlora"}, "the run names no pretrained encoder"),
    ],
)
def test_without_a_pretrained_encoder_there_is_no_such_baseline(
    change: dict[str, str], reason: str | None, simple: dict[str, Any]
) -> None:
    context = context_of(simple)
    encoder = simple["teacher"]["model"]
    teacher = {"model": encoder} if change.get("teacher") else simple["teacher"]
    student = {"model": encoder} if change.get("student") else {"from_teacher": {"layers": "uniform", "keep": 2}}
    if kind := change.get("adapter"):
        student |= {"adapter": {"kind": kind}}
    context.config = run_config({**simple, "student": student}).model_copy(
        update={"teacher": run_config({**simple, "teacher": teacher}).teacher}
    )
    answer_simply(context, FROZEN, None)
    if reason is None:
        assert FROZEN in context.logits
        return
    assert context.warnings == [f"There is no baseline Frozen embeddings + logistic regression: {reason}."]
    assert rows_to_read(context) == 0
    assert not context.logits


def test_tf_idf_is_timed_and_fitted_once(simple: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    context = context_of(simple)
    assert timed_simply(context) == {}
    answer_simply(context, TFIDF, None)
    with monkeypatch.context() as patched:
        patched.setattr(simple_baselines, "fit_bag_of_words", None)
        (timed,) = timed_simply(context).values()
    rows = np.array([3, 0])
    expected = np.exp(context.logits[TFIDF][0][rows])
    np.testing.assert_allclose(np.asarray(timed.answer(rows)), expected, rtol=1e-4)
    assert timed.parameters > 4 * 500
    assert timed.size_bytes > 8 * timed.parameters


@pytest.mark.parametrize(
    ("student", "like"),
    [
        ({"from_teacher": {"layers": "uniform", "keep": 2}}, "teacher"),
        ({"model": "encoder"}, "student"),
        ({"model": "encoder", "keep": 2}, None),
        ({"model": "encoder", "adapter": {"kind": "lora"}}, None),
    ],
)
def test_the_frozen_encoder_is_as_large_and_fast_as_the_model_with_it(
    student: dict[str, Any], like: str | None, simple: dict[str, Any]
) -> None:
    encoder, of_teacher = simple["teacher"]["model"], like == "teacher"
    named = {**student, "model": encoder} if "model" in student else student
    teacher = simple["teacher"] if of_teacher else {"labels_from": "said"}
    context = context_of(simple)
    context.config = run_config({**simple, "student": named, "teacher": teacher})
    assert model_like(context) is None, "it was not fitted"
    context.logits[FROZEN] = {}
    assert model_like(context) == like


def test_without_any_label_there_is_neither(simple: dict[str, Any]) -> None:
    context = context_of(simple)
    context.rows = replace(context.rows, train_labels=np.full(len(context.rows.train), -100))
    answer_simply(context, TFIDF, None)
    assert context.warnings == [
        "No training row has a label to learn, so there is no baseline TF-IDF + logistic regression."
    ]


def test_answers_and_costs_are_kept_and_made_again_if_damaged(
    simple: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    context = context_of(simple)
    answer_simply(context, TFIDF, None)
    folder = Path(simple["output"]) / "simple_baselines"
    assert sorted(path.name for path in folder.iterdir()) == ["tfidf.json", "tfidf.npy"]
    first = context.simple_fits[TFIDF]
    with monkeypatch.context() as patched:
        patched.setattr(simple_baselines, "fit_bag_of_words", None)
        again = context_of(simple)
        answer_simply(again, TFIDF, None)
    assert again.simple_fits[TFIDF] == first
    np.testing.assert_array_equal(again.logits[TFIDF][0], context.logits[TFIDF][0])
    (folder / "tfidf.npy").write_bytes(b"damaged")
    (folder / "tfidf.json").write_text("{}", encoding="utf-8")
    rebuilt = context_of(simple)
    answer_simply(rebuilt, TFIDF, None)
    np.testing.assert_array_equal(rebuilt.logits[TFIDF][0], context.logits[TFIDF][0])
    assert rebuilt.simple_fits[TFIDF].model_copy(update={"cpu_seconds": 0.0}) == first.model_copy(
        update={"cpu_seconds": 0.0}
    )


def test_their_names_are_taken(simple: dict[str, Any]) -> None:
    simple["baselines"] = [{"name": "tests.recipes.own:tfidf"}]
    with pytest.raises(ConfigError, match="'tfidf' is a system of every run"):
        run_config(simple)


@pytest.mark.slow
def test_a_whole_run_is_compared_with_them(simple: dict[str, Any], light: None) -> None:
    results = limbeck.distill(**{**simple, "seeds": [0, 1, 2]})
    assert [system.name for system in results.systems] == [
        "teacher", "student_init", "fine_tune", "distilled", "tfidf", "frozen_embeddings", "constant",
    ]  # fmt: skip
    assert {one.system for one in section(results, SimpleBaselines).fits} == {"tfidf", "frozen_embeddings"}
    assert value(results, "tfidf", "accuracy") > 0.8
    assert len(compared(results, "tfidf", "accuracy").seeds) == 3
    assert "TF-IDF + logistic regression" in " ".join(results.verdict)
    speeds = section(results, Speeds).systems
    assert speeds["frozen_embeddings"] == speeds["teacher"]
    assert speeds["tfidf"].parameters < speeds["teacher"].parameters
    folder = Path(simple["output"])
    assert "TF-IDF + logistic regression" in (folder / "student" / "README.md").read_text(encoding="utf-8")

    (folder / "results.json").unlink()
    shutil.rmtree(folder / "simple_baselines")
    again = limbeck.distill(**{**simple, "seeds": [0, 1, 2]})
    assert value(again, "frozen_embeddings", "loss") == value(results, "frozen_embeddings", "loss")
    assert again.comparisons == results.comparisons

    (folder / "results.json").unlink()
    without = limbeck.distill(**{**simple, "seeds": [0, 1, 2], "simple_baselines": False})
    assert not without.roles("simple")
    assert without.section(SimpleBaselines) is None


@pytest.mark.slow
def test_interrupts_change_nothing_in_the_end(simple: dict[str, Any], tmp_path: Path, light: None) -> None:
    simple["training"] = {"max_steps": 4, "batch_size": 16, "checkpoints": 2}
    simple["baselines"] = []
    expected = limbeck.distill(**simple)
    simple["output"] = str(tmp_path / "interrupted")
    interrupts = 0
    for advances in itertools.count(1, 2):
        try:
            found = limbeck.distill(**simple, progress=InterruptAfter(advances))
        except KeyboardInterrupt:
            interrupts += 1
            continue
        break
    assert interrupts > 5
    assert found.figures == expected.figures
    first, second = (
        [fit.model_dump(exclude={"cpu_seconds"}) for fit in section(one, SimpleBaselines).fits]
        for one in (found, expected)
    )
    assert first == second
