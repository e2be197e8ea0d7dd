"""What every recipe of classifiers must do, by its name alone: run, save, resume, and be split into micro-batches."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file
from tests.runs.interruption import InterruptAfter

import limbeck
from limbeck.errors import ConfigError
from limbeck.recipes.catalogue import recipes_for
from limbeck.tasks.classification.predict import Predictor

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("light")]

PRUNED = {"pruned": {"keep": 2, "feed_forward": "half"}}
BERT = {
    "model_type": "bert",
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "intermediate_size": 64,
}
STUDENTS: dict[str, dict[str, Any]] = {
    "minima": PRUNED,
    "homodistil": PRUNED,
    "mobilebert": {"config": BERT},
    "distilbilstm": {"config": {"model_type": "limbeck_bilstm", "hidden_size": 16, "embedding_size": 16}},
}
"""Students of recipes that do not suit one with half the teacher's layers."""
ARGUMENTS = {"mobilebert": {"layers": 4}}
"""Arguments without which a recipe has no use here."""
WHOLE_STEPS = {"metadistil", "reaugkd"}
"""Recipes that need the rows of a step together."""
ROUNDING = 1e-4
"""How far weights may be apart after 16 steps on micro-batches: sums in another order, each step on the one before."""


@pytest.fixture(scope="module")
def teacher(encoder_folder: Path, tickets: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained classifier: the folder of a student that learned labels alone."""
    output = tmp_path_factory.mktemp("contract") / "teacher"
    limbeck.distill(
        data={"train": str(tickets["labelled"]), "test": str(tickets["test"])},
        teacher={"labels_from": "label"},
        student={"model": str(encoder_folder)},
        recipe="fine_tune",
        training={"max_steps": 60, "learning_rate": 3e-3, "batch_size": 8},
        speed=False,
        simple_baselines=False,
        output=str(output),
    )
    return output / "student"


def run_of(recipe: str, teacher: Path, sections: dict[str, Any], output: Path, **training: Any) -> dict[str, Any]:
    return {
        **sections,
        "teacher": {"model": str(teacher)},
        "student": STUDENTS.get(recipe, sections["student"]),
        "recipe": {"name": recipe, **ARGUMENTS.get(recipe, {})},
        "training": {"max_steps": 16, "batch_size": 16, "learning_rate": 1e-3, "dropout": 0.0, "checkpoints": 4}
        | training,
        "baselines": [],
        "speed": False,
        "output": str(output),
    }


def weights(output: Path) -> dict[str, Any]:
    return load_file(output / "student" / "model.safetensors")


@pytest.mark.parametrize("recipe", recipes_for("classification"))
def test_contract(recipe: str, teacher: Path, sections: dict[str, Any], tmp_path: Path) -> None:
    results = limbeck.distill(**run_of(recipe, teacher, sections, tmp_path / "whole"))
    assert results.run.recipe == recipe
    assert results.run.paper
    expected = weights(tmp_path / "whole")

    rows = [json.loads(line) for line in Path(sections["data"]["test"]).read_text("utf-8").splitlines()]
    answers = Predictor(str(tmp_path / "whole" / "student")).predict([row["text"] for row in rows])
    logits_NC = np.load(tmp_path / "whole" / "predictions" / "distilled-seed0.npy", allow_pickle=False)
    labels = sorted({row["label"] for row in rows})
    assert [one["label"] for one in answers] == [labels[i] for i in logits_NC.argmax(axis=-1)], "saved as measured"

    resumed = run_of(recipe, teacher, sections, tmp_path / "resumed")
    for advances in (11, 7, 13):
        try:
            limbeck.distill(**resumed, progress=InterruptAfter(advances))
        except KeyboardInterrupt:
            continue
    limbeck.distill(**resumed)
    found = weights(tmp_path / "resumed")
    assert found.keys() == expected.keys()
    assert all(np.array_equal(found[name], expected[name]) for name in expected), "a kill changes no bit"


@pytest.mark.parametrize("recipe", recipes_for("classification"))
def test_micro_batches_change_nothing_or_are_refused(
    recipe: str, teacher: Path, sections: dict[str, Any], tmp_path: Path
) -> None:
    """A new head begins at random: a regression's solver would make more of the last bits of its features."""
    split = run_of(recipe, teacher, sections, tmp_path / "split", micro_batch_size=8, fit_head=False)
    if recipe in WHOLE_STEPS:
        with pytest.raises(ConfigError, match="micro"):
            limbeck.distill(**split)
        assert not (tmp_path / "split" / "stages").exists(), "before anything is trained"
        return
    limbeck.distill(**split)
    limbeck.distill(**run_of(recipe, teacher, sections, tmp_path / "whole", fit_head=False))
    in_parts, whole = weights(tmp_path / "split"), weights(tmp_path / "whole")
    apart = {name: float(np.abs(in_parts[name] - whole[name]).max()) for name in whole}
    assert max(apart.values()) < ROUNDING, max(apart, key=lambda name: apart[name])
