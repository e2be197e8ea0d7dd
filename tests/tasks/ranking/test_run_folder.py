"""What a whole cross-lingual run leaves behind: all five systems, from a run file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from safetensors.torch import load_file
from tests.evaluation.measured import figure, section, value

import limbeck
from limbeck.results.record import Results
from limbeck.results.sections import Forgetting, Gate, Languages, Money, SystemCosts
from limbeck.runs.config import load_run_file, run_config
from limbeck.runs.flow import run
from limbeck.tasks.ranking.config import LanguageRunConfig
from limbeck.tasks.ranking.rows import read_language_data
from limbeck.types import SilentProgress

pytestmark = pytest.mark.slow

SYSTEMS = ("ml_ipd", "ml_dft", "pl_bl", "rl_ia", "transfer")


class WholeRun(NamedTuple):
    folder: Path
    results: Results
    sections: dict[str, Any]


@pytest.fixture(scope="module")
def whole(
    toy_model: Path, toy_data: Path, make_toy_sections: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> WholeRun:
    """All systems from a run file: two target languages, budgets 0, 2 and 100 (more than there is)."""
    folder = tmp_path_factory.mktemp("whole")
    sections = make_toy_sections(toy_model, toy_data, folder / "run")
    del sections["baselines"]  # all of them
    sections["backbone"]["scorer"] = "auto"
    sections["data"]["shots"] = [2, 0, 100]
    sections["rate"] = {"per_device_hour": 3600.0, "currency": "EUR"}
    for stage in sections["training"].values():
        stage.update(max_steps=1, batch_size=4)
    file = folder / "run.yaml"
    file.write_text(json.dumps(sections), encoding="utf-8")  # JSON is YAML
    results = run(load_run_file(file), progress=SilentProgress())
    return WholeRun(folder / "run", results, sections)


def measured_systems(results: Results) -> list[tuple[str, int | None]]:
    """Names and budgets, in the order of the record."""
    models = [f for f in results.figures if f.metric == "accuracy" and f.system != "constant"]
    return list(dict.fromkeys((figure.system, figure.budget) for figure in models))


def test_the_run_folder_holds_everything(whole: WholeRun) -> None:
    assert {path.name for path in whole.folder.iterdir()} >= {
        "run.yaml", "log.jsonl", "stages", "predictions", "student", "results.json", "report.html"
    }  # fmt: skip
    written = Results.model_validate_json((whole.folder / "results.json").read_text(encoding="utf-8"))
    assert written == whole.results
    assert not list(whole.folder.rglob("checkpoints"))
    report = (whole.folder / "report.html").read_text(encoding="utf-8")
    for words in ("ML-IPD", "ML-DFT", "PL-BL", "RL-IA", "Bulgarian", "German"):
        assert words in report


def test_every_system_is_there_at_every_budget(whole: WholeRun) -> None:
    found = measured_systems(whole.results)
    expected = [("teacher", 0)]
    expected += [(name, n) for name in SYSTEMS for n in (0, 2, 100) if not (name == "transfer" and n == 0)]
    assert found == expected


def test_every_system_has_a_row_for_each_task_and_language(whole: WholeRun) -> None:
    languages = section(whole.results, Languages)
    assert languages.resources == {"en": "source", "de": "high", "bg": "low"}
    assert languages.candidates == {lang: {"ads": 2, "topic": 4} for lang in ("en", "de", "bg")}
    for name, budget in measured_systems(whole.results):
        cells = {
            (task, lang): figure(whole.results, name, "accuracy", budget, task=task, lang=lang)
            for task in ("ads", "topic")
            for lang in ("en", "de", "bg")
        }
        assert {cell.rows for cell in cells.values()} == {12}
        german, bulgarian = (np.mean([cells[task, lang].value for task in ("ads", "topic")]) for lang in ("de", "bg"))
        for slice, expected in (
            ({}, (german + bulgarian) / 2),
            ({"resource": "high"}, german),
            ({"resource": "low"}, bulgarian),
        ):
            assert value(whole.results, name, "accuracy", budget, **slice) == pytest.approx(expected)


def test_the_accuracies_are_those_of_the_kept_scores(whole: WholeRun) -> None:
    config = load_run_file(whole.folder / "run.yaml")
    assert isinstance(config, LanguageRunConfig)
    test = read_language_data(config).test
    for name, shots in (("ml_ipd", 2), ("pl_bl", 0), ("rl_ia", 100)):
        scores = np.load(whole.folder / "predictions" / f"{name}-n{shots}-seed0.npy")
        for task, lang in {(record.task, record.lang) for record in test}:
            right = [s.argmax() in r.gold for s, r in zip(scores, test, strict=True)
                     if (r.task, r.lang) == (task, lang)]  # fmt: skip
            accuracy = value(whole.results, name, "accuracy", shots, task=task, lang=lang)
            assert accuracy == pytest.approx(np.mean(right))


def test_comparisons_are_of_the_main_system_at_one_budget(whole: WholeRun) -> None:
    wholes = [c for c in whole.results.comparisons if not c.slice]
    assert {(c.first, c.second, c.budget) for c in wholes if c.metric == "accuracy"} == {
        ("ml_ipd", "teacher", 0),
        *(("ml_ipd", name, n) for name in SYSTEMS[1:] for n in (0, 2, 100) if not (name == "transfer" and n == 0)),
    }
    for one in wholes:
        ours, other = (value(whole.results, name, one.metric, one.budget) for name in (one.first, one.second))
        assert one.value == pytest.approx(ours - other)


def test_the_source_language_is_watched(whole: WholeRun) -> None:
    def english(name: str, budget: int | None) -> float:
        of_tasks = [value(whole.results, name, "accuracy", budget, task=t, lang="en") for t in ("ads", "topic")]
        return float(np.mean(of_tasks))

    before, checks = english("teacher", 0), section(whole.results, Forgetting).checks
    assert len(checks) == len(measured_systems(whole.results))
    for check in checks:
        assert check.accuracy == pytest.approx(english(check.system, check.budget))
        assert check.change == pytest.approx(check.accuracy - before)
        assert check.alarm == (check.change <= -0.02)


def test_every_stage_is_paid_for_once_and_by_all_who_use_it(whole: WholeRun) -> None:
    results = whole.results
    folders = {path.parent.name for path in whole.folder.glob("stages/seed0/*/done.json")}
    assert len(results.costs) == len(folders) == 1 + 1 + 2 + 3 * 3 + 2
    seconds = {(cost.system, cost.stage): cost.seconds for cost in results.costs}
    costs = {(cost.system, cost.budget): cost for cost in section(results, SystemCosts).systems}
    english = seconds["teacher", "source_model"]
    distillation = seconds["ml_ipd", "distillation"]
    assert costs["teacher", 0].device_hours * 3600 == pytest.approx(english)
    assert costs["ml_ipd", 0].device_hours * 3600 == pytest.approx(english + distillation)
    for n in (2, 100):
        target = seconds["ml_ipd", f"target-n{n}"]
        assert costs["ml_ipd", n].device_hours * 3600 == pytest.approx(english + distillation + target)
    assert costs["ml_dft", 2].device_hours * 3600 == pytest.approx(seconds["ml_dft", "fine_tune-n2"])
    for (name, n), cost in costs.items():
        assert cost.devices == 1
        assert cost.tokens > 0
        assert cost.peak_memory_bytes > 2**20
        assert cost.money == Money(amount=cost.device_hours * 3600, currency="EUR")
        assert cost.energy_kwh is None or cost.energy_kwh > 0
        starts = name in ("teacher", "ml_ipd", "rl_ia", "transfer")
        assert cost.teacher_hours * 3600 == pytest.approx(english if starts else 0)
        if name in ("teacher", "ml_ipd"):
            assert cost.saving is None
        else:
            assert cost.saving == pytest.approx(1 - costs["ml_ipd", n].device_hours / cost.device_hours)


def test_budgets_are_equal(whole: WholeRun) -> None:
    steps = {(cost.system, cost.stage): cost.steps for cost in whole.results.costs}
    assert steps["teacher", "source_model"] == steps["ml_ipd", "distillation"] == 1
    for name in ("ml_dft", "pl_bl"):
        assert [steps[name, f"fine_tune-n{n}"] for n in (0, 2, 100)] == [2, 3, 3]
    assert [steps["rl_ia", f"reinforce-n{n}"] for n in (0, 2, 100)] == [1, 2, 2]
    for name in ("ml_ipd", "transfer"):
        assert [steps[name, f"target-n{n}"] for n in (2, 100)] == [1, 1]


def test_more_labels_than_there_are_is_a_warning(whole: WholeRun) -> None:
    assert whole.results.run.rows == {
        "source": 48, "paired": 96, "test": 72, "target 0": 0, "target 2": 8, "target 100": 96
    }  # fmt: skip
    warnings = "\n".join(whole.results.warnings)
    assert "Fewer than 100 labelled training records in bg (ads), bg (topic), de (ads), de (topic)." in warnings
    assert "Fewer than 2 " not in warnings
    assert "of the letters of 'bg' are Cyrillic" in warnings
    assert "1 training seed" in warnings


def test_what_the_report_says_about_the_run(whole: WholeRun) -> None:
    results = whole.results
    languages = section(results, Languages)
    assert (languages.source, languages.targets, languages.tasks) == ("en", ["de", "bg"], ["ads", "topic"])
    assert languages.names == {"en": "English", "de": "German", "bg": "Bulgarian"}
    assert results.run.facts == {"Pairing": "parallel", "Prompts": "T+L, both", "Scorer": "cross_encoder"}
    assert section(results, Gate).kept == {"de": 1.0, "bg": 1.0}  # a gate of 0
    assert [(system.name, system.control) for system in results.systems if system.control] == [("transfer", True)]
    assert results.verdict
    assert {curve.series for curve in results.curves} >= {"loss"}
    assert results.run.resolved == (whole.folder / "run.yaml").read_text(encoding="utf-8")


def test_the_student_is_the_main_system_at_the_largest_budget(whole: WholeRun) -> None:
    from transformers import AutoModel, AutoTokenizer

    student = whole.folder / "student"
    own, last = (
        load_file(folder / "model.safetensors")
        for folder in (student, whole.folder / "stages" / "seed0" / "ml_ipd-target-n100" / "model")
    )
    assert own.keys() == last.keys()
    assert all((own[name] == last[name]).all() for name in own)
    assert own["soft_prompts.weight"].shape == (2 * 2 + 3 * 2, 32)  # tasks and languages add up

    model, loaded = AutoModel.from_pretrained(student, output_loading_info=True, add_pooling_layer=False)
    assert not loaded["missing_keys"]
    assert model.config.num_hidden_layers == 2
    encoder = {name.removeprefix("roberta."): tensor for name, tensor in own.items() if name.startswith("roberta.")}
    assert encoder.keys() <= model.state_dict().keys()
    assert all((tensor == encoder[name]).all() for name, tensor in model.state_dict().items() if name in encoder)
    assert len(AutoTokenizer.from_pretrained(student)) == model.config.vocab_size
    assert not list(student.glob("*.bin"))
    assert (student / "README.md").read_text(encoding="utf-8").startswith("---")


def test_the_task_file_says_how_to_ask_the_student(whole: WholeRun) -> None:
    task = json.loads((whole.folder / "student" / "task.json").read_text(encoding="utf-8"))
    assert task["kind"] == "ranking"
    assert task["scorer"] == "cross_encoder"
    assert task["languages"] == ["en", "de", "bg"]
    assert task["labels"] == {
        "topic": ["health", "politics", "sports", "travel"], "ads": ["not relevant", "relevant"]
    }  # fmt: skip
    assert task["soft"]["tasks"] == ["ads", "topic"]
    assert task["max_length"] == 96


def test_the_same_words_from_python_find_the_finished_run(whole: WholeRun) -> None:
    before = {path: path.stat().st_mtime_ns for path in whole.folder.rglob("*.safetensors")}
    assert limbeck.distill(**whole.sections) == whole.results
    assert {path: path.stat().st_mtime_ns for path in whole.folder.rglob("*.safetensors")} == before


def test_the_resolved_run_file_is_the_same_run(whole: WholeRun) -> None:
    resolved, given = load_run_file(whole.folder / "run.yaml"), run_config(whole.sections)
    assert resolved.provenance["data_sha256"] == whole.results.run.data_fingerprints
    assert resolved.model_copy(update={"provenance": {}}) == given
