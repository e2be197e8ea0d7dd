"""What a whole cross-lingual run leaves behind: all five systems, from a run file."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from safetensors.torch import load_file

import limbeck
from limbeck.data.instructions.make import choice
from limbeck.language_results import LanguageResults, LanguageSystem, Money
from limbeck.report.read import read_any_results
from limbeck.runs.config import load_run_file, run_config
from limbeck.runs.flow import run
from limbeck.runs.language_config import LanguageRunConfig
from limbeck.runs.language_data import read_language_data
from limbeck.runs.language_outcome import credits_of
from limbeck.types import SilentProgress

SYSTEMS = ("ml_ipd", "ml_dft", "pl_bl", "rl_ia", "transfer")


class WholeRun(NamedTuple):
    folder: Path
    results: LanguageResults
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
    sections["data"]["n_target"] = [2, 0, 100]
    sections["rate"] = {"per_device_hour": 3600.0, "currency": "EUR"}
    for stage in sections["training"].values():
        stage.update(steps=1, batch_size=4)
    file = folder / "run.yaml"
    file.write_text(json.dumps(sections), encoding="utf-8")  # JSON is YAML
    results = run(load_run_file(file), progress=SilentProgress())
    assert isinstance(results, LanguageResults)
    return WholeRun(folder / "run", results, sections)


def system_of(results: LanguageResults, name: str, n_target: int) -> LanguageSystem:
    return next(s for s in results.systems if (s.name, s.n_target) == (name, n_target))


def test_the_run_folder_holds_everything(whole: WholeRun) -> None:
    assert {path.name for path in whole.folder.iterdir()} >= {
        "run.yaml", "log.jsonl", "stages", "predictions", "student", "results.json", "report.html"
    }  # fmt: skip
    written = LanguageResults.model_validate_json((whole.folder / "results.json").read_text(encoding="utf-8"))
    assert written == whole.results
    assert not list(whole.folder.rglob("checkpoints"))
    report = (whole.folder / "report.html").read_text(encoding="utf-8")
    for words in ("ML-IPD", "ML-DFT", "PL-BL", "RL-IA", "Bulgarian", "German"):
        assert words in report


def test_every_system_is_there_at_every_budget(whole: WholeRun) -> None:
    found = [(s.name, s.n_target) for s in whole.results.systems]
    expected = [("english_model", 0)]
    expected += [(name, n) for name in SYSTEMS for n in (0, 2, 100) if not (name == "transfer" and n == 0)]
    assert found == expected


def test_every_system_has_a_row_for_each_task_and_language(whole: WholeRun) -> None:
    for system in whole.results.systems:
        cells = {(cell.task, cell.lang): (cell.resource, cell.records, cell.candidates) for cell in system.cells}
        assert cells == {
            (task, lang): (resource, 12, 2 if task == "ads" else 4)
            for task in ("ads", "topic") for lang, resource in (("en", "source"), ("de", "high"), ("bg", "low"))
        }  # fmt: skip
        by_language = {
            lang: np.mean([cell.accuracy.value for cell in system.cells if cell.lang == lang]) for lang in ("de", "bg")
        }
        assert system.macro_accuracy.value == pytest.approx(np.mean(list(by_language.values())))
        assert (system.high_accuracy, system.low_accuracy) == pytest.approx((by_language["de"], by_language["bg"]))


def test_the_accuracies_are_those_of_the_kept_scores(whole: WholeRun) -> None:
    config = load_run_file(whole.folder / "run.yaml")
    assert isinstance(config, LanguageRunConfig)
    test = read_language_data(config).test
    for name, n_target in (("ml_ipd", 2), ("pl_bl", 0), ("rl_ia", 100)):
        scores = np.load(whole.folder / "predictions" / f"{name}-n{n_target}-seed0.npy")
        for cell in system_of(whole.results, name, n_target).cells:
            right = [s.argmax() in r.gold for s, r in zip(scores, test, strict=True)
                     if (r.task, r.lang) == (cell.task, cell.lang)]  # fmt: skip
            assert cell.accuracy.value == pytest.approx(np.mean(right))


def test_comparisons_are_of_the_main_system_at_one_budget(whole: WholeRun) -> None:
    pairs = {(c.first, c.second, c.n_target) for c in whole.results.comparisons if c.metric == "accuracy"}
    assert pairs == {
        ("ml_ipd", "english_model", 0),
        *(("ml_ipd", name, n) for name in SYSTEMS[1:] for n in (0, 2, 100) if not (name == "transfer" and n == 0)),
    }
    for comparison in whole.results.comparisons:
        ours, other = (
            system_of(whole.results, name, comparison.n_target) for name in (comparison.first, comparison.second)
        )
        macro = "macro_accuracy" if comparison.metric == "accuracy" else "macro_mrr"
        difference = getattr(ours, macro).value - getattr(other, macro).value
        assert comparison.macro.difference.value == pytest.approx(difference)


def test_the_source_language_is_watched(whole: WholeRun) -> None:
    def english(name: str, n_target: int) -> float:
        cells = system_of(whole.results, name, n_target).cells
        return float(np.mean([cell.accuracy.value for cell in cells if cell.lang == "en"]))

    before = english("english_model", 0)
    assert len(whole.results.english) == len(whole.results.systems)
    for check in whole.results.english:
        assert check.accuracy == pytest.approx(english(check.system, check.n_target))
        assert check.change == pytest.approx(check.accuracy - before)
        assert check.alarm == (check.change <= -0.02)


def test_every_stage_is_paid_for_once_and_by_all_who_use_it(whole: WholeRun) -> None:
    results = whole.results
    folders = {path.parent.name for path in whole.folder.glob("stages/seed0/*/done.json")}
    assert len(results.stage_costs) == len(folders) == 1 + 1 + 2 + 3 * 3 + 2
    seconds = {(cost.system, cost.stage): cost.seconds for cost in results.stage_costs}
    costs = {(cost.name, cost.n_target): cost for cost in results.costs}
    english = seconds["english_model", "english_model"]
    distillation = seconds["ml_ipd", "distillation"]
    assert costs["english_model", 0].device_hours * 3600 == pytest.approx(english)
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
        starts = name in ("english_model", "ml_ipd", "rl_ia", "transfer")
        assert cost.english_model_hours * 3600 == pytest.approx(english if starts else 0)
        if name in ("english_model", "ml_ipd"):
            assert cost.saving is None
        else:
            assert cost.saving == pytest.approx(1 - costs["ml_ipd", n].device_hours / cost.device_hours)


def test_budgets_are_equal(whole: WholeRun) -> None:
    steps = {(cost.system, cost.stage): cost.steps for cost in whole.results.stage_costs}
    assert steps["english_model", "english_model"] == steps["ml_ipd", "distillation"] == 1
    for name in ("ml_dft", "pl_bl"):
        assert [steps[name, f"fine_tune-n{n}"] for n in (0, 2, 100)] == [2, 3, 3]
    assert [steps["rl_ia", f"reinforce-n{n}"] for n in (0, 2, 100)] == [1, 2, 2]
    for name in ("ml_ipd", "transfer"):
        assert [steps[name, f"target-n{n}"] for n in (2, 100)] == [1, 1]


def test_more_labels_than_there_are_is_a_warning(whole: WholeRun) -> None:
    assert whole.results.records == {
        "english": 48, "paired": 96, "test": 72, "target 0": 0, "target 2": 8, "target 100": 96
    }  # fmt: skip
    warnings = "\n".join(whole.results.warnings)
    assert "Fewer than 100 labelled training records in bg (ads), bg (topic), de (ads), de (topic)." in warnings
    assert "Fewer than 2 " not in warnings
    assert "of the letters of 'bg' are Cyrillic" in warnings
    assert "1 training seed" in warnings


def test_what_the_report_says_about_the_run(whole: WholeRun) -> None:
    results = whole.results
    assert (results.source_language, results.languages, results.tasks) == ("en", ["de", "bg"], ["ads", "topic"])
    assert results.language_names == {"en": "English", "de": "German", "bg": "Bulgarian"}
    assert (results.pairing, results.prompts, results.scorer) == ("parallel", "T+L, both", "cross_encoder")
    assert results.kept_by_gate == {"de": 1.0, "bg": 1.0}  # a gate of 0
    assert results.verdict
    assert {curve.series for curve in results.curves} >= {"loss"}
    assert results.resolved_run == (whole.folder / "run.yaml").read_text(encoding="utf-8")


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
    assert task["kind"] == "instructions"
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
    assert resolved.provenance["data_sha256"] == whole.results.data_fingerprints
    assert resolved.model_copy(update={"provenance": {}}) == given


def test_credits_hold_the_figures_of_single_tasks() -> None:
    name: dict[str, Any] = {"source": "own", "split": "test", "lang": "en", "key": 1}
    entity = choice(**name, task="ner", text="Bern", labels=("LOC", "none"), label="LOC", slots=(("span", "Bern"),))
    query = replace(
        choice(**name, task="web_pages", text="q", labels=("a", "b"), label="a"), gold=(0,), grades=(3.0, 1.0)
    )
    scores = np.array([[2.0, 1.0], [1.0, 2.0]], dtype=np.float32)
    found = credits_of("x", "X", 16, [entity, query], {4: scores})
    assert (found.name, found.title, found.n_target) == ("x", "X", 16)
    right = float(entity.gold == (0,))
    assert (found.accuracy[4].tolist(), found.mrr[4].tolist()) == ([right, 0], [0.5 + right / 2, 0.5])
    np.testing.assert_allclose(found.spans[4], [[right, right, 1], [np.nan] * 3])
    np.testing.assert_allclose(found.ndcg[4], [np.nan, (1 + 3 / np.log2(3)) / (3 + 1 / np.log2(3))])


def test_a_record_without_the_newer_figures_is_still_read(whole: WholeRun, tmp_path: Path) -> None:
    record = json.loads((whole.folder / "results.json").read_text(encoding="utf-8"))
    for part in (*record["costs"], *(cell for system in record["systems"] for cell in system["cells"])):
        for name in ("ndcg", "span_f1", "money"):
            part.pop(name, None)
    (tmp_path / "results.json").write_text(json.dumps(record), encoding="utf-8")
    found = read_any_results(tmp_path)
    assert isinstance(found, LanguageResults)
    assert found.systems == whole.results.systems
    assert {cost.money for cost in found.costs} == {None}
