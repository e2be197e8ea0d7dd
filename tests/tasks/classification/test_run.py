from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file
from tests.evaluation.measured import compared, figure, section, value
from tests.runs.interruption import InterruptAfter

import limbeck
from limbeck.errors import ConfigError, DataError, ModelError, RunFolderError
from limbeck.results import Results
from limbeck.results.sections import Speeds
from limbeck.runs.config import load_run_file
from limbeck.tasks.classification.predict import Predictor


@pytest.mark.slow
def test_a_whole_run_leaves_student_results_and_report(sections: dict[str, Any]) -> None:
    results = limbeck.distill(**sections)
    folder = Path(sections["output"])

    assert {system.name for system in results.systems} == {
        "teacher",
        "student_init",
        "fine_tune",
        "distilled",
        "constant",
    }
    assert {p.name for p in folder.iterdir()} >= {
        "run.yaml", "log.jsonl", "stages", "student", "results.json", "report.html"
    }  # fmt: skip
    assert Results.model_validate_json((folder / "results.json").read_text(encoding="utf-8")) == results
    speeds = section(results, Speeds).systems
    assert speeds["distilled"].parameters < speeds["teacher"].parameters
    assert (speeds["distilled"].peak_memory_bytes or 0) > 10 * 2**20
    assert len(results.comparisons) > 3
    gold = [json.loads(line)["label"] for line in Path(sections["data"]["test"]).read_text("utf-8").splitlines()]
    assert value(results, "constant", "accuracy") == pytest.approx(max(Counter(gold).values()) / len(gold))
    assert any("passes over the labelled rows" in sentence for sentence in results.verdict)
    assert any(curve.series == "term/divergence" for curve in results.curves)


@pytest.mark.slow
def test_speed_can_be_left_out(sections: dict[str, Any], light: None) -> None:
    results = limbeck.distill(**sections, speed=False)
    found = section(results, Speeds)
    assert found.other_cores is None
    assert set(found.systems) == {"teacher", "student_init", "fine_tune", "distilled"}
    for speed in found.systems.values():
        assert speed.parameters > 0
        assert speed.latency_ms_median is speed.throughput_rows_per_second is speed.peak_memory_bytes is None


@pytest.mark.slow
def test_the_student_is_a_normal_hugging_face_folder(sections: dict[str, Any], light: None) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    results = limbeck.distill(**sections)
    folder = Path(sections["output"]) / "student"
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert model.config.num_hidden_layers == 2
    assert not list(folder.glob("*.bin"))

    rows = [json.loads(line) for line in Path(sections["data"]["test"]).read_text(encoding="utf-8").splitlines()]
    with torch.no_grad():
        logits = model(**tokenizer([row["text"] for row in rows], padding=True, return_tensors="pt")).logits
    predicted = [model.config.id2label[i] for i in logits.argmax(-1).tolist()]
    accuracy = np.mean([p == row["label"] for p, row in zip(predicted, rows, strict=True)])
    assert accuracy == pytest.approx(value(results, "distilled", "accuracy"))
    assert [a["label"] for a in Predictor(str(folder)).predict([row["text"] for row in rows])] == predicted


@pytest.mark.slow
def test_baselines_start_where_the_student_does_and_get_its_steps(sections: dict[str, Any], light: None) -> None:
    first, second = {"name": "pkd", "hint_weight": 0}, {"name": "pkd", "hint_weight": 0, "use_labels": False}
    sections |= {"recipe": "kd", "baselines": [first, "fine_tune", second]}
    results = limbeck.distill(**sections)
    students = {system.name: (system.role, system.title) for system in results.systems if system.recipe}
    assert students == {
        "pkd": ("baseline", "PKD"),
        "fine_tune": ("baseline", "Fine-tuned student"),
        "pkd_2": ("baseline", "PKD 2"),
        "distilled": ("main", "Distilled student"),
    }
    steps = {cost.system: cost.steps for cost in results.costs if cost.system in students}
    assert set(steps) == set(students)
    assert len(set(steps.values())) == 1
    compared = {c.second for c in results.comparisons if c.first == "distilled"}
    assert {"pkd", "pkd_2", "fine_tune", "teacher", "student_init"} <= compared
    # Without hints, with labels, and at these temperatures both are the same training.
    alone = limbeck.distill(**sections | {"recipe": first, "baselines": [], "output": f"{sections['output']}-2"})
    assert value(alone, "distilled", "kl") == value(results, "pkd", "kl")


