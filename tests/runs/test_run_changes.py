"""A run that has begun takes settings that nothing depends on yet, and ends as if it had had them from the start."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file
from tests.tasks.generation.text_models import text_sections

import limbeck
from limbeck.errors import ConfigError, RunFolderError
from limbeck.runs.config import run_config
from limbeck.runs.run_changes import changes_of

CLASSIFIER: dict[str, Any] = {
    "data": {"train": "a.jsonl", "test": "b.jsonl"},
    "teacher": {"model": "m", "fine_tune": {"num_train_epochs": 2}},
    "student": {"model": "s"},
    "recipe": "pkd",
    "output": "runs/x",
}
LANGUAGES: dict[str, Any] = {
    "task": {"kind": "ranking", "languages": ["de", "bg"]},
    "data": {"sets": [{"layout": "rows", "folder": "f"}], "shots": [0, 16]},
    "backbone": {"model": "m"},
    "recipe": {"name": "ml_ipd", "confidence_threshold": 0.9},
    "baselines": ["ml_dft", "transfer"],
    "output": "runs/x",
}
TEXTS: dict[str, Any] = {
    "task": {"kind": "generation", "prompt": "q", "completion": "a"},
    "data": {"train": "a.jsonl", "test": "b.jsonl"},
    "teacher": {"model": "m"},
    "student": {"model": "s"},
    "recipe": "kd",
    "output": "runs/x",
}
TEACHER, STUDENT, CONTROL = (
    f"stages/{name}-seed0/checkpoints/checkpoint-2/model.safetensors"
    for name in ("01-teacher-fine_tune", "02-distilled-pkd", "03-fine_tune-fine_tune")
)
SIGNALS, BEFORE = "signals/logits.npy", "predictions/student_init-seed0.npy"
ENGLISH, SCORES = "stages/seed0/source_model/done.json", "predictions/teacher-ml_ipd-seed0.npy"
ALIGNED, BASELINE = "stages/seed0/ml_ipd-distillation/done.json", "stages/seed0/ml_dft-fine_tune-n16/done.json"
WRITTEN, OF_TEACHER = "written/teacher.jsonl", "predictions/teacher-seed0.json"
ALL = None


@pytest.mark.parametrize(("there", "used"), [([], []), (["results.json"], ["results.json"])])
def test_simple_baselines_may_be_left_out_until_there_are_results(
    there: list[str], used: list[str], tmp_path: Path
) -> None:
    for name in ["simple_baselines/tfidf.npy", "predictions/teacher-seed0.npy", *there]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with_them, without = (
        run_config({**CLASSIFIER, "simple_baselines": wanted}).model_dump(mode="json") for wanted in (True, False)
    )
    for before, after in ((with_them, without), (without, with_them)):
        (change,) = changes_of(before, after, {}, {}, tmp_path)
        assert change.used_by == used


def test_the_first_student_that_learns_rationales_changes_how_all_read(tmp_path: Path) -> None:
    plain = run_config({**CLASSIFIER, "baselines": []}).model_dump(mode="json")
    with_reasons = {**plain, "baselines": [{"name": "anon", "rationale_weight": 0.3}]}
    (change,) = changes_of(plain, with_reasons, {}, {}, tmp_path)
    assert change.used_by is ALL
    other = {**plain, "baselines": [*with_reasons["baselines"], {"name": "anon", "rationale_weight": 0.1}]}
    (change,) = changes_of(with_reasons, other, {}, {}, tmp_path)
    assert change.words.startswith("baselines.anon_2 was not set")
    assert change.used_by == []


def changed(sections: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """Return `sections` with settings named as in ``--set``."""
    sections = json.loads(json.dumps(sections))
    for name, value in change.items():
        *parents, last = name.split(".")
        inner = sections
        for parent in parents:
            if isinstance(inner.get(parent), str):
                inner[parent] = {"name": inner[parent]}
            inner = inner.setdefault(parent, {})
        inner[last] = value
    return sections


@pytest.mark.parametrize(
    ("sections", "change", "there", "used_by"),
    [
        # Of a classification run: the teacher is fine-tuned, its signals are there, the students are to come.
        (CLASSIFIER, {"training.num_train_epochs": 5}, [TEACHER, SIGNALS, BEFORE], []),
        (CLASSIFIER, {"training.num_train_epochs": 5}, [TEACHER, STUDENT], ["stages/02-distilled-pkd-seed0"]),
        (CLASSIFIER, {"training.num_train_epochs": 5}, [CONTROL], ["stages/03-fine_tune-fine_tune-seed0"]),
        (CLASSIFIER, {"training.max_length": 64}, [TEACHER], ALL),
        (CLASSIFIER, {"teacher.fine_tune.num_train_epochs": 3}, [TEACHER], ALL),
        (CLASSIFIER, {"student.model": "t"}, [TEACHER], ALL),
        (CLASSIFIER, {"task.text": "body"}, [TEACHER], ALL),
        (CLASSIFIER, {"recipe.loss_temperature": 3}, [TEACHER, SIGNALS, BEFORE], []),
        (CLASSIFIER, {"recipe.loss_temperature": 3}, [STUDENT], ["stages/02-distilled-pkd-seed0"]),
        (CLASSIFIER, {"recipe": "kd"}, [TEACHER, SIGNALS, BEFORE], []),
        (CLASSIFIER, {"baselines": []}, [TEACHER, STUDENT], []),
        (CLASSIFIER, {"baselines": []}, [CONTROL], ["stages/03-fine_tune-fine_tune-seed0"]),
        (CLASSIFIER, {"baselines": ["fine_tune", "distilbert"]}, [STUDENT, CONTROL], []),
        (CLASSIFIER, {"baselines": ["distilbert", "fine_tune"]}, [STUDENT, CONTROL, "results.json"], ["results.json"]),
        (CLASSIFIER, {"baselines": [{"name": "pkd", "hint_weight": 0}]}, [STUDENT], []),
        (CLASSIFIER, {"seeds": [0, 1]}, [TEACHER, STUDENT, CONTROL], []),
        (CLASSIFIER, {"seeds": [0, 1]}, ["results.json"], ["results.json"]),
        (CLASSIFIER, {"seeds": [1, 0]}, [TEACHER], ALL),
        (CLASSIFIER, {"seeds": [1]}, [TEACHER], ALL),
        (CLASSIFIER, {"data.test_size": 0.2}, [TEACHER], ALL),
        # Of a cross-lingual run.
        (LANGUAGES, {"recipe.confidence_threshold": 0.5}, [ENGLISH, SCORES], []),
        (LANGUAGES, {"recipe.confidence_threshold": 0.5}, [ENGLISH, SCORES, BASELINE], []),
        (LANGUAGES, {"recipe.confidence_threshold": 0.5}, [ENGLISH, ALIGNED], ["stages/seed0/ml_ipd-distillation"]),
        (LANGUAGES, {"recipe.pairing": "same"}, [ENGLISH], []),
        (LANGUAGES, {"recipe.pairing": "same"}, [SCORES], [SCORES]),
        (LANGUAGES, {"training.distillation.num_train_epochs": 9}, [ENGLISH, SCORES], []),
        (LANGUAGES, {"training.distillation.num_train_epochs": 9}, [BASELINE], ["stages/seed0/ml_dft-fine_tune-n16"]),
        (LANGUAGES, {"training.source.num_train_epochs": 9}, [ENGLISH], ALL),
        (LANGUAGES, {"prompts.form": "hard"}, [ENGLISH], ALL),
        (LANGUAGES, {"baselines": ["ml_dft", "transfer", "pl_bl"]}, [ENGLISH, ALIGNED, BASELINE], []),
        (LANGUAGES, {"baselines": ["transfer"]}, [ENGLISH, ALIGNED], []),
        (LANGUAGES, {"baselines": ["transfer"]}, [BASELINE], ["stages/seed0/ml_dft-fine_tune-n16"]),
        (
            LANGUAGES,
            {"recipe": "ml_dft", "baselines": ["transfer", {"name": "ml_ipd", "confidence_threshold": 0.9}]},
            [ALIGNED],
            [],
        ),
        (CLASSIFIER, {"speed": False}, [TEACHER, STUDENT, BEFORE, "results.json"], ["results.json"]),
        (TEXTS, {"speed": False}, [STUDENT, OF_TEACHER, "results.json"], ["results.json"]),
        (LANGUAGES, {"rate": {"per_device_hour": 2, "currency": "EUR"}}, [ENGLISH, ALIGNED, BASELINE], []),
        (LANGUAGES, {"rate": {"per_device_hour": 2, "currency": "EUR"}}, ["results.json"], ["results.json"]),
        (LANGUAGES, {"task.high_resource": ["de"]}, [ENGLISH, ALIGNED], []),
        (LANGUAGES, {"data.shots": [0, 16, 64]}, [ENGLISH, ALIGNED, BASELINE], []),
        (LANGUAGES, {"data.shots": [0]}, [ENGLISH], ALL),
        # Of a generation run.
        (TEXTS, {"training.num_train_epochs": 5}, [WRITTEN, OF_TEACHER], []),
        (
            TEXTS,
            {"training.num_train_epochs": 5},
            ["stages/distilled-01-kd-seed0/done.json"],
            ["stages/distilled-01-kd-seed0"],
        ),
        (TEXTS, {"recipe.loss_temperature": 3.0}, [WRITTEN, OF_TEACHER], []),
        (TEXTS, {"answers.rows": 3}, [WRITTEN], []),
        (TEXTS, {"answers.rows": 3}, [OF_TEACHER], [OF_TEACHER]),
        (TEXTS, {"answers.metrics": ["rouge_l"]}, [OF_TEACHER, "stages/distilled-01-kd-seed0/done.json"], []),
        (TEXTS, {"teacher.model": "n"}, [OF_TEACHER], ALL),
        (TEXTS, {"baselines": []}, ["stages/distilled-01-kd-seed0/done.json"], []),
    ],
)  # fmt: skip
def test_what_depends_on_a_setting(
    sections: dict[str, Any], change: dict[str, Any], there: list[str], used_by: list[str] | None, tmp_path: Path
) -> None:
    for path in there:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    before, after = (run_config(one).model_dump(mode="json") for one in (sections, changed(sections, change)))
    found = list(changes_of(before, after, {}, {}, tmp_path))
    assert found
    if used_by is None:
        assert any(one.used_by is None for one in found)
    else:
        assert {path for one in found for path in one.used_by or []} == set(used_by)
        assert all(one.used_by is not None for one in found)


def test_how_a_member_is_asked_and_at_what_price_matters_to_nothing(tmp_path: Path) -> None:
    """Unlike what it is asked."""

    def settings(**changes: Any) -> dict[str, Any]:
        api = {"base_url": "http://127.0.0.1:9/v1", "model": "m", "budget_tokens": 5} | changes
        members = ["tfidf", {"api": api, "prompt": {}, "pilot": len(changes)}]
        teacher = {"ensemble": {"members": members}}
        return run_config(
            {"data": {"train": "t"}, "teacher": teacher, "student": {"model": "e"}, "recipe": "kd", "output": "o"}
        ).model_dump(mode="json")

    assert list(changes_of(settings(), settings(budget_tokens=9, concurrency=3), {}, {}, tmp_path)) == []
    (change,) = changes_of(settings(), settings(model="n"), {}, {}, tmp_path)
    assert change.words == "teacher.ensemble.members.1.api.model was m, is n"
    assert change.used_by is None


@pytest.mark.parametrize(
    ("change", "yields"),
    [({"data.train": "moved.jsonl"}, 0), ({"data.test": "moved.jsonl"}, 0), ({"data.on_bad_row": "quarantine"}, 0),
     ({"data.test": None}, 1)],
)  # fmt: skip
def test_rows_are_known_by_what_is_in_them(change: dict[str, Any], yields: int, tmp_path: Path) -> None:
    before, after = (run_config(one).model_dump(mode="json") for one in (CLASSIFIER, changed(CLASSIFIER, change)))
    rows = {"train": "1", "test": "2"}
    found = list(changes_of(before, after, rows, rows, tmp_path))
    assert [one.used_by for one in found] == [None] * yields
    for split in rows:
        (other,) = changes_of(before, before, rows, rows | {split: "3"}, tmp_path)
        assert (other.words, other.used_by) == (f"the {split} rows have changed", None)
    (dev,) = changes_of(before, before, rows, rows | {"dev": "3"}, tmp_path)
    assert dev.used_by == []
    (tmp_path / "results.json").touch()
    (dev,) = changes_of(before, before, rows, rows | {"dev": "3"}, tmp_path)
    assert dev.in_full == "the dev rows have changed (results.json depends on it)"
    (tmp_path / "predictions").mkdir()
    for name in ("distilled-seed0-dev.npy", "distilled-seed0.npy"):
        (tmp_path / "predictions" / name).touch()
    (dev,) = changes_of(before, before, rows, rows | {"dev": "3"}, tmp_path)
    assert dev.used_by == ["predictions/distilled-seed0-dev.npy", "results.json"]
    for judged in ({"training.early_stopping": {}}, {"teacher.fine_tune": {"early_stopping": {}}}):
        config = run_config(changed(CLASSIFIER, judged)).model_dump(mode="json")
        (dev,) = changes_of(config, config, rows, rows | {"dev": "3"}, tmp_path)
        assert dev.used_by is None  # weights were chosen by them
        kept_back = changes_of(before, config, rows, rows, tmp_path)
        assert {one.used_by for one in kept_back} == {None}


@pytest.mark.parametrize(
    "damaged", [{}, {"backbone": 1}, {"backbone": {}, "recipe": 3, "baselines": [None]}, {"seeds": 3, "task": []}]
)
def test_a_damaged_record_is_another_run(damaged: dict[str, Any], tmp_path: Path) -> None:
    for sections in (CLASSIFIER, LANGUAGES):
        after = run_config(sections).model_dump(mode="json")
        assert any(change.used_by is None for change in changes_of(damaged, after, {}, {}, tmp_path))


# Whole runs


class StopAt:
    """A progress display that stops the program before something is done, and keeps what is said."""

    def __init__(self, title: str = "never") -> None:
        self._title = title
        self.said: list[str] = []

    def track(self, title: str, total: int, done: int = 0) -> Any:
        if self._title in title:
            raise KeyboardInterrupt
        return contextlib.nullcontext(lambda n, note="": None)

    def log(self, message: str) -> None:
        self.said.append(message)


def weights(folder: str | Path) -> dict[str, bytes]:
    tensors = load_file(Path(folder) / "student" / "model.safetensors")
    return {name: tensor.numpy().tobytes() for name, tensor in tensors.items()}


def predictions(folder: str | Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (Path(folder) / "predictions").iterdir()}


def logged(folder: str | Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (Path(folder) / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    measured = ("seconds", "tokens_per_second", "memory_bytes")
    return [{name: value for name, value in line.items() if name not in measured} for line in lines]


def goes_on_with(sections: dict[str, Any], change: dict[str, Any], stop: StopAt, fresh: Path) -> StopAt:
    """Stop a run, go on with other settings, and compare with a run that had them from the start."""
    with pytest.raises((KeyboardInterrupt, ConfigError)):
        limbeck.distill(**sections, progress=stop)
    progress = StopAt()
    limbeck.distill(**changed(sections, change), progress=progress)
    limbeck.distill(**{**changed(sections, change), "output": str(fresh)})
    assert weights(sections["output"]) == weights(fresh)
    assert predictions(sections["output"]) == predictions(fresh)
    assert logged(sections["output"]) == logged(fresh)
    return progress


@pytest.mark.slow
def test_a_classifier_after_its_teacher(sections: dict[str, Any], tmp_path: Path, light: None) -> None:
    change = {"training.max_steps": 6, "recipe": "distilbert", "baselines": []}
    said = goes_on_with(sections, change, StopAt("distilled student"), tmp_path / "fresh").said
    assert any("training.max_steps was 12, is 6" in line and "so the run continues" in line for line in said)
    with pytest.raises(
        RunFolderError, match=r"training\.max_steps was 6, is 7 \(predictions/distilled-seed0\.npy and"
    ):
        limbeck.distill(**changed(sections, change | {"training.max_steps": 7}))


@pytest.mark.slow
def test_seeds_that_are_added_to_a_run(sections: dict[str, Any], tmp_path: Path, light: None) -> None:
    limbeck.distill(**sections)
    more = changed(sections, {"seeds": [0, 1]})
    words = r"seeds was \[0\], is \[0, 1\] \(results\.json depends on it\)\. Set .*, remove what depends on it"
    with pytest.raises(RunFolderError, match=words):
        limbeck.distill(**more)
    (Path(sections["output"]) / "results.json").unlink()
    limbeck.distill(**more)
    limbeck.distill(**{**more, "output": str(tmp_path / "fresh")})
    assert weights(sections["output"]) == weights(tmp_path / "fresh")
    assert predictions(sections["output"]) == predictions(tmp_path / "fresh")


@pytest.mark.slow
def test_a_baseline_that_is_added_to_a_run(sections: dict[str, Any], tmp_path: Path, light: None) -> None:
    limbeck.distill(**sections)
    more = changed(sections, {"baselines": [{"name": "anon", "order": "random"}, "fine_tune"]})
    with pytest.raises(RunFolderError, match=r"baselines\.anon was not set, is .* \(results\.json depends on it\)"):
        limbeck.distill(**more)
    (Path(sections["output"]) / "results.json").unlink()
    limbeck.distill(**more)
    limbeck.distill(**{**more, "output": str(tmp_path / "fresh")})
    assert predictions(sections["output"]) == predictions(tmp_path / "fresh")
    other = changed(more, {"baselines": ["anon", "fine_tune"]})
    with pytest.raises(RunFolderError, match=r"baselines\.anon\.order was random, is progressive \(predictions/anon"):
        limbeck.distill(**other)


@pytest.mark.slow
def test_a_gate_that_nothing_passes_is_lowered(toy_run: dict[str, Any], tmp_path: Path, light: None) -> None:
    toy_run["recipe"]["confidence_threshold"] = 1.0
    goes_on_with(toy_run, {"recipe.confidence_threshold": 0.0}, StopAt(), tmp_path / "fresh")
    table = np.load(Path(toy_run["output"]) / "predictions" / "teacher-ml_ipd-seed0.npy")
    assert len(table)


@pytest.mark.slow
def test_texts_after_the_teacher_was_measured(tmp_path: Path, light: None) -> None:
    sections = text_sections(tmp_path)
    change = {"training.learning_rate": 2e-3, "recipe": "reverse_kl"}
    goes_on_with(sections, change, StopAt("distilled student"), tmp_path / "fresh")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["classifier", "languages", "texts"])
def test_test_rows_that_change_are_noticed(
    kind: str, sections: dict[str, Any], toy_run: dict[str, Any], own_toy_data: Path, tmp_path: Path,
    make_toy_sets: Callable[..., None], light: None,
) -> None:  # fmt: skip
    """A run that goes on after its held-out rows were changed would be compared on two sets of them."""
    if kind == "languages":
        sections = toy_run
        for one in sections["data"]["sets"]:
            one["folder"] = str(own_toy_data / Path(one["folder"]).name)
        test = own_toy_data / "topic" / "test.jsonl"
    else:
        sections = sections if kind == "classifier" else text_sections(tmp_path)
        test = tmp_path / "own-test.jsonl"
        test.write_bytes(Path(sections["data"]["test"]).read_bytes())
        sections["data"]["test"] = str(test)
    with pytest.raises(KeyboardInterrupt):
        limbeck.distill(**sections, progress=StopAt("distill"))
    lines = test.read_text(encoding="utf-8").splitlines()
    test.write_text("\n".join(lines[::-1]) + "\n", encoding="utf-8")
    with pytest.raises(RunFolderError, match="holds another run: the test rows have changed"):
        limbeck.distill(**sections)
    test.write_text("\n".join(lines) + "\n", encoding="utf-8")
    limbeck.distill(**sections)
