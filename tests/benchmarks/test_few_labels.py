"""The split of the benchmark with few labels, its run files and its tables."""

from __future__ import annotations

import base64
import gzip
import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from scipy import stats

from limbeck.demo.setting import read_banking77
from limbeck.results.sections import EnsembleMember
from limbeck.runs.config import run_config

FOLDER = Path(__file__).parents[2] / "benchmarks" / "few_labels"


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[dict[str, ModuleType]]:
    """The benchmark's modules, which write into a folder of their own."""
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.chdir(tmp_path)
    names = ("split", "run", "tables")
    for name in names:
        sys.modules.pop(name, None)
    yield {name: __import__(name) for name in names}
    for name in names:
        sys.modules.pop(name, None)


def rows(count: int, classes: int, word: str) -> list[dict[str, str]]:
    return [{"text": f"{word} {number}", "label": f"c{number % classes}"} for number in range(count)]


SETS = {
    "trec": (rows(1800, 6, "a"), rows(50, 6, "b")),
    "sst2": (rows(6000, 2, "a"), rows(90, 2, "b")),
    "ag_news": (rows(5200, 4, "a"), rows(2500, 4, "b")),
    "banking77": (read_banking77("train"), read_banking77("test")),
}


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("labels", [5, 10])
def test_held_out_rows_are_never_learned(modules: dict[str, ModuleType], name: str, labels: int) -> None:
    train, test = SETS[name]
    draws = [modules["split"].split(name, train, test, labels=labels, draw=draw) for draw in (0, 1)]
    for found in draws:
        held_out = {row["text"] for row in found.test}
        learned = [row["text"] for row in (*found.labelled, *found.unlabelled)]
        assert not held_out & set(learned)
        assert len(set(learned)) == len(learned) <= 10_003
        assert set(Counter(row["label"] for row in found.labelled).values()) == {labels}
        assert all(set(row) == {"text"} for row in found.unlabelled), "their labels are not there to be read"
    first, second = draws
    assert first.test == second.test
    assert first.labelled != second.labelled
    assert {row["text"] for row in first.test} >= {row["text"] for row in test[:50]} or name == "ag_news"
    assert first == modules["split"].split(name, train, test, labels=labels, draw=0)


def test_more_labels_are_those_and_others(modules: dict[str, ModuleType]) -> None:
    few, many = (modules["split"].split("trec", *SETS["trec"], labels=labels, draw=3) for labels in (10, 50))
    assert {row["text"] for row in few.labelled} < {row["text"] for row in many.labelled}
    assert few.test == many.test