@pytest.mark.slow
def test_hidden_states_of_a_classifier_teach_in_random_order_alone(sections: dict[str, Any], light: None) -> None:
    recipe = {"name": "anon", "hidden_weight": 0.1, "order": "random"}
    limbeck.distill(**{**sections, "recipe": recipe, "baselines": []})
    log = (Path(sections["output"]) / "log.jsonl").read_text(encoding="utf-8")
    assert "term/hidden_states" in log
    sections |= {"recipe": recipe | {"order": "progressive"}, "output": sections["output"] + "-2"}
    with pytest.raises(ConfigError, match="Use order: random, or a recipe on logits alone"):
        limbeck.distill(**sections)
    assert not (Path(sections["output"]) / "stages").exists()


@pytest.mark.slow
def test_the_resolved_run_file_runs_again_and_gives_the_same_student(
    sections: dict[str, Any], tmp_path: Path, light: None
) -> None:
    limbeck.distill(**sections)
    first = Path(sections["output"])
    again = load_run_file(first / "run.yaml", [f"output={tmp_path / 'again'}"])
    limbeck.distill(**again.model_dump())
    assert _weights(first) == _weights(tmp_path / "again")


@pytest.mark.slow
def test_a_finished_run_repeats_nothing(sections: dict[str, Any], light: None) -> None:
    first = limbeck.distill(**sections)
    log = (Path(sections["output"]) / "log.jsonl").read_bytes()
    assert limbeck.distill(**sections) == first
    assert (Path(sections["output"]) / "log.jsonl").read_bytes() == log


@pytest.mark.slow
def test_labels_are_not_read_where_the_recipe_reads_none(
    sections: dict[str, Any], tickets: dict[str, Path], tmp_path: Path, light: None
) -> None:
    """White-box specification, section 14: a stage without labels must not see them."""
    sections["baselines"] = []
    limbeck.distill(**sections)
    teacher = next(Path(sections["output"]).glob("stages/01-teacher-*/model"))
    rows = [json.loads(line) for line in tickets["labelled"].read_text(encoding="utf-8").splitlines()]
    labels = sorted({row["label"] for row in rows})
    for row in rows[::3]:  # the others keep the teacher from being refused
        row["label"] = labels[labels.index(row["label"]) - 1]
    garbage = write_rows(tmp_path / "garbage.jsonl", rows)
    weights = []
    for name, train in (("true", tickets["labelled"]), ("garbage", garbage)):
        run = {**sections, "teacher": {"model": str(teacher)}, "output": str(tmp_path / name)}
        limbeck.distill(**{**run, "data": {**sections["data"], "train": str(train)}})
        weights.append(_weights(tmp_path / name))
    assert weights[0] == weights[1]


@pytest.mark.slow
def test_a_fine_tuned_teacher_and_no_labels_at_all(
    sections: dict[str, Any], tickets: dict[str, Path], tmp_path: Path, light: None
) -> None:
    limbeck.distill(**sections)
    teacher = next(Path(sections["output"]).glob("stages/01-teacher-*/model"))
    sections.update(teacher={"model": str(teacher)}, output=str(tmp_path / "unlabelled"))
    sections["data"] = {"train": str(tickets["unlabelled"])}
    results = limbeck.distill(**sections)
    assert {system.name for system in results.systems} == {"teacher", "student_init", "distilled"}
    assert {figure.metric for figure in results.figures} == {"agreement", "kl"}
    assert results.headline == "agreement"
    assert any("no" in w and "label" in w for w in results.warnings)


