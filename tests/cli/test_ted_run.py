"""TED from the command line: its three stages, an interruption in each, other kinds of task, and kd without hints."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from tests.runs.interruption import StopAfter

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ted(sections: dict[str, Any]) -> dict[str, Any]:
    sections["training"] |= {"max_steps": 24, "log_every": 1}
    narrower = {
        "model_type": "bert", "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 32, "max_position_embeddings": 64,
    }  # fmt: skip
    return {
        **sections,
        "student": {"config": narrower},
        "recipe": {"name": "ted", "soft_target_weight": 1.0},
        "baselines": [],
        "speed": False,
    }


def written(sections: dict[str, Any], folder: Path) -> str:
    path = folder / "ted.yaml"
    path.write_text(json.dumps(sections), encoding="utf-8")  # JSON is YAML
    return str(path)


def weights_in(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = load_file(run / "student" / "model.safetensors")
    return found


@pytest.mark.slow
def test_filters_are_trained_then_the_student_with_them(
    ted: dict[str, Any], tmp_path: Path, limbeck: Command, light: None
) -> None:
    code, _, said = limbeck("distill", written(ted, tmp_path))
    assert code == 0, said
    run = tmp_path / "run"
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    stages = {name: [x for x in lines if x["system"] == "distilled" and x["stage"] == name]
              for name in ("fine_tune", "filters", "ted")}  # fmt: skip
    assert [len(found) for found in stages.values()] == [6, 6, 12]
    terms = [{key for key in found[0] if key.startswith("term/")} for found in stages.values()]
    assert terms == [
        {"term/labels"},
        {"term/student_filters", "term/teacher_filters"},
        {"term/labels", "term/divergence", "term/hints"},
    ]
    first, *_, last = stages["ted"]
    assert last["loss"] < first["loss"]
    before, between, after = sorted((run / "stages").glob("*-distilled-*"))
    start, frozen, end = (load_file(folder / "model" / "model.safetensors") for folder in (before, between, after))
    assert all(tensor.equal(start[name]) for name, tensor in frozen.items())
    of_filters, of_ted = (
        {
            side: load_file(folder / "model" / "terms" / f"{side}_filters.safetensors")
            for side in ("student", "teacher")
        }
        for folder in (between, after)
    )
    assert all(tensor.equal(of_filters["teacher"][name]) for name, tensor in of_ted["teacher"].items())
    assert not any(tensor.equal(of_filters["student"][name]) for name, tensor in of_ted["student"].items())
    assert set(weights_in(run)) == set(end)
    assert not list((run / "student").rglob("*filters*"))
    assert limbeck("predict", str(run / "student"), ted["data"]["test"])[0] == 0


@pytest.mark.slow
def test_an_interrupted_run_ends_with_the_same_weights(ted: dict[str, Any], tmp_path: Path, light: None) -> None:
    from limbeck import distill

    distill(**ted)
    expected = weights_in(tmp_path / "run")
    ted["output"] = str(tmp_path / "interrupted")
    for steps in (3, 5, 3, 4, 5):  # before and after checkpoints, in each of the stages
        with pytest.raises(KeyboardInterrupt):
            distill(**ted, progress=StopAfter(steps))
    distill(**ted)
    found = weights_in(tmp_path / "interrupted")
    assert all(tensor.equal(expected[name]) for name, tensor in found.items())


@pytest.mark.slow
def test_without_hints_it_trains_as_kd_does(ted: dict[str, Any], tmp_path: Path, light: None) -> None:
    from limbeck import distill

    ted["recipe"] = {"name": "ted", "hint_weight": 0, "label_weight": 0.5, "soft_target_weight": 0.5}
    distill(**ted)
    distill(**(ted | {"recipe": {"name": "kd"}, "output": str(tmp_path / "kd")}))
    expected = weights_in(tmp_path / "kd")
    assert all(tensor.equal(expected[name]) for name, tensor in weights_in(tmp_path / "run").items())


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["regression", "multi_label", "token_classification"])
def test_other_kinds_of_task(kind: str, ted: dict[str, Any], tmp_path: Path, limbeck: Command, light: None) -> None:
    answers: dict[str, Callable[[int], dict[str, Any]]] = {
        "regression": lambda n: {"text": f"my card {n}", "value": n / 3},
        "multi_label": lambda n: {"text": f"my card {n}", "labels": ["card", "money"][: n % 3]},
        "token_classification": lambda n: {"words": ["my", "card", str(n)], "tags": ["O", "B-CARD", "O"]},
    }
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps(answers[kind](n)) + "\n" for n in range(40)), encoding="utf-8")
    task = {"kind": kind} | ({"words": "words"} if kind == "token_classification" else {})
    del ted["simple_baselines"]
    code, _, said = limbeck("distill", written({**ted, "task": task, "data": {"train": str(rows)}}, tmp_path))
    assert code == 0, said


@pytest.mark.slow
def test_development_rows_judge_no_stage_of_filters(ted: dict[str, Any], tmp_path: Path, light: None) -> None:
    from limbeck import distill

    ted["data"] |= {"dev": ted["data"]["test"]}
    ted["training"] |= {"early_stopping": {"eval_steps": 1, "early_stopping_patience": 1}}
    distill(**ted)
    lines = (tmp_path / "run" / "log.jsonl").read_text(encoding="utf-8").splitlines()
    of_filters = [x for x in map(json.loads, lines) if x["stage"] == "filters"]
    assert len(of_filters) == 6
    assert not any("dev/loss" in x for x in of_filters)


def test_a_stage_of_filters_without_steps_is_refused_before_the_teacher_is_trained(
    ted: dict[str, Any], tmp_path: Path, limbeck: Command
) -> None:
    ted["training"]["max_steps"] = 4
    ted["recipe"] |= {"filter_fraction": 0.01}
    code, _, said = limbeck("distill", written(ted, tmp_path))
    assert code == 2
    assert "stage 'filters' of recipe 'ted' gets none of the 4 optimiser steps" in said
    assert "Traceback" not in said
    assert not (tmp_path / "run" / "stages").exists()
