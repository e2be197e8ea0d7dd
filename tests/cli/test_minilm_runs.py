"""MiniLM and MiniLMv2 from the command line: what they refuse before training, and whole runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Command = Callable[..., tuple[int, str, str]]
BERT = {
    "model_type": "bert", "vocab_size": 2000, "hidden_size": 24, "num_hidden_layers": 2, "intermediate_size": 32,
    "max_position_embeddings": 64,
}  # fmt: skip
"""A student narrower than its teacher."""


def write(folder: Path, sections: dict[str, Any]) -> str:
    path = folder / "run-file.yaml"
    path.write_text("".join(f"{name}: {json.dumps(value)}\n" for name, value in sections.items()), encoding="utf-8")
    return str(path)


def logged(sections: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Lines of the distilled student's stages, by name."""
    lines = map(json.loads, (Path(sections["output"]) / "log.jsonl").read_text(encoding="utf-8").splitlines())
    found: dict[str, list[dict[str, Any]]] = {}
    for line in lines:
        if line["system"] == "distilled":
            found.setdefault(line["stage"], []).append(line)
    return found


@pytest.mark.parametrize(
    ("recipe", "student", "message"),
    [
        ({"name": "minilm"}, {}, "the teacher has 2 in each layer and the student 6. Use a student with as many"),
        ({"name": "minilm_v2", "relation_heads": 16}, {}, "relation_heads 16 does not divide the width 24"),
        ({"name": "minilm_v2", "teacher_layer": 9}, {}, "teacher_layer must be between 1 and 4, not 9"),
        (
            {"name": "minilm_v2"},
            {"model_type": "deberta-v2"},
            "cannot read the attention of layer 2 of DebertaV2ForSequenceClassification",
        ),
    ],
)
def test_models_that_do_not_fit_are_refused_before_training(
    limbeck: Command,
    sections: dict[str, Any],
    tmp_path: Path,
    recipe: dict[str, Any],
    student: dict[str, Any],
    message: str,
) -> None:
    config = {**BERT, "num_attention_heads": 6, **student}
    sections |= {"student": {"config": config}, "recipe": recipe, "baselines": []}
    code, _, errors = limbeck("distill", write(tmp_path, sections))
    assert code == 2
    assert message in errors
    assert "Traceback" not in errors
    assert not (tmp_path / "run" / "stages").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipe", "heads", "terms"),
    [
        ({"name": "minilm", "label_weight": 0}, 2, {"attention", "values"}),
        ({"name": "minilm_v2", "label_weight": 0}, 6, {"queries", "keys", "values"}),
    ],
)
def test_a_narrower_student_learns_relations_without_labels(
    limbeck: Command, sections: dict[str, Any], tmp_path: Path, light: None,
    recipe: dict[str, Any], heads: int, terms: set[str],
) -> None:  # fmt: skip
    sections |= {"student": {"config": {**BERT, "num_attention_heads": heads}}, "recipe": recipe, "baselines": []}
    sections["training"] |= {"max_steps": 40, "learning_rate": 5e-3}
    code, _, errors = limbeck("distill", write(tmp_path, sections))
    assert code == 0, errors
    stages = logged(sections)
    assert list(stages) == ["relations", "kd"]
    first, *_, last = stages["relations"]
    for name in terms:
        assert last[f"term/{name}"] < 0.7 * first[f"term/{name}"]
    assert stages["kd"][-1]["term/divergence"] < stages["kd"][0]["term/divergence"]