@pytest.mark.slow
def test_a_student_of_another_family_reads_its_own_tokens(
    sections: dict[str, Any], encoder_folder: Path, tmp_path: Path, light: None
) -> None:
    """Pitfall 27: a BERT teacher with token types, a DistilBERT student without."""
    sections["student"] = {"config": {"model_type": "distilbert", "vocab_size": 2000, "dim": 16, "hidden_dim": 32,
                                      "n_layers": 1, "n_heads": 2, "max_position_embeddings": 64}}  # fmt: skip
    results = limbeck.distill(**sections)
    assert next(s for s in results.systems if s.name == "distilled").layers == 1


@pytest.mark.slow
@pytest.mark.parametrize("own", [True, False])
def test_the_card_names_the_model_that_the_student_began_as(
    own: bool, sections: dict[str, Any], light: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    teacher = sections["teacher"]["model"]
    small = shutil.copytree(teacher, tmp_path / "small")
    if own:
        sections["student"] = {"model": str(small)}
    monkeypatch.setattr(
        "limbeck.tasks.classification.measure.hub_name",
        lambda model: {str(small): "org/small", teacher: "org/t"}[model],
    )
    limbeck.distill(**sections)
    card = (Path(sections["output"]) / "student" / "README.md").read_text(encoding="utf-8")
    assert f"base_model: {'org/small' if own else 'org/t'}\n" in card
    assert "truncation=True, max_length=64)" in card
    assert str(tmp_path) not in card


@pytest.mark.slow
def test_several_seeds_are_compared_over_seeds(sections: dict[str, Any], light: None) -> None:
    results = limbeck.distill(**{**sections, "seeds": [0, 1, 2]})
    comparison = compared(results, "fine_tune", "accuracy")
    assert len(comparison.seeds) == len([test for test in comparison.tests if test.name == "mcnemar"]) == 3
    assert len(figure(results, "distilled", "accuracy").seeds) == 3


@pytest.mark.slow
def test_new_heads_are_fitted_first_unless_the_run_file_says_no(sections: dict[str, Any], light: None) -> None:
    """With rates too small to learn anything, the fitted heads are what the systems answer with."""
    sections["student"] = {"model": sections["teacher"]["model"]}
    sections["teacher"]["fine_tune"]["learning_rate"] = sections["training"]["learning_rate"] = 1e-9
    sections["baselines"] = ["fine_tune", "linear_probe"]
    with pytest.raises(ModelError, match="no better than always giving the most frequent label"):
        limbeck.distill(**_with_random_heads(sections))
    results = limbeck.distill(**sections)
    accuracy = {name: value(results, name, "accuracy") for name in ("teacher", "fine_tune", "linear_probe")}
    assert len(set(accuracy.values())) == 1  # the same encoder, the same rows
    assert accuracy["teacher"] > value(results, "constant", "accuracy") + 0.2
    assert value(results, "distilled", "agreement") > 0.8


@pytest.mark.slow
def test_teacher_and_students_end_with_their_best_weights(
    sections: dict[str, Any], tmp_path: Path, light: None
) -> None:
    """A rate that is far too high: the start, a fitted head, is better on development rows than anything after it."""
    stopping = {"eval_steps": 2, "early_stopping_patience": 2}
    sections["student"] = {"model": sections["teacher"]["model"]}
    sections["teacher"]["fine_tune"] |= {"early_stopping": stopping, "learning_rate": 0.5}
    sections["training"] |= {"early_stopping": {**stopping, "metric_for_best_model": "accuracy"}, "learning_rate": 0.5}
    results = limbeck.distill(**sections)
    assert {cost.stage: cost.steps for cost in results.costs if cost.steps} == {"fine_tune": 4, "kd": 4}
    assert {curve.series for curve in results.curves} >= {"dev/loss", "dev/accuracy"}
    assert value(results, "teacher", "accuracy") > value(results, "constant", "accuracy") + 0.2
    expected = _weights(Path(sections["output"]))
    sections["output"] = str(tmp_path / "interrupted")
    for advances in (1, 5, 7, 3, 9, 4):
        with pytest.raises(KeyboardInterrupt):
            limbeck.distill(**sections, progress=InterruptAfter(advances))
    limbeck.distill(**sections)
    assert _weights(tmp_path / "interrupted") == expected


def _with_random_heads(sections: dict[str, Any]) -> dict[str, Any]:
    teacher, training = sections["teacher"], sections["training"]
    return {
        **sections,
        "teacher": {**teacher, "fine_tune": {**teacher["fine_tune"], "fit_head": False}},
        "training": {**training, "fit_head": False},
        "output": sections["output"] + "-random",
    }


@pytest.mark.slow
@pytest.mark.parametrize("recipe", [None, "setfit"])
def test_an_interrupt_at_any_step_changes_nothing_in_the_end(
    recipe: str | None, sections: dict[str, Any], tmp_path: Path, light: None
) -> None:
    if recipe is not None:
        sections["recipe"] = sections["teacher"]["recipe"] = recipe
    limbeck.distill(**sections)
    expected = _weights(Path(sections["output"]))
    log = _log(Path(sections["output"]))
    sections["output"] = str(tmp_path / "interrupted")
    for advances in (1, 9, 20, 29, 34, 4, 7, 11, 3):
        try:
            limbeck.distill(**sections, progress=InterruptAfter(advances))
        except KeyboardInterrupt:
            continue
        break
    limbeck.distill(**sections)
    assert _weights(tmp_path / "interrupted") == expected
    assert _log(tmp_path / "interrupted") == log


@pytest.mark.slow
def test_another_run_in_the_folder_is_refused_and_names_the_difference(sections: dict[str, Any], light: None) -> None:
    limbeck.distill(**sections)
    sections["training"]["max_steps"] = 13
    with pytest.raises(RunFolderError, match=r"holds another run: training\.max_steps was 12, is 13"):
        limbeck.distill(**sections)


@pytest.mark.slow
def test_changed_data_are_noticed(sections: dict[str, Any], tmp_path: Path, light: None) -> None:
    words = ("is my card here", "where is the money")
    train = write_rows(
        tmp_path / "train.jsonl", [{"text": f"{words[i % 2]} {i}", "label": str(i % 2)} for i in range(40)]
    )
    sections["data"] = {"train": str(train), "test": str(train)}
    limbeck.distill(**sections)
    write_rows(train, [{"text": f"other {i}", "label": str(i % 2)} for i in range(40)])
    with pytest.raises(RunFolderError, match="the train rows have changed"):
        limbeck.distill(**sections)


def results_but_for_times(results: Any) -> dict[str, Any]:
    kept = results.model_dump(exclude={"verdict", "costs"})  # they hold times and speeds
    del kept["run"]["created"]
    kept["sections"] = [one for one in kept["sections"] if one["kind"] != "speed"]
    return kept  # type: ignore[no-any-return]


@pytest.mark.slow
@pytest.mark.parametrize(
    "damage",
    [b"", b"{", b"null", b"\xff\xfe", b"[" * 100_000, b'{"format": "limbeck-results-1"}', b'{"format": "newer"}',
     b'{"format": ["limbeck-results-1"]}'],
)  # fmt: skip
def test_results_that_cannot_be_read_are_made_anew(
    damage: bytes, sections: dict[str, Any], light: None, capsys: pytest.CaptureFixture[str]
) -> None:
    sections["training"]["max_steps"] = sections["teacher"]["fine_tune"]["num_train_epochs"] = 1
    sections["speed"] = False  # which warns of a busy machine
    sections["teacher"]["fine_tune"]["fit_head"] = False  # one pass would not mend a head that random features gave
    first = limbeck.distill(**sections)
    folder = Path(sections["output"])
    weights = _weights(folder)
    (folder / "results.json").write_bytes(damage)
    again = limbeck.distill(**sections)
    assert results_but_for_times(again) == results_but_for_times(first)
    assert _weights(folder) == weights
    assert (folder / "results.damaged.json").read_bytes() == damage
    assert limbeck.distill(**sections) == again


def test_a_folder_in_use_is_refused(sections: dict[str, Any]) -> None:
    from limbeck.runs.folder import hold

    with hold(Path(sections["output"])), pytest.raises(RunFolderError, match="in use by another process"):
        limbeck.distill(**sections)


@pytest.mark.slow
def test_bad_rows_in_quarantine_are_counted_and_kept(sections: dict[str, Any], tmp_path: Path,
                                                     light: None) -> None:  # fmt: skip
    words = ("is my card here", "where is the money")
    rows: list[dict[str, Any]] = [{"text": f"{words[i % 2]} {i}", "label": str(i % 2)} for i in range(40)]
    train = write_rows(tmp_path / "train.jsonl", [*rows, {"text": "", "label": "1"}, {"text": 7}])
    sections["data"] = {"train": str(train), "test": str(train), "on_bad_row": "quarantine"}
    results = limbeck.distill(**sections)
    assert results.run.rows["left_out"] == 4
    assert (Path(sections["output"]) / "quarantine-train.jsonl").read_text(encoding="utf-8").count("\n") == 2


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"student": {"from_teacher": {"layers": [2, 9]}}},
            ConfigError,
            "out of range: the teacher has layers 1 to 4",
        ),
        ({"student": {"from_teacher": {"layers": "first", "keep": 9}}}, ConfigError, "cannot keep 9 layers"),
        ({"teacher": {"model": "/nowhere/model"}}, ModelError, "no such folder"),
        ({"data": {"train": "/nowhere/rows.jsonl"}}, DataError, "/nowhere/rows.jsonl"),
    ],
)
def test_a_run_that_cannot_be_says_why(
    change: dict[str, Any], error: type[Exception], message: str, sections: dict[str, Any]
) -> None:
    with pytest.raises(error, match=message):
        limbeck.distill(**{**sections, **change})


