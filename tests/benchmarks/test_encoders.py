"""The rows of the encoder benchmark, its budgets and its tables."""

from __future__ import annotations

import base64
import gzip
import json
import sys
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import yaml

from limbeck.recipes.catalogue import recipe_card
from limbeck.results.record import StageCost
from limbeck.runs.config import run_config

FOLDER = Path(__file__).parents[2] / "benchmarks" / "encoders"
NAMES = ("sets", "run", "tables")


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[dict[str, ModuleType]]:
    """The benchmark's modules, which write into a folder of their own."""
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.chdir(tmp_path)
    for name in NAMES:
        sys.modules.pop(name, None)
    yield {name: __import__(name) for name in NAMES}
    for name in NAMES:
        sys.modules.pop(name, None)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The folder of the sets, with few rows, some of which are in two splits."""
    folder = tmp_path / "data"
    questions = [{"text": f"q{n}", "label": n % 2, "label_name": "ab"[n % 2]} for n in range(1700)]
    pairs = [{"premise": f"p{n}", "hypothesis": f"h{n % 7}", "label": n % 2} for n in range(50)]
    files = {
        "trec/train.jsonl": questions,
        "trec/test.jsonl": questions[:20],
        "glue_rte/train.jsonl.gz": pairs,
        "glue_rte/validation.jsonl": pairs[:9],
    }
    for name, rows in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        content = "".join(json.dumps(row) + "\n" for row in rows).encode()
        (folder / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return folder


@pytest.mark.parametrize(("name", "texts"), [("trec", ["text"]), ("glue_rte", ["premise", "hypothesis"])])
def test_no_held_out_text_is_learned(modules: dict[str, ModuleType], data: Path, name: str, texts: list[str]) -> None:
    found = modules["sets"].split(data, name, 1000)
    train, dev, test = ({tuple(row[text] for text in texts) for row in part} for part in found.__dict__.values())
    assert train
    assert dev
    assert len(test) >= 9
    assert not train & dev
    assert not (train | dev) & test
    assert found == modules["sets"].split(data, name, 1000)
    few = modules["sets"].split(data, name, 20)
    assert (len(few.train), len(few.dev), few.test) == (18, 2, found.test)


def test_every_method_is_a_recipe_for_classifiers_with_a_teacher() -> None:
    methods = yaml.safe_load((FOLDER / "methods.yaml").read_text(encoding="utf-8"))
    assert next(iter(methods)) == "kd"
    for name, arguments in methods.items():
        assert "classification" in recipe_card(name).kinds
        assert arguments.keys() <= recipe_card(name).defaults.keys()


def test_all_runs_are_valid_and_have_the_same_rows(
    modules: dict[str, ModuleType], data: Path, encoder_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, asked = modules["run"], {}

    class Stop(Exception):
        pass

    def distill(self: Any, name: str, sections: dict[str, Any]) -> None:
        asked[name] = run_config({**sections, "output": name})
        raise Stop

    monkeypatch.setattr(run.Setting, "distill", distill)
    options = Namespace(data=data, rows=100, epochs=2.0, seeds=3)
    setting = run.Setting("trec", "tiny", encoder_folder, options)
    with pytest.raises(Stop):
        run.fine_tuned_teacher(setting)
    with pytest.raises(Stop):
        run.at_equal_steps(
            setting, encoder_folder, "half", {"kd": {}, "fine_tune": {}, "pkd": {"loss_temperature": 4}}
        )
    teacher, steps = asked.values()
    assert teacher.data == steps.data
    assert teacher.training.num_train_epochs == steps.training.num_train_epochs == 2
    assert len(teacher.search.learning_rate) == len(steps.search.learning_rate)
    assert (
        steps.student.from_teacher.keep
        == json.loads((encoder_folder / "config.json").read_text())["num_hidden_layers"] // 2
    )
    assert [one.name for one in steps.baselines] == ["fine_tune", "pkd"]
    assert steps.seeds == [0, 1, 2]


def cost(system: str, seconds: float, steps: int, seed: int) -> StageCost:
    counts = {"steps": steps, "rows_seen": 0, "tokens_seen": 0, "peak_memory_bytes": 0}
    name = f"{system}{seconds}"
    return StageCost(stage=name, system=system, seed=seed, seconds=99.0, cpu_seconds=seconds, **counts)


def test_a_method_that_takes_twice_as_long_gets_half_the_steps(modules: dict[str, ModuleType]) -> None:
    costs = [cost("distilled", 10.0, 100, seed) for seed in (0, 1)]
    costs += [cost("pkd", 8.0, 40, seed) for seed in (0, 1)] + [cost("pkd", 12.0, 60, seed) for seed in (0, 1)]
    costs += [cost("slow", 10_000.0, 100, 0), cost("teacher", 5.0, 0, 0)]
    results = type("R", (), {"costs": costs, "run": type("Run", (), {"seeds": [0, 1]})()})()
    assert modules["run"].steps_in_equal_time(results, ["kd", "pkd", "slow"]) == {"kd": 100, "pkd": 50, "slow": 10}


def line(method: str, right: list[int], seed: int = 0, budget: str = "steps") -> dict[str, Any]:
    packed = base64.b64encode(np.packbits(right).tobytes()).decode()
    common = {"set": "trec", "teacher": "tiny", "student": "half", "budget": budget, "method": method, "seed": seed}
    return {**common, "steps": 7, "cpu_seconds": 2.0, "rows": len(right), "right": packed}


def test_tables(modules: dict[str, ModuleType], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = [1] * 9 + [0], [1] * 4 + [0] * 6
    lines = [line("teacher", [1] * 10)]
    for seed in range(3):
        middle = [1] * (5 + seed) + [0] * (5 - seed)
        lines += [line("kd", good, seed), line("fine_tune", bad, seed), line("pkd", middle, seed)]
    lines += [line("tfidf", bad), line("pkd", good, 0, "time"), line("fine_tune", bad, 0, "time")]
    figures = tmp_path / "figures.jsonl"
    figures.write_text("".join(json.dumps(one) + "\n" for one in lines), encoding="utf-8")
    sys.argv = ["tables.py", str(figures)]
    modules["tables"].main()
    steps, time = capsys.readouterr().out.split("### Equal time")
    assert "Teacher: 100.0 %." in steps
    assert "| `pkd` | 60.0 (50.0, 60.0, 70.0) | 60.0 | +20.0 (" in steps
    assert "| `kd` | 90.0 (90.0, 90.0, 90.0) | 90.0 | +50.0 (" in steps
    assert "| `tfidf` | 40.0 (40.0) | 40.0 | – | – | – | – | 7 | 2 |" in steps
    assert "| `pkd` | 90.0 (90.0) | 90.0 | +50.0 (" in time
    assert "tfidf" not in time


def test_p_values_are_corrected(modules: dict[str, ModuleType]) -> None:
    tables, rng = modules["tables"], np.random.default_rng(0)
    control = rng.random(60) < 0.5
    lines = [line("fine_tune", control.astype(int).tolist()), line("kd", control.astype(int).tolist())]
    lines += [line("pkd", (control | (rng.random(60) < 0.15)).astype(int).tolist())]
    alone = tables.difference(tables.right(lines, "pkd"), tables.right(lines, "fine_tune")).p_rows
    (told,) = [cells[1] for cells in [tables._against(lines, ["pkd"], "fine_tune")["pkd"]]]
    corrected = float(told.split(",")[0].removeprefix("p < ").removeprefix("< "))
    assert corrected == pytest.approx(min(1.0, 2 * alone), abs=0.01), "two methods are compared with fine_tune"
