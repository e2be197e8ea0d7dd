"""Runs whose teacher is a column of labels."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.evaluation.measured import find, section, value

import limbeck
from limbeck.errors import ConfigError, DataError
from limbeck.report.page import render_report
from limbeck.results import Results
from limbeck.results.sections import Adapter, Calibration, Classes, Speeds, TeacherLabels
from limbeck.runs.config import load_run_file, run_config
from limbeck.runs.examine import examine
from limbeck.tasks.classification.evaluate import evaluate
from limbeck.tasks.classification.predict import Predictor
from limbeck.tasks.finding import Finding
from limbeck.teachers.labels.label_probs import LabelProbs, from_log_probs
from limbeck.types import SilentProgress


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def taught(sections: dict[str, Any], tickets: dict[str, Path], tmp_path: Path) -> dict[str, Any]:
    """A run on rows without gold labels; its teacher is wrong on every fifth row, and says how sure it is."""
    labels = sorted({row["label"] for row in read(tickets["labelled"])})
    files = {}
    for split, source in (("train", "labelled"), ("test", "test")):
        rows = read(tickets[source])
        for i, row in enumerate(rows):
            given = labels[(labels.index(row["label"]) + (i % 5 == 0)) % len(labels)]
            row |= {"said": given, "sure": 0.6 if i % 5 == 0 else 0.9}
            if split == "train":
                del row["label"]
        files[split] = write(tmp_path / f"{split}.jsonl", rows)
    sections["data"] = files
    sections["student"] = {"model": sections["teacher"]["model"]}
    sections["teacher"] = {"labels_from": "said", "confidence": "sure"}
    return sections


@pytest.fixture
def unlabelled(taught: dict[str, Any]) -> dict[str, Any]:
    """The same run for teachers that are asked: its labels stand in the file, for no training row has one."""
    test = read(Path(taught["data"]["test"]))
    return taught | {"task": {"labels": sorted({row["label"] for row in test})}}


@pytest.mark.slow
def test_a_run_without_gold_labels_and_without_a_teachers_weights(
    taught: dict[str, Any], light: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    taught["data"]["dev"] = taught["data"]["test"]  # a test may peek
    fits: list[tuple[Any, Any]] = []

    def fit(logits: Any, wanted: Any) -> float:
        fits.append((logits, wanted))
        return 1.7

    monkeypatch.setattr("limbeck.tasks.classification.calibrate.student_temperature", fit)
    results = limbeck.distill(**taught)
    assert isinstance(results, Results)
    systems = {system.name: system for system in results.systems}
    assert set(systems) == {"teacher", "student_init", "distilled", "constant"}
    assert value(results, "teacher", "accuracy") == pytest.approx(0.8, abs=0.02)
    assert "teacher" not in section(results, Speeds).systems
    assert systems["teacher"].layers is None
    assert find(results, "distilled", "agreement") is not None
    assert results.run.rows["labelled"] == 0
    assert section(results, TeacherLabels).route == "column"
    assert section(results, TeacherLabels).train_rows == results.run.rows["train"]

    folder = Path(taught["output"])
    page = render_report(results)
    assert "labels in the field" in page
    assert "the confidence of the given label" in page
    assert section(results, Calibration).labels == "gold"
    labels = section(results, Classes).labels
    logits = np.load(folder / "predictions" / "distilled-seed0.npy").astype(np.float64)
    gold = [labels.index(row["label"]) for row in read(Path(taught["data"]["test"]))]
    (fitted_on,) = fits
    np.testing.assert_allclose(fitted_on[0], logits, atol=1e-5)
    assert fitted_on[1].tolist() == gold
    written = json.loads((folder / "student" / "calibration.json").read_text(encoding="utf-8"))
    assert written["temperature"] == 1.7
    assert "temperature 1.70" in page
    card = (folder / "student" / "README.md").read_text(encoding="utf-8")
    assert "the confidence of the given label" in card
    assert any("the teacher's own labels" in sentence for sentence in results.verdict)

    (answer,) = Predictor(str(folder / "student")).predict(["where is my card"])
    assert answer["label"] in labels
    again = evaluate(
        str(folder / "student"), taught["data"]["test"], against=None, fields=None, progress=SilentProgress()
    )
    assert value(again, "distilled", "accuracy") == pytest.approx(value(results, "distilled", "accuracy"))

    # The same command repeats nothing.
    log = (folder / "log.jsonl").read_bytes()
    resolved = load_run_file(folder / "run.yaml")
    assert limbeck.distill(**resolved.model_dump()) == results
    assert (folder / "log.jsonl").read_bytes() == log


def test_the_student_learns_the_teachers_probabilities(taught: dict[str, Any], light: None) -> None:
    """The signal of a row is its confidence, and equal shares of the rest."""
    from limbeck.tasks.classification.label_teacher import make_label_teacher
    from limbeck.tasks.classification.rows import read_rows
    from limbeck.types import Needs

    config = run_config(taught)
    rows = read_rows(config)  # type: ignore[arg-type]
    teacher = make_label_teacher(config, rows, Path(taught["output"]), SilentProgress())  # type: ignore[arg-type]

    signal = teacher.signals().signal({"rows_B": torch.tensor([0, 1])}, Needs(logits=True))
    probs = signal["logits"].softmax(dim=-1).numpy()
    said = [rows.labels.index(row["said"]) for row in read(Path(taught["data"]["train"]))[:2]]
    for i, (place, sure) in enumerate(zip(said, (0.6, 0.9), strict=True)):
        expected = np.full(4, (1 - sure) / 3)
        expected[place] = sure
        np.testing.assert_allclose(probs[i], expected, rtol=1e-5)


@pytest.mark.slow
def test_rows_that_the_teacher_left_out_are_not_distilled(taught: dict[str, Any], light: None, tmp_path: Path) -> None:
    rows = read(Path(taught["data"]["train"]))
    test = read(Path(taught["data"]["test"]))
    for row in rows[::2]:
        row["said"] = None
    taught["training"] |= {"max_steps": None, "num_train_epochs": 1, "batch_size": 1}
    taught["data"]["train"] = write(tmp_path / "half.jsonl", rows)
    taught["data"]["test"] = write(tmp_path / "test-half.jsonl", [{**test[0], "said": None}, *test[1:]])
    results = limbeck.distill(**taught)
    assert isinstance(results, Results)
    distilled = next(cost for cost in results.costs if cost.system == "distilled")
    assert distilled.rows_seen == len(rows) // 2
    assert "teacher" not in {system.name for system in results.systems}
    assert not any(figure.metric == "agreement" for figure in results.figures)
    assert any("training rows have no label from the teacher" in warning for warning in results.warnings)
    assert any("1 of" in warning and "held-out rows" in warning for warning in results.warnings)


def test_a_label_that_the_teacher_never_gives_is_warned_of(taught: dict[str, Any]) -> None:
    from limbeck.tasks.classification.label_teacher import label_teacher_warnings, make_label_teacher
    from limbeck.tasks.classification.rows import read_rows

    config = run_config(taught)
    rows = read_rows(config)  # type: ignore[arg-type]
    teacher = make_label_teacher(config, rows, Path(taught["output"]), SilentProgress())  # type: ignore[arg-type]
    assert label_teacher_warnings(teacher, rows.labels) == []
    without = LabelProbs(
        np.eye(4)[[0, 1, 3]], np.eye(4)[[0, 1, 3]], np.array([True, True, False]), (frozenset(),) * 3, "column"
    )
    said = label_teacher_warnings(replace(teacher, train=without), ["a", "b", "c", "d"])
    assert said[0].startswith("The teacher gives none of 2 training rows the label 'c' or 'd'")


def test_rows_whose_label_changes_with_the_order_of_the_options_can_be_left_out(
    unlabelled: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from limbeck.tasks.classification import asked_labels, label_teacher
    from limbeck.tasks.classification.rows import read_rows

    def answers(teacher: Any, prompt: Any, asked: Any, labels: Any, **_: Any) -> LabelProbs:
        sure, unsure = ({"A": -0.1, "B": -3.0, "C": -4.0, "D": -5.0}, {"D": -0.1, "A": -3.0, "B": -4.0, "C": -5.0})
        # In the second order the same letter is another label's: only the first row means the same one twice.
        return from_log_probs([[sure, unsure if row == 0 else sure] for row in range(len(asked))], len(labels))

    monkeypatch.setattr(asked_labels, "chat_label_probs", answers)
    kept = {}
    for agree in (False, True):
        api = {"base_url": "http://127.0.0.1:9/v1", "model": "m", "log_probs": 5}
        config = run_config(
            unlabelled | {"teacher": {"api": api, "prompt": {}, "orders_must_agree": agree, "pilot": 0}}
        )
        folder = Path(unlabelled["output"]) / str(agree)
        teacher = label_teacher.make_label_teacher(config, read_rows(config), folder, SilentProgress())  # type: ignore[arg-type]
        kept[agree] = int(teacher.train.kept_N.sum())
        assert teacher.test.kept_N.all(), "held-out rows stay, so that figures are of all of them"
    assert kept == {False: len(teacher.train), True: 1}


def test_rows_that_the_prompt_shows_are_warned_of(unlabelled: dict[str, Any], tmp_path: Path) -> None:
    from limbeck.tasks.classification.rows import demonstration_warnings, read_rows

    train, test = (read(Path(unlabelled["data"][split])) for split in ("train", "test"))
    train[0]["text"] = train[0]["text"].replace(" ", "\n", 1)
    unlabelled["data"]["train"] = write(tmp_path / "two-lines.jsonl", train)
    shown = [train[0], train[1], test[0], {"text": "a text of nobody else's"}]
    demonstrations = [{"text": f" {row['text']} ", "label": test[0]["label"]} for row in shown]
    unlabelled["teacher"] = {"api": {"base_url": "http://127.0.0.1:9/v1", "model": "m"}, "prompt": {}}
    config = run_config(unlabelled)
    assert demonstration_warnings(config, read_rows(config)) == []  # type: ignore[arg-type]
    unlabelled["teacher"]["prompt"] = {"demonstrations": demonstrations}
    config = run_config(unlabelled)
    rows = read_rows(config)  # type: ignore[arg-type]
    texts = {row["text"] for row in shown}
    held_out, trained_on = (sum(text in texts for text in part.text) for part in (rows.test, rows.train))
    assert held_out >= 1
    assert trained_on >= 2
    assert demonstration_warnings(config, rows) == [  # type: ignore[arg-type]
        f"{held_out} held-out texts are demonstrations of the prompt; figures may be too good.",
        f"{trained_on} training texts are demonstrations of the prompt: their labels were given, not asked for.",
    ]
    assert findings(unlabelled)["demonstrations"].level == "warning"


def test_development_rows_without_labels_are_refused_before_training(taught: dict[str, Any], tmp_path: Path) -> None:
    taught["data"]["dev"] = write(tmp_path / "dev.jsonl", [{"text": "where is my card"}])
    with pytest.raises(DataError, match=r"none of the 1 rows of data\.dev has a label"):
        limbeck.distill(**taught)


def test_without_gold_labels_the_temperature_is_fitted_on_the_teachers(taught: dict[str, Any]) -> None:
    from limbeck.tasks.classification.calibrate import dev_labels
    from limbeck.types import Origin, Rows

    rows = Rows(["a", "b"], None, [None, None], [Origin("a", 1)] * 2, ["y", None], None)
    wanted, by = dev_labels(rows, ["x", "y"])
    assert (wanted.tolist(), by) == ([1, -1], "teacher")


def test_a_column_without_any_label_is_refused(taught: dict[str, Any]) -> None:
    taught["teacher"] = {"labels_from": "nowhere"}
    with pytest.raises(DataError, match=r"teacher\.labels_from: no training row has the field 'nowhere'"):
        limbeck.distill(**{**taught, "task": {"labels": ["a", "b"]}, "data": {"train": taught["data"]["train"]}})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"teacher": {}}, "give exactly one of model, api, labels_from, ensemble"),
        ({"teacher": {"model": "m", "labels_from": "said"}}, "give exactly one of model, api, labels_from, ensemble"),
        ({"teacher": {"model": "m", "confidence": "sure"}}, "confidence needs labels_from"),
        (
            {"teacher": {"labels_from": "said", "fine_tune": {"num_train_epochs": 1}}},
            "fine_tune is for a teacher with a classifier",
        ),
        ({"student": {"from_teacher": {"keep": 2}}}, "give student.model"),
        (
            {"teacher": {"labels_from": "said", "orders_must_agree": True}},
            "orders_must_agree is for an api with log_probs",
        ),
    ],
)
def test_sections_that_do_not_go_together(taught: dict[str, Any], changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        run_config({**taught, **changes})


def test_a_recipe_on_hidden_states_is_refused_before_training(taught: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="gives labels only"):
        limbeck.distill(**{**taught, "recipe": {"name": "pkd", "use_labels": False}})
    assert not Path(taught["output"]).exists()


def test_a_prompted_model_has_no_cls_token(taught: dict[str, Any]) -> None:
    taught |= {"teacher": {"model": "m", "prompt": {}}, "recipe": {"name": "pkd", "use_labels": False}}
    with pytest.raises(ConfigError, match=r"\[CLS\] token, and a model with teacher.prompt has none"):
        run_config(taught)


def findings(sections: dict[str, Any]) -> dict[str, Finding]:
    return {found.check: found for found in examine(run_config(sections), SilentProgress())}  # type: ignore[arg-type]


def test_doctor_checks_the_labels_on_gold_ones(taught: dict[str, Any], tmp_path: Path) -> None:
    found = findings(taught)
    assert found["teacher"].level == "ok"
    assert "right on 80 %" in found["teacher"].message
    assert {"time", "length", "layers"} <= set(found)

    test = read(Path(taught["data"]["test"]))
    labels = sorted({row["label"] for row in test})
    wrong = [{**row, "said": labels[(labels.index(row["label"]) + 1) % 4]} for row in test]
    taught["data"]["test"] = write(tmp_path / "wrong.jsonl", wrong)
    assert findings(taught)["teacher"].level == "fault"


@pytest.mark.slow
def test_a_local_teacher_whose_template_writes_the_date_reads_that_of_the_run(
    unlabelled: dict[str, Any], light: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import copy

    from tests.tasks.generation.text_models import CHATML, save, trained

    model, tokenizer = trained("chat")
    dated = copy.copy(tokenizer)
    dated.chat_template = "{{ strftime_now('%Y') }}" + CHATML
    teacher = {"model": save(model, dated, tmp_path / "teacher"), "prompt": {"format": "none", "max_body_tokens": 20}}
    teacher["pilot"] = 0  # it is asked for what it reads, not for what it knows
    run = unlabelled | {"teacher": teacher, "recipe": {"name": "anon", "stages": 1}}
    note = findings(run)["date"]
    assert note.level == "note"
    assert "in this run it is always" in note.message

    asked: list[str] = []

    def seen(model: Any, tokenizer: Any, prompts: Any, labels: Any, **options: Any) -> LabelProbs:
        asked.extend(prompts)
        probs = np.tile(np.arange(1.0, len(labels) + 1) / sum(range(len(labels) + 1)), (len(prompts), 1))
        return LabelProbs(probs, probs, np.ones(len(prompts), np.bool_), (frozenset(),) * len(prompts), "local")

    monkeypatch.setattr("limbeck.teachers.labels.local.score_labels", seen)
    teacher["prompt"]["date"] = "2019-11-01"
    run["training"] = {"max_steps": 1}
    limbeck.distill(**run)
    assert len(asked) > 20
    assert all(text.startswith("2019<|im_start|>") for text in asked)


# Easy rows first


@pytest.mark.slow
def test_rows_in_the_order_of_the_students_loss_before_training(
    taught: dict[str, Any], light: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from limbeck.sequences.curriculum import nested_parts
    from limbeck.tasks.classification import task_run as classifier_run

    seen: list[np.ndarray[Any, Any]] = []

    def watched(hard: Any, *others: Any) -> Any:
        seen.append(hard)
        return nested_parts(hard, *others)

    monkeypatch.setattr(classifier_run, "nested_parts", watched)
    taught["recipe"] = {"name": "anon", "difficulty": "student_loss"}
    limbeck.distill(**taught)
    before = np.load(Path(taught["output"]) / "predictions" / "train-distilled-seed0.npy").astype(np.float64)
    log_q = before - np.log(np.exp(before).sum(axis=-1, keepdims=True))
    rows = read(Path(taught["data"]["train"]))
    labels = sorted({row["said"] for row in rows})
    for row, hard, log_probs in zip(rows, seen[0], log_q, strict=True):
        sure = row["sure"]
        p = np.full(len(labels), (1 - sure) / (len(labels) - 1))
        p[labels.index(row["said"])] = sure
        assert hard == pytest.approx(-(p * log_probs).sum(), rel=1e-4)


@pytest.mark.slow
def test_one_stage_is_plain_training_bit_for_bit_and_the_control_has_the_same_steps(
    taught: dict[str, Any], light: None, tmp_path: Path
) -> None:
    weights, found = {}, {}
    for stages in (1, 3):
        folder = tmp_path / f"{stages}"
        run = {**taught, "recipe": {"name": "anon", "stages": stages}, "output": str(folder)}
        results = limbeck.distill(**run, baselines=[{"name": "anon", "order": "random"}] if stages == 3 else [])
        assert isinstance(results, Results)
        weights[stages] = (folder / "student" / "model.safetensors").read_bytes()
        found[stages] = results
    control = tmp_path / "3" / "stages" / "03-anon-anon-seed0" / "model" / "model.safetensors"
    assert control.read_bytes() == weights[1]
    assert weights[3] != weights[1]
    costs = {cost.system: cost for cost in found[3].costs}
    assert costs["anon"].steps == costs["distilled"].steps == 12
    assert {"anon", "distilled"} <= {system.name for system in found[3].systems}
    assert any((c.first, c.second) == ("distilled", "anon") for c in found[3].comparisons)
    assert {"train/kl_to_teacher", "term/teacher_labels"} <= {curve.series for curve in found[1].curves}


# Adapters


@pytest.mark.slow
@pytest.mark.parametrize("adapter", [{"kind": "lora", "rank": 2}, {"kind": "houlsby", "width": 4}])
def test_a_student_with_an_adapter(taught: dict[str, Any], light: None, adapter: dict[str, Any]) -> None:
    from limbeck.models.load import load_classifier

    base = taught["student"]["model"]
    taught |= {"student": {"model": base, "adapter": adapter}, "recipe": "anon"}
    results = limbeck.distill(**taught)
    assert isinstance(results, Results)
    folder = Path(taught["output"])
    figures, labels = section(results, Adapter), section(results, Classes).labels
    assert figures.name == adapter["kind"]
    before, student = load_classifier(base, labels=labels), load_classifier(str(folder / "student"))
    head = sum(p.numel() for p in before.classifier.parameters())
    # Of each of 4 layers: four maps of 32 x 32 with A and B of rank 2, or two series adapters of width 4.
    inserted = 4 * (4 * 2 * 64 if adapter["kind"] == "lora" else 2 * (2 * 32 * 4 + 32 + 4))
    assert figures.trainable_parameters == head + inserted
    assert f"{figures.trainable_parameters:,}" in render_report(results)

    # What no adapter touches is bit for bit the base's; the exported folder answers as the trained student did.
    trained, frozen = student.state_dict(), before.state_dict()
    assert torch.equal(
        trained["bert.embeddings.word_embeddings.weight"], frozen["bert.embeddings.word_embeddings.weight"]
    )
    query = "bert.encoder.layer.0.attention.self.query.weight"
    assert torch.equal(trained[query], frozen[query]) == (adapter["kind"] == "houlsby")
    rows = read(Path(taught["data"]["test"]))
    answers = Predictor(str(folder / "student")).predict([row["text"] for row in rows])
    saved = np.load(folder / "predictions" / "distilled-seed0.npy")
    assert [a["label"] for a in answers] == [labels[i] for i in saved.argmax(-1)]
    cost = next(cost for cost in results.costs if cost.system == "distilled")
    assert cost.gradient_bytes == 4 * figures.trainable_parameters
    assert cost.optimiser_bytes is not None
    assert 8 * figures.trainable_parameters <= cost.optimiser_bytes < 9 * figures.trainable_parameters


def test_training_that_moves_frozen_weights_is_noticed(
    taught: dict[str, Any], light: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoil(stage: Any, run: Any, model: Any) -> None:
        with torch.no_grad():
            model.get_input_embeddings().weight.mul_(1.0001)

    monkeypatch.setattr("limbeck.runs.search.run_stage", spoil)
    taught |= {"student": {"model": taught["student"]["model"], "adapter": {"kind": "bitfit"}}}
    with pytest.raises(AssertionError, match="frozen weights"):
        limbeck.distill(**taught)


def test_doctor_counts_what_an_adapter_trains(taught: dict[str, Any]) -> None:
    taught["student"]["adapter"] = {"kind": "lora", "rank": 2}
    assert "lora trains" in findings(taught)["adapter"].message
