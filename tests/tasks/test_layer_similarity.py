"""Layer maps by similarity: whole runs of several kinds, resuming, the record's section, the doctor's warning."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file
from tests.runs.interruption import StopAfter
from tests.tasks.generation.text_models import text_sections

from limbeck.losses.hints.attention import AttentionMSE
from limbeck.losses.hints.hidden import HiddenStates, PatientHints
from limbeck.losses.term import Term
from limbeck.numerics.layer_maps import most_alike
from limbeck.runs.config import run_config
from limbeck.tasks.layer_similarity import similarity_findings
from limbeck.types import Shapes

SIMILARITY = ((0.9, 0.8, 0.1, 0.0), (0.8, 0.9, 0.95, 0.3), (0.1, 0.2, 0.9, 0.8))
PAIR = Shapes(4, 16, 3, 16, 2, 2)


@pytest.mark.parametrize(
    ("term", "measured", "stand_in"),
    [
        (PatientHints("cka"), ((1, 1), (2, 3)), ((1, 1), (2, 2))),
        (HiddenStates("cka"), ((1, 1), (2, 2), (3, 3)), ((1, 1), (2, 2), (3, 4))),
        (HiddenStates("cka", projected=True, embeddings=True), ((1, 1), (2, 2), (3, 3)), ((1, 1), (2, 2), (3, 4))),
        (AttentionMSE("cka"), ((1, 1), (2, 2), (3, 3)), ((1, 1), (2, 2), (3, 4))),
    ],
)
def test_a_term_compares_the_layers_that_are_most_alike(
    term: Term, measured: tuple[tuple[int, int], ...], stand_in: tuple[tuple[int, int], ...]
) -> None:
    assert term.needs.similarity
    bound = term.bind(PAIR._replace(similarity=SIMILARITY))
    assert bound.compared_layers == measured
    assert bound.needs.similarity
    assert {tap.layer for tap in bound.needs.teacher_taps} - {0} == {layer for _, layer in measured}
    assert term.bind(PAIR).compared_layers == stand_in


def test_other_maps_need_no_similarity() -> None:
    for term in (PatientHints(), HiddenStates(), AttentionMSE()):
        assert not term.needs.similarity
        assert term.bind(PAIR._replace(similarity=SIMILARITY)).compared_layers == term.bind(PAIR).compared_layers


def section_of(run: Path) -> dict[str, Any]:
    results = json.loads((run / "results.json").read_text(encoding="utf-8"))
    found: list[dict[str, Any]] = [one for one in results["sections"] if one["kind"] == "layer_map"]
    return found[0]


@pytest.fixture
def mapped(sections: dict[str, Any]) -> dict[str, Any]:
    """PKD with a map by similarity, and another recipe with one as a baseline."""
    baseline = {"name": "tinybert", "layer_map": "cka", "intermediate_fraction": 0.5}
    return {**sections, "recipe": {"name": "pkd", "strategy": "cka"}, "baselines": [baseline], "speed": False}


@pytest.mark.slow
def test_a_classifiers_map_is_kept_and_reported(mapped: dict[str, Any], tmp_path: Path, light: None) -> None:
    from limbeck import distill

    mapped["student"] = {"from_teacher": {"layers": [1, 4]}}
    distill(**mapped)
    section, kept = section_of(tmp_path / "run"), np.load(tmp_path / "run" / "layer_similarity.npy")
    assert np.array(section["similarity"]) == pytest.approx(kept, abs=1e-6)
    assert kept.shape == (2, 4)
    assert kept[0, 0] == pytest.approx(1, abs=1e-4)  # a copy of the fine-tuned teacher's layer
    pairs = [list(pair) for pair in enumerate(most_alike(kept.tolist()), start=1)]
    assert section["maps"] == {"distilled": [[1, 1]], "tinybert": pairs}
    assert not section["random_student"]


@pytest.mark.slow
def test_signals_are_kept_of_the_map_and_not_of_its_stand_in(
    mapped: dict[str, Any], tmp_path: Path, light: None
) -> None:
    from limbeck import distill

    mapped |= {"student": {"from_teacher": {"layers": [1, 4]}}, "baselines": []}
    distill(**mapped)
    assert {path.name for path in (tmp_path / "run" / "signals").glob("first-*")} == {"first-1.npy"}


@pytest.mark.slow
def test_a_resumed_run_has_the_same_map(mapped: dict[str, Any], tmp_path: Path, light: None) -> None:
    from limbeck import distill

    mapped["baselines"] = []
    distill(**mapped)
    expected = load_file(tmp_path / "run" / "student" / "model.safetensors")
    mapped["output"] = str(tmp_path / "interrupted")
    with pytest.raises(KeyboardInterrupt):
        distill(**mapped, progress=StopAfter(5))
    kept = (tmp_path / "interrupted" / "layer_similarity.npy").read_bytes()
    distill(**mapped)
    assert (tmp_path / "interrupted" / "layer_similarity.npy").read_bytes() == kept
    assert section_of(tmp_path / "interrupted") == section_of(tmp_path / "run")
    found = load_file(tmp_path / "interrupted" / "student" / "model.safetensors")
    assert all(tensor.equal(expected[name]) for name, tensor in found.items())


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["regression", "token_classification"])
def test_heads_have_such_maps(kind: str, mapped: dict[str, Any], tmp_path: Path, light: None) -> None:
    from limbeck import distill

    rows = {
        "regression": [{"text": f"my card {n}", "value": n / 3} for n in range(40)],
        "token_classification": [{"words": ["my", "card", str(n)], "tags": ["O", "B-CARD", "O"]} for n in range(40)],
    }[kind]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    task = {"kind": kind} | ({"words": "words"} if kind == "token_classification" else {})
    del mapped["simple_baselines"]
    distill(**(mapped | {"task": task, "data": {"train": str(path)}, "baselines": []}))
    section = section_of(tmp_path / "run")
    assert section["maps"] == {"distilled": [[1, most_alike([section["similarity"][0][:3]])[0]]]}


@pytest.mark.slow
def test_generative_students_have_such_maps(tmp_path: Path, light: None) -> None:
    from limbeck import distill

    recipe = {"name": "tinybert", "layer_map": "cka", "intermediate_fraction": 0.5}
    sections = text_sections(tmp_path, recipe=recipe, baselines=[])
    distill(**sections)
    section = section_of(Path(sections["output"]))
    pairs = [list(pair) for pair in enumerate(most_alike(section["similarity"]), start=1)]
    assert section["maps"] == {"distilled": pairs}


def test_the_doctor_warns_of_a_map_for_a_random_student(mapped: dict[str, Any]) -> None:
    assert similarity_findings(run_config(mapped)) == []
    random = {"model_type": "bert", "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    (found,) = similarity_findings(run_config({**mapped, "student": {"config": random}}))
    assert (found.level, found.check) == ("warning", "layer map")
    assert "the student's weights are random" in found.message
    assert similarity_findings(run_config({**mapped, "recipe": {"name": "kd"}, "baselines": []})) == []
