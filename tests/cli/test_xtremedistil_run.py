"""XtremeDistil from the command line: nine stages, what each leaves as it was, and students that cannot be divided."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from tests.runs.interruption import StopAfter

Command = Callable[..., tuple[int, str, str]]

NARROWER = {
    "model_type": "bert", "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32,
    "max_position_embeddings": 64,
}  # fmt: skip
STAGES = ["hidden", *(f"{loss}_{what}" for loss in ("logits", "labels") for what in ("head", "1", "2", "3"))]
HEAD = ("classifier.", "bert.pooler.")
UPPER, LOWER, EMBEDDINGS = "bert.encoder.layer.1.", "bert.encoder.layer.0.", "bert.embeddings."
TRAINED = [HEAD, (*HEAD, UPPER), (*HEAD, UPPER, LOWER), (*HEAD, UPPER, LOWER, EMBEDDINGS)]


@pytest.fixture
def narrower(sections: dict[str, Any]) -> dict[str, Any]:
    sections["training"] |= {"max_steps": 27, "log_every": 1}
    student = {"config": NARROWER, "word_embeddings": "pca"}
    return {**sections, "student": student, "recipe": "xtremedistil", "baselines": [], "speed": False}


def written(sections: dict[str, Any], folder: Path) -> str:
    path = folder / "xtremedistil.yaml"
    path.write_text(json.dumps(sections), encoding="utf-8")  # JSON is YAML
    return str(path)


@pytest.mark.slow
def test_a_narrower_student_is_unfrozen_in_nine_stages_and_an_interruption_changes_nothing(
    narrower: dict[str, Any], tmp_path: Path, limbeck: Command, light: None
) -> None:
    from limbeck import distill

    code, _, said = limbeck("distill", written(narrower, tmp_path))
    assert code == 0, said
    run = tmp_path / "run"
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    of_student = [line for line in lines if line["system"] == "distilled"]
    assert [line["stage"] for line in of_student] == [name for name in STAGES for _ in range(3)]
    assert {line["learning_rate"] for line in of_student} == {1e-3}
    assert {name for line in of_student for name in line if name.startswith("term/")} == {
        "term/hidden_states", "term/logits", "term/labels"
    }  # fmt: skip
    folders = [run / "stages" / f"{n:02d}-distilled-{name}-seed0" for n, name in enumerate(STAGES, start=2)]
    weights = [load_file(folder / "model" / "model.safetensors") for folder in folders]
    for (before, after), trained in zip(pairwise(weights), [*TRAINED, *TRAINED], strict=True):
        changed = {name for name, tensor in after.items() if not tensor.equal(before[name])}
        assert all(name.startswith(trained) for name in changed)
        assert all(any(name.startswith(part) for name in changed) for part in trained)
    student = load_file(run / "student" / "model.safetensors")
    assert all(tensor.equal(weights[-1][name]) for name, tensor in student.items())
    assert limbeck("predict", str(run / "student"), narrower["data"]["test"])[0] == 0

    narrower["output"] = str(tmp_path / "interrupted")
    for steps in (1, 5, 8, 5):  # in the first, third, fifth and seventh stage
        with pytest.raises(KeyboardInterrupt):
            distill(**narrower, progress=StopAfter(steps))
    distill(**narrower)
    again = load_file(tmp_path / "interrupted" / "student" / "model.safetensors")
    assert all(tensor.equal(student[name]) for name, tensor in again.items())


@pytest.mark.slow
def test_a_stage_that_helps_nowhere_is_undone(
    narrower: dict[str, Any], tmp_path: Path, limbeck: Command, light: None
) -> None:
    narrower["training"] |= {"learning_rate": 50.0, "early_stopping": {"eval_steps": 1}}
    narrower["recipe"] = {"name": "xtremedistil", "modules": 1}
    code, _, said = limbeck("distill", written(narrower, tmp_path))
    assert code == 0, said
    stages = tmp_path / "run" / "stages"
    before, after = (
        load_file(next(stages.glob(f"*-distilled-{name}-seed0")) / "model" / "model.safetensors")
        for name in ("labels_head", "labels_1")
    )
    dev = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    losses = [line["dev/loss"] for line in dev if line["stage"] == "labels_1" and "dev/loss" in line]
    assert len(losses) > 1
    assert min(losses) == losses[0]
    assert all(tensor.equal(before[name]) for name, tensor in after.items())


@pytest.mark.parametrize("command", ["distill", "doctor"])
def test_more_modules_than_the_student_has_are_refused_before_the_teacher_is_trained(
    command: str, narrower: dict[str, Any], tmp_path: Path, limbeck: Command
) -> None:
    narrower["recipe"] = {"name": "xtremedistil", "modules": 4}
    code, out, said = limbeck(command, written(narrower, tmp_path))
    assert code == 2
    assert "it has 2 layers: at most 3 parts (recipe.modules)" in " ".join((out + said).split())
    assert not (tmp_path / "run" / "stages").exists()


@pytest.mark.slow
@pytest.mark.parametrize("command", ["doctor", "plan"])
def test_doctor_and_plan_know_the_recipe(
    command: str, narrower: dict[str, Any], tmp_path: Path, limbeck: Command
) -> None:
    code, out, said = limbeck(command, written(narrower, tmp_path))
    assert code == 0, out + said