def test_one_class_only(sections: dict[str, Any], tmp_path: Path) -> None:
    train = write_rows(tmp_path / "one.jsonl", [{"text": f"text {i}", "label": "same"} for i in range(9)])
    with pytest.raises(DataError, match="only one label, 'same'"):
        limbeck.distill(**{**sections, "data": {"train": str(train)}})


@pytest.mark.slow
def test_labels_missing_where_the_recipe_needs_them(
    sections: dict[str, Any], tickets: dict[str, Path], tmp_path: Path, light: None
) -> None:
    limbeck.distill(**sections)
    teacher = next(Path(sections["output"]).glob("stages/01-teacher-*/model"))
    sections.update(teacher={"model": str(teacher)}, data={"train": str(tickets["unlabelled"])},
                    recipe="kd", output=str(tmp_path / "other"))  # fmt: skip
    with pytest.raises(ConfigError, match="reads labels with these arguments, but none of the"):
        limbeck.distill(**sections)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task": {"text": "body"}}, r"no row has the field 'body'; known here: label, text"),
        ({"task": {"label": "class"}}, r"No training row has the field 'class'; fields of the rows: text, label"),
        (
            {"task": {"label": "class", "labels": ["0", "1"]}, "recipe": "pkd"},
            r"has a label in field 'class' \(fields of the rows: text, label\)",
        ),
        (
            {"teacher": {"labels_from": "said"}, "student": {"model": "m"}},
            r"teacher\.labels_from: no training row has the field 'said'; known here: label, text",
        ),
        (
            {"teacher": {"labels_from": "label", "confidence": "sure"}, "student": {"model": "m"}},
            r"teacher\.confidence: no training row has the field 'sure'; known here: label, text",
        ),
    ],
)
def test_a_column_that_no_row_has(
    change: dict[str, Any], message: str, sections: dict[str, Any], tmp_path: Path
) -> None:
    rows = [{"text": f"text {i}", "label": str(i % 2)} for i in range(40)]
    sections["data"] = {"train": str(write_rows(tmp_path / "rows.jsonl", rows)), "on_bad_row": "quarantine"}
    with pytest.raises((DataError, ConfigError), match=message):
        limbeck.distill(**{**sections, **change})
    assert not list(Path(sections["output"]).glob("quarantine-*"))


