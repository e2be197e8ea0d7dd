"""The search for learning rates: what is tried, on which rows, what is chosen, and what becomes of it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file
from tests.conftest import write_rows
from tests.evaluation.measured import section, value
from tests.runs.interruption import InterruptAfter
from tests.runs.test_several_processes import ENVIRONMENT, PROGRAM

import limbeck
from limbeck.errors import ConfigError, DataError, NonFiniteLoss, RunFolderError
from limbeck.evaluation.measured import Measured
from limbeck.losses.logits import ForwardKL
from limbeck.losses.term import WeightedTerm
from limbeck.recipes.catalogue import build_recipe
from limbeck.results import Results
from limbeck.results.figures import Figure, Metric
from limbeck.results.record import StageCost
from limbeck.results.sections import Calibration, Search
from limbeck.runs import search
from limbeck.runs.config import run_config
from limbeck.runs.search import Tuning
from limbeck.stages.stage import Stage, Training
from limbeck.tasks.baselines import MAIN
from limbeck.tasks.classification.rows import read_rows
from limbeck.tasks.task import Part, PlannedStage, System, predicting
from limbeck.types import SilentProgress

NOTHING, GOOD, ABSURD = 1e-9, 3e-3, 1e20
CONFIG: dict[str, Any] = {
    "data": {"train": "a.jsonl"},
    "teacher": {"model": "m"},
    "student": {"model": "s"},
    "recipe": "kd",
    "seeds": [5, 7],
    "output": "runs/x",
}


@pytest.fixture
def searching(sections: dict[str, Any]) -> dict[str, Any]:
    """A run that tells a rate that does nothing from one that is of use."""
    sections["training"].update(max_steps=120, batch_size=8, dropout=0.0, fit_head=False)
    sections["student"] = {"model": sections["teacher"]["model"]}
    sections["recipe"]["label_weight"] = 0.5
    sections["teacher"]["fine_tune"].update(num_train_epochs=20, dropout=0.0, fit_head=False)
    return {**sections, "search": {"learning_rate": [GOOD, NOTHING]}}


class StopTrialsAfter(InterruptAfter):
    """Stops the program after some optimiser steps of trials."""

    def track(self, title: str, total: int, done: int = 0) -> Any:
        return super().track(title, total, done) if "learning rate" in title else SilentProgress().track(title, total)


def chosen(results: Results) -> dict[str, float]:
    return {one.system: one.settings["learning_rate"] for one in section(results, Search).trials if one.chosen}


def log(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]


def weights(folder: Path) -> dict[str, bytes]:
    return {name: tensor.numpy().tobytes() for name, tensor in load_file(folder / "model.safetensors").items()}


# ---- whole runs ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_each_system_has_the_best_of_as_many_rates_for_all_seeds(
    searching: dict[str, Any], light: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: dict[str, set[tuple[int, ...]]] = {}

    def noting(stage: Stage, run: Any, model: Any) -> StageCost:
        batch = run.make_batch(np.asarray(run.sequences.rows))["student"]
        ids = zip(batch["input_ids"].tolist(), batch["attention_mask"].sum(-1).tolist(), strict=True)
        read.setdefault(run.system, set()).update(tuple(row[:length]) for row, length in ids)
        return run_stage(stage, run, model)

    run_stage = search.run_stage
    monkeypatch.setattr(search, "run_stage", noting)
    results = limbeck.distill(**searching, seeds=[3, 1])
    found = section(results, Search)
    assert (found.metric, found.rows) == ("accuracy", 20)
    assert [(one.system, one.settings["learning_rate"]) for one in found.trials] == [
        (name, rate) for name in ("distilled", "fine_tune") for rate in (NOTHING, GOOD)
    ]
    assert chosen(results) == {"distilled": GOOD, "fine_tune": GOOD}
    assert found.other_seconds > 0
    assert value(results, "distilled", "accuracy") > value(results, "student_init", "accuracy")
    assert any("is the largest that was tried, 0.003" in words for words in results.warnings)
    assert not any("not tuned separately" in words for words in results.verdict)
    run = Path(searching["output"])
    stages = {path.name for path in (run / "stages").iterdir()}
    students = {f"02-distilled-kd-seed{seed}-lr{GOOD}" for seed in (3, 1)} | {f"02-distilled-kd-seed3-lr{NOTHING}"}
    assert students < stages
    assert len(stages) == 1 + 2 * 3, "one of the teacher; of each student two trials, and another seed"
    costs = [(cost.system, cost.seed, cost.stage) for cost in results.costs if cost.system in ("distilled", "teacher")]
    assert costs[-2:] == [("distilled", 3, "kd-lr0.003"), ("distilled", 1, "kd-lr0.003")]
    assert {curve.stage for curve in results.curves if curve.system == "distilled"} == {"kd-lr0.003"}
    assert max(line["learning_rate"] for line in log(run) if line["stage"] == "kd-lr0.003") > GOOD / 2
    assert weights(run / "student") == weights(run / "stages" / f"02-distilled-kd-seed3-lr{GOOD}" / "model")
    fitted = json.loads((run / "student" / "calibration.json").read_text(encoding="utf-8"))
    assert fitted["rows"] == 20, "on the rows that were kept back"
    assert section(results, Calibration).systems.keys() == {"teacher", "distilled", "fine_tune"}
    _no_development_row(searching, read)


def _no_development_row(searching: dict[str, Any], read: dict[str, set[tuple[int, ...]]]) -> None:
    """The rows that are kept back are labelled rows of the file, of every class, and no model has trained on them."""
    from transformers import AutoTokenizer

    rows = read_rows(run_config(searching))  # type: ignore[arg-type]
    plain = read_rows(run_config({**searching, "search": None}))  # type: ignore[arg-type]
    assert rows.dev is not None
    assert sorted([*rows.train.text, *rows.dev.text]) == sorted(plain.train.text)
    assert set(rows.dev.label) == set(rows.labels)
    assert rows.fingerprints == plain.fingerprints
    tokenizer = AutoTokenizer.from_pretrained(searching["teacher"]["model"])
    kept = {tuple(ids) for ids in tokenizer(rows.dev.text)["input_ids"]}
    kept -= {tuple(ids) for ids in tokenizer(rows.train.text)["input_ids"]}
    assert len(kept) >= 15
    assert set(read) == {"teacher", "distilled", "fine_tune"}
    for name, ids in read.items():
        assert len(ids) > 20
        assert not ids & kept, name


@pytest.mark.slow
def test_a_search_that_is_stopped_goes_on_and_ends_in_the_same_choice(
    searching: dict[str, Any], light: None, tmp_path: Path
) -> None:
    whole = limbeck.distill(**{**searching, "output": str(tmp_path / "whole")})
    for steps in (45, 135, 120):
        with pytest.raises(KeyboardInterrupt):
            limbeck.distill(**searching, progress=StopTrialsAfter(steps))
    run = Path(searching["output"])
    assert list(run.glob("predictions/*-dev-*.json")), "it was stopped in its search"
    before = {path: path.stat().st_mtime_ns for path in run.glob("stages/*/done.json")}
    results = limbeck.distill(**searching)
    assert {path: path.stat().st_mtime_ns for path in before} == before, "what is done is not trained again"
    assert section(results, Search).trials == section(whole, Search).trials
    assert weights(run / "student") == weights(tmp_path / "whole" / "student")
    assert log(run)


@pytest.mark.slow
def test_a_rate_at_which_the_loss_stops_being_finite_is_not_chosen(searching: dict[str, Any], light: None) -> None:
    searching["search"] = {"learning_rate": [GOOD, ABSURD]}
    searching["training"]["schedule"] = "cosine"
    results = limbeck.distill(**{**searching, "baselines": []})
    assert chosen(results) == {"distilled": GOOD}
    assert [one.value is None for one in section(results, Search).trials] == [False, True]
    again = limbeck.distill(**{**searching, "baselines": []})
    assert again == results


@pytest.mark.slow
def test_more_rates_may_be_tried_once_nothing_follows_from_the_choice(searching: dict[str, Any], light: None) -> None:
    searching["baselines"] = []
    limbeck.distill(**searching)
    more = {**searching, "search": {"learning_rate": [NOTHING, GOOD, GOOD / 2]}}
    with pytest.raises(
        RunFolderError, match=r"search\.learning_rate was .*predictions/distilled-seed0-dev\.npy and 2 more"
    ):
        limbeck.distill(**more)
    run = Path(searching["output"])
    (run / "results.json").unlink()
    for name in ("distilled-seed0.npy", "distilled-seed0-dev.npy"):
        (run / "predictions" / name).unlink()
    before = {path: path.stat().st_mtime_ns for path in run.glob("stages/*/done.json")}
    assert len(section(limbeck.distill(**more), Search).trials) == 3
    assert {path: path.stat().st_mtime_ns for path in before} == before
    with pytest.raises(RunFolderError, match="holds another run"):
        limbeck.distill(**{**searching, "search": None})


@pytest.mark.slow
def test_development_rows_of_ones_own_and_an_adapter(
    searching: dict[str, Any], light: None, tickets: dict[str, Path], tmp_path: Path
) -> None:
    searching["data"] = {**searching["data"], "dev": str(tickets["test"])}
    searching["student"] = {"from_teacher": {"layers": "uniform", "keep": 2}, "adapter": {"kind": "lora"}}
    searching["recipe"] = "fine_tune"
    results = limbeck.distill(**{**searching, "baselines": []})
    assert chosen(results) == {"distilled": GOOD}
    assert section(results, Search).rows == 40
    run = Path(searching["output"])
    assert (run / "student" / "calibration.json").exists()
    other = tmp_path / "other.jsonl"
    other.write_text("".join(tickets["test"].read_text("utf-8").splitlines(keepends=True)[:-1]), encoding="utf-8")
    searching["data"]["dev"] = str(other)
    with pytest.raises(RunFolderError, match="the dev rows have changed"):
        limbeck.distill(**{**searching, "baselines": []})


@pytest.mark.slow
def test_two_ranks_choose_the_same_rate(searching: dict[str, Any], tmp_path: Path) -> None:
    """One of the rates ends in NaN, in both."""
    searching |= {"search": {"learning_rate": [NOTHING, GOOD, ABSURD]}, "baselines": []}
    (tmp_path / "run.yaml").write_text(json.dumps(searching), encoding="utf-8")
    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf-8")
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [sys.executable, *launcher, str(tmp_path / "program.py"), "distill", str(tmp_path / "run.yaml")]
    answer = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=300)
    assert answer.returncode == 0, answer.stderr
    results = Results.model_validate_json((Path(searching["output"]) / "results.json").read_text(encoding="utf-8"))
    assert chosen(results) == {"distilled": GOOD}
    assert [one.value is None for one in section(results, Search).trials] == [False, False, True]


@pytest.mark.slow
def test_temperatures_are_searched_too_and_a_recipe_without_one_has_as_many_trials(
    searching: dict[str, Any], light: None
) -> None:
    searching["training"]["max_steps"] = 12
    searching["search"] = {"learning_rate": [GOOD / 9, GOOD], "loss_temperature": [8.0, 1.0]}
    results = limbeck.distill(**searching)
    found = section(results, Search)
    low = GOOD / 9
    tried = {
        name: [tuple(one.settings.values()) for one in found.trials if one.system == name]
        for name in ("distilled", "fine_tune")
    }
    assert tried["distilled"] == [(low, 1.0), (low, 8.0), (GOOD, 1.0), (GOOD, 8.0)]
    assert [rate for (rate,) in tried["fine_tune"]] == pytest.approx(
        [low, low * 9 ** (1 / 3), low * 9 ** (2 / 3), GOOD], 1e-3
    )
    (best,) = [one.settings for one in found.trials if one.system == "distilled" and one.chosen]
    run = Path(searching["output"])
    suffix = f"-lr{best['learning_rate']}-t{best['loss_temperature']}"
    assert weights(run / "student") == weights(run / "stages" / f"02-distilled-kd-seed0{suffix}" / "model")
    kept = {path.name for path in run.glob("stages/02-distilled-*")}
    assert len(kept) == 4
    cold, hot = (weights(run / "stages" / f"02-distilled-kd-seed0-lr{GOOD}-t{t}" / "model") for t in (1.0, 8.0))
    assert cold != hot
    assert any("the best loss temperature is the" in words for words in results.warnings)
    # The same student by hand.
    by_hand = {**searching, "output": f"{searching['output']}-by-hand", "baselines": []}
    del by_hand["search"]
    by_hand["training"] = {**searching["training"], "learning_rate": GOOD}
    by_hand["recipe"] = {**searching["recipe"], "loss_temperature": 8.0}
    rows = read_rows(run_config(searching))  # type: ignore[arg-type]
    assert rows.dev is not None
    for name, part in (("train", rows.train), ("dev", rows.dev)):
        lines = [{"text": text, "label": label} for text, label in zip(part.text, part.label, strict=True)]
        by_hand["data"] = {**by_hand["data"], name: str(write_rows(run.parent / f"{name}.jsonl", lines))}
    limbeck.distill(**by_hand)
    assert weights(Path(by_hand["output"]) / "student") == hot


# ---- what a run file may say ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("rates", [[], [1e-5], [1e-5, 1e-5], 1e-5, "1e-5"])
def test_two_rates_or_more(rates: Any) -> None:
    with pytest.raises(ConfigError, match=r"search\.learning_rate: .*two or more different learning rates; wi"):
        run_config({**CONFIG, "search": {"learning_rate": rates}})


@pytest.mark.parametrize("rate", [0, -1e-5, float("nan"), float("inf"), "fast", None])
def test_rates_are_above_0(rate: Any) -> None:
    with pytest.raises(ConfigError, match=r"search\.learning_rate\.1"):
        run_config({**CONFIG, "search": {"learning_rate": [1e-5, rate]}})


@pytest.mark.parametrize("wrong", [{"learning_rate": 1e-5}, {}, {"learning_rates": [1e-5, 3e-5]}, [1e-5, 3e-5]])
def test_a_search_is_a_section_with_a_list(wrong: Any) -> None:
    with pytest.raises(ConfigError, match="search"):
        run_config({**CONFIG, "search": wrong})


@pytest.mark.parametrize("temperatures", [[], [2.0], [2, 2], 4, [0, 1], [1, -2]])
def test_two_temperatures_or_more(temperatures: Any) -> None:
    with pytest.raises(ConfigError, match=r"search\.loss_temperature"):
        run_config({**CONFIG, "search": {"learning_rate": [1e-5, 1e-4], "loss_temperature": temperatures}})


def test_temperatures_are_for_classification() -> None:
    task = {"kind": "regression", "value": "price"}
    with pytest.raises(ConfigError, match=r"search\.loss_temperature"):
        run_config({**CONFIG, "task": task, "search": {"learning_rate": [1e-5, 1e-4], "loss_temperature": [1, 2]}})


@pytest.mark.parametrize(
    ("rates", "temperatures", "tried"),
    [
        ([1e-5, 1e-3], [1, 2], [1e-5, 4.642e-5, 2.154e-4, 1e-3]),
        ([1e-5, 1e-4, 1e-3], [1, 4], [1e-5, 2.154e-5, 4.642e-5, 1e-4, 3.162e-4, 1e-3]),
        ([1e-5, 1e-3], [1, 2, 4], [1e-5, 2.512e-5, 6.31e-5, 1.585e-4, 3.981e-4, 1e-3]),
    ],
)
def test_every_recipe_has_as_many_trials(rates: list[float], temperatures: list[float], tried: list[float]) -> None:
    config = run_config({**CONFIG, "search": {"learning_rate": rates, "loss_temperature": temperatures}})
    assert config.search is not None
    assert config.trainings == len(rates) * len(temperatures) + 1
    with_one, without = (build_recipe(name, {}, "classification").stages for name in ("distilbert", "fine_tune"))
    assert config.search.trials(with_one) == [
        {"learning_rate": rate, "loss_temperature": temperature} for rate in rates for temperature in temperatures
    ]
    assert config.search.trials(without) == [{"learning_rate": rate} for rate in tried]
    labels_alone = build_recipe("kd", {"label_weight": 1.0}, "classification").stages
    assert config.search.trials(labels_alone) == config.search.trials(without), "the term has no weight"


def test_yaml_that_reads_numbers_as_words() -> None:
    config = run_config({**CONFIG, "search": {"learning_rate": ["3e-5", "1e-5"]}})
    assert config.search is not None
    assert config.search.learning_rate == [1e-5, 3e-5]
    assert config.trainings == 3
    assert run_config(CONFIG).trainings == 2


def test_development_rows_that_nothing_reads() -> None:
    task = {"kind": "regression", "value": "price"}
    data = {"train": "a.jsonl", "dev": "b.jsonl"}
    with pytest.raises(ConfigError, match=r"data\.dev: development rows are for search"):
        run_config({**CONFIG, "task": task, "data": data})
    run_config({**CONFIG, "task": task, "data": data, "search": {"learning_rate": [1e-5, 3e-5]}})
    run_config({**CONFIG, "data": data})  # a temperature is fitted on them


def test_too_few_labelled_rows(searching: dict[str, Any], tmp_path: Path) -> None:
    few = tmp_path / "few.jsonl"
    few.write_text("".join(json.dumps({"text": f"row {i}", "label": "ab"[i % 2]}) + "\n" for i in range(30)), "utf-8")
    with pytest.raises(DataError, match=r"search keeps 20 labelled training rows .* there are 30: give data\.dev"):
        limbeck.distill(**{**searching, "data": {"train": str(few), "test": str(few)}})


@pytest.mark.parametrize(
    ("label", "fault"), [("lost", "lost"), (None, r"none of the 1 rows of data\.dev has a label")]
)
def test_a_wrong_label_in_the_development_rows(
    searching: dict[str, Any], tmp_path: Path, label: str | None, fault: str
) -> None:
    dev = tmp_path / "dev.jsonl"
    dev.write_text(json.dumps({"text": "where is my card", "label": label}) + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=fault):
        limbeck.distill(**{**searching, "data": {**searching["data"], "dev": str(dev)}})


# ---- the choice ----------------------------------------------------------------------------------------------------


class FakeRun:
    """Scores by rate, whatever is trained."""

    def __init__(self, scores: dict[float, float | None], *, higher_is_better: bool = True) -> None:
        self._scores = scores
        self._metric = Metric(key="m", title="M", unit="number", higher_is_better=higher_is_better)
        self.progress = SilentProgress()
        self.costs: dict[str, StageCost] = {}
        self.tried: list[str] = []

    def parts(self, system: System, seed: int) -> list[Part]:
        return [Part.training(one.title, 1, rows=1, parameters=1) for one in system.stages] + [
            Part.reading(predicting(system.shown), 1, parameters=1)
        ]

    def score(self, system: System, seed: int, model: Any) -> Measured:
        assert seed == 5
        value = self._scores[system.stages[0].training.learning_rate]
        figures = [] if value is None else [Figure(system=system.name, metric="m", value=value, rows=9)]
        return Measured([self._metric], "m", [], figures, [], [])


def system(name: str = MAIN, role: Any = "main", *, own: bool = False) -> System:
    stage = Stage("kd", (), settings={"learning_rate": 0.5} if own else {})
    training = Training(learning_rate=0.5 if own else 5e-5)
    return System(name, role, (PlannedStage(stage, steps=3, folder=f"02-{name}", training=training, title=name),))


def tuning(run: FakeRun, rates: Iterable[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tuning:
    def train(run: FakeRun, system: System, seed: int, costs: dict[str, StageCost]) -> None:
        run.tried.append(system.stages[0].folder)
        if run._scores[system.stages[0].training.learning_rate] == float("inf"):
            raise NonFiniteLoss("inf")

    monkeypatch.setattr(search, "train", train)
    config = run_config({**CONFIG, "search": {"learning_rate": list(rates)}})
    return Tuning(run, config, tmp_path)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("scores", "higher_is_better", "best"),
    [
        ({1e-5: 1.0, 1e-4: 3.0, 1e-3: 2.0}, True, 1e-4),
        ({1e-5: 1.0, 1e-4: 3.0, 1e-3: 0.5}, False, 1e-3),
        ({1e-5: 1.0, 1e-4: 2.0, 1e-3: 2.0}, True, 1e-4),
        ({1e-5: -1.0, 1e-4: 0.0, 1e-3: None}, True, 1e-4),
        ({1e-5: -1.0, 1e-4: float("inf"), 1e-3: -1.0}, True, 1e-5),
    ],
)
def test_the_best_and_of_equal_ones_the_smallest(
    scores: dict[float, float | None],
    higher_is_better: bool,
    best: float,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = FakeRun(scores, higher_is_better=higher_is_better)
    tuned = tuning(run, scores, tmp_path, monkeypatch)
    (stage,) = tuned.tuned(system(own=True)).stages
    assert (stage.training.learning_rate, stage.folder) == (best, f"02-distilled-lr{best}")
    assert tuned.tuned(system()).stages[0].training.learning_rate == best
    assert run.tried == [f"02-distilled-lr{rate}" for rate in sorted(scores)], "and is tried once"


def test_the_best_pair_of_rate_and_temperature(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = {(1e-4, 1.0): 1.0, (1e-4, 3.0): 5.0, (1e-3, 1.0): 2.0, (1e-3, 3.0): 4.0}
    tried: list[str] = []

    class OfPairs(FakeRun):
        def score(self, system: System, seed: int, model: Any) -> Measured:
            (stage,) = system.stages
            self._scores = {stage.training.learning_rate: scores[stage.training.learning_rate, temperature(stage)]}
            return super().score(system, seed, model)

    def temperature(planned: PlannedStage) -> float:
        return float(planned.stage.terms[0].term.loss_temperature)  # type: ignore[attr-defined]

    monkeypatch.setattr(search, "train", lambda run, system, seed, costs: tried.append(system.stages[0].folder))
    both = {"learning_rate": [1e-4, 1e-3], "loss_temperature": [1, 3]}
    tuned = Tuning(OfPairs({}), run_config({**CONFIG, "search": both}), tmp_path)  # type: ignore[arg-type]
    one = system()
    soft = replace(one.stages[0].stage, terms=(WeightedTerm("soft", ForwardKL(9.0)),))
    one = replace(one, stages=(replace(one.stages[0], stage=soft),))
    (best,) = tuned.tuned(one).stages
    assert (best.training.learning_rate, temperature(best)) == (1e-4, 3.0)
    assert (best.folder, best.stage.name) == ("02-distilled-lr0.0001-t3.0", "kd-lr0.0001-t3.0")
    assert tried == [f"02-distilled-lr{rate}-t{t}" for rate, t in scores]
    assert len(list(tmp_path.glob("predictions/distilled-dev-lr*-t*.json"))) == 4
    assert tuned.parts(one, 5)[0].title == "distilled, learning rate 0.0001, loss temperature 1"


def test_none_that_can_be_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = FakeRun({1e-4: float("inf"), 1e-3: float("inf")})
    with pytest.raises(NonFiniteLoss, match=r"search\.learning_rate: 'distilled' can be trained with none"):
        tuning(run, [1e-4, 1e-3], tmp_path, monkeypatch).tuned(system())


def test_what_is_not_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tuned = tuning(FakeRun({}), [1e-4, 1e-3], tmp_path, monkeypatch)
    for one in (system("teacher", "teacher"), System("student_init", "student_init")):
        assert tuned.tuned(one) is one


def test_a_bar_for_each_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tuned = tuning(FakeRun({}), [1e-4, 1e-3], tmp_path, monkeypatch)
    assert [part.title for part in tuned.parts(system(), 5)] == [
        "distilled, learning rate 0.0001", "predicting: distilled, rate 0.0001",
        "distilled, learning rate 0.001", "predicting: distilled, rate 0.001", "predicting: distilled",
    ]  # fmt: skip
    assert [part.title for part in tuned.parts(system(), 7)] == ["distilled", "predicting: distilled"]
