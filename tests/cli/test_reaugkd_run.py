"""ReAugKD from the command line: the memory is used for figures, saved, read, chosen on development rows."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file
from tests.runs.interruption import StopAfter

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def reaugkd(sections: dict[str, Any]) -> dict[str, Any]:
    sections["training"] |= {"max_steps": 24, "log_every": 1}
    return {**sections, "recipe": {"name": "reaugkd"}, "baselines": [], "speed": False}


def written(sections: dict[str, Any], folder: Path) -> str:
    path = folder / "reaugkd.yaml"
    path.write_text(json.dumps(sections), encoding="utf-8")  # JSON is YAML
    return str(path)


def section_of(run: Path) -> dict[str, Any]:
    results = json.loads((run / "results.json").read_text(encoding="utf-8"))
    (found,) = (one for one in results["sections"] if one["kind"] == "retrieval_memory")
    return dict(found)


@pytest.mark.slow
def test_a_student_answers_with_its_memory(
    reaugkd: dict[str, Any], tmp_path: Path, limbeck: Command, light: None
) -> None:
    code, _, said = limbeck("distill", written(reaugkd, tmp_path))
    assert code == 0, said
    run, student = tmp_path / "run", tmp_path / "run" / "student"
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    stages = {name: [x for x in lines if x["stage"] == name] for name in ("map", "reaugkd")}
    assert [len(found) for found in stages.values()] == [5, 19]
    assert stages["map"][-1]["term/map"] < stages["map"][0]["term/map"]
    assert {key for key in stages["reaugkd"][0] if key.startswith("term/")} == {
        "term/divergence", "term/labels", "term/relations"
    }  # fmt: skip
    entries = load_file(student / "memory" / "entries.safetensors")
    section = section_of(run)
    assert section == {"kind": "retrieval_memory", "rows": len(entries["keys"]), "neighbours": 16, "temperature": 0.1,
                       "own_share": 0.5, "chosen_on": 0}  # fmt: skip
    assert np.allclose(np.linalg.norm(entries["keys"].numpy(), axis=1), 1, atol=1e-5)
    assert np.allclose(entries["probs"].sum(dim=1).numpy(), 1, atol=1e-5)
    # The figures of the run are those of the saved student with its memory, and not without it.
    kept = np.load(run / "predictions" / "distilled-seed0.npy")
    kept = np.exp(kept - kept.max(axis=1, keepdims=True))
    kept /= kept.sum(axis=1, keepdims=True)
    shutil.copytree(student, tmp_path / "plain")
    shutil.rmtree(tmp_path / "plain" / "memory")
    found = [answers_of(limbeck, folder, reaugkd) for folder in (student, tmp_path / "plain")]
    assert found[0] == pytest.approx(kept.max(axis=1).tolist(), abs=2e-6)
    assert found[1] != pytest.approx(found[0], abs=1e-3)
    assert limbeck("evaluate", str(student), reaugkd["data"]["test"])[0] == 0


def answers_of(limbeck: Command, folder: Path, sections: dict[str, Any]) -> list[float]:
    code, out, said = limbeck("predict", str(folder), sections["data"]["test"])
    assert code == 0, said
    return [json.loads(line)["confidence"] for line in out.splitlines()]


@pytest.mark.slow
def test_other_libraries_read_the_classifier_alone(reaugkd: dict[str, Any], tmp_path: Path, light: None) -> None:
    from transformers import AutoModelForSequenceClassification

    from limbeck import distill
    from limbeck.models.load import reader_of

    distill(**reaugkd)
    student = tmp_path / "run" / "student"
    _, info = AutoModelForSequenceClassification.from_pretrained(student, output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    assert reader_of(student) == "limbeck"
    assert "memory of training rows" in (student / "README.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_development_rows_choose_how_the_memory_is_used(
    reaugkd: dict[str, Any], tmp_path: Path, limbeck: Command, light: None
) -> None:
    rows = Path(reaugkd["data"]["test"]).read_text(encoding="utf-8").splitlines()
    for name, part in (("dev", rows[::2]), ("test", rows[1::2])):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(part) + "\n", encoding="utf-8")
        reaugkd["data"][name] = str(tmp_path / f"{name}.jsonl")
    code, _, said = limbeck("distill", written(reaugkd, tmp_path))
    assert code == 0, said
    section = section_of(tmp_path / "run")
    assert section["chosen_on"] == len(rows[::2])
    chosen = json.loads((tmp_path / "run" / "student" / "memory" / "settings.json").read_text(encoding="utf-8"))
    assert {name: section[name] for name in chosen} == chosen
    code, _, said = limbeck("calibrate", str(tmp_path / "run" / "student"), "--fold", str(tmp_path / "folded"))
    assert code == 2
    assert "answers with a memory of training rows" in said


@pytest.mark.slow
def test_an_interrupted_run_ends_with_the_same_student(reaugkd: dict[str, Any], tmp_path: Path, light: None) -> None:
    from limbeck import distill

    distill(**reaugkd)
    reaugkd["output"] = str(tmp_path / "interrupted")
    for steps in (3, 4, 9):
        with pytest.raises(KeyboardInterrupt):
            distill(**reaugkd, progress=StopAfter(steps))
    distill(**reaugkd)
    for name in ("model.safetensors", "memory/entries.safetensors"):
        expected, found = (load_file(tmp_path / run / "student" / name) for run in ("run", "interrupted"))
        assert all(tensor.equal(expected[key]) for key, tensor in found.items())