@pytest.mark.slow
def test_a_teacher_with_other_labels(sections: dict[str, Any], tmp_path: Path, light: None) -> None:
    limbeck.distill(**sections)
    teacher = next(Path(sections["output"]).glob("stages/01-teacher-*/model"))
    sections.update(teacher={"model": str(teacher)}, output=str(tmp_path / "other"))
    with pytest.raises(ModelError, match="differ: only in the task"):
        limbeck.distill(**{**sections, "task": {"labels": ["yes", "no", "a", "b"]}})
    unnamed = json.loads((teacher / "config.json").read_text(encoding="utf-8"))
    unnamed["id2label"] = {str(i): f"LABEL_{i}" for i in range(4)}
    (teacher / "config.json").write_text(json.dumps(unnamed), encoding="utf-8")
    with pytest.raises(ModelError, match="classifies 4 labels, but the task has 2"):
        limbeck.distill(**{**sections, "task": {"labels": ["card_arrival", "exchange_rate"]},
                           "data": {"train": str(_two_intents(sections, tmp_path))}})  # fmt: skip


def _two_intents(sections: dict[str, Any], folder: Path) -> Path:
    rows = [json.loads(line) for line in Path(sections["data"]["train"][0]).read_text(encoding="utf-8").splitlines()]
    return write_rows(folder / "two.jsonl", [r for r in rows if r["label"] in ("card_arrival", "exchange_rate")])