def test_sizes(modules: dict[str, ModuleType]) -> None:
    found = {name: modules["split"].split(name, *of, labels=10, draw=0) for name, of in SETS.items()}
    assert {name: len(one.test) for name, one in found.items()} == {
        "trec": 1550,
        "sst2": 90,
        "ag_news": 2000,
        "banking77": 3080,
    }
    assert len(found["sst2"].labelled) + len(found["sst2"].unlabelled) == 5000


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The folder of the sets, with one of them."""
    folder = tmp_path / "data" / "sst2"
    folder.mkdir(parents=True)
    train, test = SETS["sst2"]
    files = {"train.jsonl.gz": train[:200], "test.jsonl": test[:60], "validation.jsonl": test[60:]}
    for name, some in files.items():
        content = "".join(json.dumps(row) + "\n" for row in some).encode()
        (folder / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return folder.parent


def test_the_settings_of_the_fine_tuned_student_are_chosen_out_of_fold(
    modules: dict[str, ModuleType], data: Path, encoder_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, asked = modules["run"], []
    monkeypatch.setattr(run, "cut_encoder", lambda encoder, folder: encoder)

    def distill(self: Any, name: str, sections: dict[str, Any]) -> tuple[Any, float]:
        asked.append(run_config({**sections, "output": name}))
        members = [
            EnsembleMember(title="m", weight=0.25, right=None, right_out_of_fold=right, seconds=1.0)
            for right in (0.2, 0.5, 0.9, 0.4)
        ]
        section = run.Ensemble.model_construct(members=members)
        return type("Results", (), {"sections": [section]})(), 1.0

    monkeypatch.setattr(run.Setting, "distill", distill)
    first = run.Setting("sst2", "minilm", encoder_folder, 10, 0)
    assert run.tuned(first, data) == (2e-4, 30) == run.tuned(first, data)
    (config,) = asked
    assert [member.training.max_steps for member in config.teacher.ensemble.members] == [30, 90, 30, 90]
    train, test = (Path(str(path)).read_text("utf-8") for path in (config.data.train, config.data.test))
    held_out = {row["text"] for row in SETS["sst2"][1]}
    assert not held_out & {json.loads(line)["text"] for line in (train + test).splitlines()}


def line(name: str, draw: int, system: str, right: list[int]) -> dict[str, Any]:
    packed = base64.b64encode(np.packbits(right).tobytes()).decode()
    common = {"set": name, "draw": draw, "seed": 0, "teacher": "minilm", "labels": 10, "cpu_seconds": 2.0}
    return {**common, "system": system, "accuracy": float(np.mean(right)), "rows": len(right), "right": packed}


def test_tables(modules: dict[str, ModuleType], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    better, worse = [1, 1, 1, 1, 1, 1, 1, 1, 1, 0], [1, 1, 1, 1, 1, 0, 0, 0, 0, 0]
    lines = []
    for draw in range(3):
        middle = [1] * (6 + draw) + [0] * (4 - draw)
        for system, right in (("distilled", better), ("tfidf", worse), ("frozen_embeddings", middle)):
            lines.append(line("trec", draw, system, right))
        lines += [line("trec", draw, system, better) for system in ("fine_tuned", "setfit", "teacher")]
    figures = tmp_path / "figures.jsonl"
    figures.write_text("".join(json.dumps(one) + "\n" for one in lines), encoding="utf-8")
    sys.argv = ["tables.py", str(figures)]
    modules["tables"].main()
    told = capsys.readouterr().out
    assert "| frozen embeddings + logistic regression | **70.0** (60.0, 70.0, 80.0) | 2 |" in told
    assert "| the better simple baseline | +20.0 | +20.0 | −4.8 to +44.8 |".replace("−", "-") in told
    assert "keeps 100.0 %" in told
    assert "| trec | TF-IDF + logistic regression | +40.0 |" in told
    lines += [line("trec", 3, "distilled", worse), line("trec", 3, "tfidf", worse)]  # no control in this draw
    assert "| trec | TF-IDF + logistic regression | +30.0 |" in modules["tables"].rows_table(lines)
    assert "| trec | frozen embeddings + logistic regression | +20.0 |" in modules["tables"].rows_table(lines)


def test_the_mean_of_sets_is_as_sure_as_the_draws_within_them(modules: dict[str, ModuleType]) -> None:
    tables, rng = modules["tables"], np.random.default_rng(0)
    one = rng.normal(1.0, 1.0, 5)
    low, high, p_value = tables.mean_over_sets([one.tolist()])
    expected = stats.ttest_1samp(one, 0.0)
    assert p_value == pytest.approx(expected.pvalue)
    assert (low, high) == pytest.approx(tuple(expected.confidence_interval(0.95)))
    apart = tables.mean_over_sets([one.tolist(), (one + 30).tolist()])
    assert apart[1] - apart[0] < high - low, "what the sets differ by is no doubt"
    # The mean of two means is half their sum: Welch's test of two samples, one with the other sign, is the same.
    other = rng.normal(-0.5, 2.0, 4)
    p_value = tables.mean_over_sets([one.tolist(), other.tolist()])[2]
    assert p_value == pytest.approx(stats.ttest_ind(one, -other, equal_var=False).pvalue)
    assert tables.mean_over_sets([[1.0, 2.0], [3.0]]) is None


def test_figures_replace_those_of_the_same_system(modules: dict[str, ModuleType], tmp_path: Path) -> None:
    run = modules["run"]
    run.FOLDER.mkdir(parents=True)
    run.add([line("trec", 0, "distilled", [1, 0]), line("trec", 1, "distilled", [1, 0])])
    run.add([line("trec", 0, "distilled", [1, 1])])
    found = [json.loads(one) for one in (run.FOLDER / "figures.jsonl").read_text("utf-8").splitlines()]
    assert [(one["draw"], one["accuracy"]) for one in found] == [(0, 1.0), (1, 0.5)]