def test_tokenizers_with_other_ids_are_refused_by_a_recipe_that_compares_tokens(
    sections: dict[str, Any], encoder_folder: Path, tmp_path: Path
) -> None:
    import shutil

    other = tmp_path / "other-tokens"
    shutil.copytree(encoder_folder, other)
    tokens = json.loads((other / "tokenizer.json").read_text(encoding="utf-8"))
    vocabulary = tokens["model"]["vocab"]
    vocabulary["card"], vocabulary["my"] = vocabulary["my"], vocabulary["card"]
    (other / "tokenizer.json").write_text(json.dumps(tokens), encoding="utf-8")
    sections.update(student={"model": str(other)}, recipe="distilbert")
    with pytest.raises(ConfigError, match="tokenizers write tokens with different ids"):
        limbeck.distill(**sections)


@pytest.mark.slow
def test_divergence_stops_before_the_weights_are_spoilt(sections: dict[str, Any], light: None) -> None:
    from limbeck.errors import NonFiniteLoss

    sections["training"] = {**sections["training"], "learning_rate": 1e30, "max_grad_norm": 1e30, "warmup_ratio": 0}
    with pytest.raises(NonFiniteLoss, match=r"the term 'divergence' is (nan|inf) at optimiser step \d+"):
        limbeck.distill(**sections)


@pytest.mark.slow
def test_a_teacher_that_guesses_is_refused(
    sections: dict[str, Any], encoder_folder: Path, tmp_path: Path, light: None
) -> None:
    """Pitfall 25: a teacher at random, found before a student is trained on it."""
    sections["teacher"]["fine_tune"].update(max_steps=1, learning_rate=10.0, warmup_ratio=0)
    with pytest.raises(ModelError, match="no better than always giving the most frequent label"):
        limbeck.distill(**sections)


@pytest.mark.slow
def test_training_is_shown_in_tensorboard_on_request(sections: dict[str, Any], light: None) -> None:
    sections["training"]["report_to"] = ["tensorboard"]
    limbeck.distill(**sections)
    assert list(Path(sections["output"]).glob("tensorboard/*distilled*/events*"))


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def _weights(run: Path) -> dict[str, bytes]:
    return {
        name: tensor.numpy().tobytes() for name, tensor in load_file(run / "student" / "model.safetensors").items()
    }


def _log(run: Path) -> list[tuple[Any, ...]]:
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    return [(line["stage"], line["system"], line["step"], line["loss"], line["grad_norm"]) for line in lines]


@pytest.mark.slow
def test_run_yaml_names_versions_and_data(sections: dict[str, Any], light: None) -> None:
    limbeck.distill(**sections)
    written = yaml.safe_load((Path(sections["output"]) / "run.yaml").read_text(encoding="utf-8"))
    assert set(written["provenance"]["data_sha256"]) == {"train", "test"}
    assert written["provenance"]["torch"].startswith(torch.__version__.split("+")[0])
    assert written["recipe"] == {"name": "kd", "label_weight": 0.0, "loss_temperature": 2.0}
