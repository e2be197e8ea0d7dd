"""Cross-lingual runs, from rows to students: toy languages, tiny models, a few steps."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file

import limbeck
from limbeck.errors import ConfigError, DataError, RunFolderError
from limbeck.results.record import Results
from limbeck.results.sections import Forgetting, Gate, Search
from limbeck.runs.config import run_config
from limbeck.tasks.ranking.config import LanguageRunConfig
from limbeck.tasks.ranking.rows import read_language_data
from limbeck.types import Instruction

pytestmark = pytest.mark.slow

Make = Callable[..., Any]
PAIRINGS = ("parallel", "same", "mixed")
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


def run(sections: dict[str, Any]) -> Results:
    return limbeck.distill(**sections)


def cells(results: Results) -> dict[tuple[str, str, str], float]:
    """Accuracy by system, task and language."""
    found = (f for f in results.figures if f.metric == "accuracy" and f.slice.keys() == {"lang", "task"})
    return {(f.system, f.slice["task"], f.slice["lang"]): f.value for f in found}


def kept_by_gate(results: Results) -> dict[str, float]:
    gate = results.section(Gate)
    assert gate is not None
    return gate.kept


def records(sections: dict[str, Any]) -> list[Instruction]:
    config = run_config(sections)
    assert isinstance(config, LanguageRunConfig)
    return read_language_data(config).test


def weights(folder: Path) -> dict[str, bytes]:
    return {name: tensor.numpy().tobytes() for name, tensor in load_file(folder / "model.safetensors").items()}


def stages(sections: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What each stage took, by its folder."""
    root = Path(sections["output"]) / "stages" / "seed0"
    return {path.parent.name: json.loads(path.read_text(encoding="utf-8")) for path in root.glob("*/done.json")}


def logged(sections: dict[str, Any]) -> list[dict[str, Any]]:
    text = (Path(sections["output"]) / "log.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def agreement(sections: dict[str, Any], system: str) -> dict[tuple[str, str], float]:
    """Share of test records in which a system answers as the English model does in English, by task and language."""
    folder = Path(sections["output"]) / "predictions"
    ours = np.load(folder / f"{system}-n0-seed0.npy").argmax(axis=-1)
    teachers = np.load(folder / "source_model-n0-seed0.npy").argmax(axis=-1)
    test = records(sections)
    english = {record.parallel: answer for record, answer in zip(test, teachers, strict=True) if record.lang == "en"}
    same: dict[tuple[str, str], list[bool]] = {}
    for record, answer in zip(test, ours, strict=True):
        same.setdefault((record.task, record.lang), []).append(answer == english[record.parallel])
    return {cell: float(np.mean(found)) for cell, found in same.items()}


def test_after_distillation_the_student_answers_in_permuted_languages_as_the_teacher_does_in_english(
    toy_model: Path, make_toy_sets: Make, make_toy_sections: Make, tmp_path: Path, light: None
) -> None:
    """The end-to-end check of the method: two tasks, three languages with permuted vocabularies."""
    make_toy_sets(tmp_path / "data", train=150, test=80)
    sections = make_toy_sections(toy_model, tmp_path / "data", tmp_path / "run")
    sections["task"] = {"kind": "ranking", "languages": ["de", "fr", "bg"]}
    sections["prompts"]["form"] = "soft"
    sections["recipe"] = {"name": "ml_ipd", "pairing": "parallel"}  # with the gate as it is
    stage = {"batch_size": 32, "learning_rate": 3e-3, "checkpoints": 1}
    sections["training"] = {"source": {**stage, "max_steps": 50}, "distillation": {**stage, "max_steps": 150}}
    results = run(sections)

    teacher, student = agreement(sections, "source_model"), agreement(sections, "ml_ipd")
    assert min(share for (_, lang), share in student.items() if lang != "en") >= 0.95
    for task, chance in (("topic", 1 / 4), ("ads", 1 / 2)):
        assert np.mean([teacher[task, lang] for lang in ("de", "fr", "bg")]) < chance + 0.15
    right = cells(results)
    assert right["teacher", "topic", "en"] == right["teacher", "ads", "en"] == 1
    assert min(right["ml_ipd", task, lang] for task in ("topic", "ads") for lang in ("de", "fr", "bg")) >= 0.95
    assert min(kept_by_gate(results).values()) > 0.95  # the teacher is sure of what it reads: English


def test_a_run_of_translations_alone(toy_run: dict[str, Any], own_toy_data: Path, light: None) -> None:
    """The teacher learns to tell English sentences apart; tests are ranked by margins, students learn from scores."""
    for split in ("train", "test"):
        file = own_toy_data / "topic" / f"{split}.jsonl"
        rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        file.write_text("".join(json.dumps(row | {"key": f"{split}{row['key']}"}) + "\n" for row in rows))
    one = {"layout": "rows_translation", "folder": str(own_toy_data / "topic"), "key": "key"}
    own = {"distractors": {"nearest": 5, "random": 5}, "train_distractors": {"nearest": 2, "random": 1}}
    toy_run["data"]["sets"] = [one | own]
    toy_run["backbone"]["scorer"] = "dual_encoder"
    toy_run["recipe"] = {"name": "ml_ipd", "confidence_threshold": 0}
    toy_run["baselines"] = ["transfer"]
    results = run(toy_run)
    folder = Path(toy_run["output"]) / "predictions"
    assert np.load(folder / "teacher-ml_ipd-seed0.npy").shape == (24, 4)  # each English sentence once
    assert np.load(folder / "teacher-ml_ipd-seed0.npy").max() == pytest.approx(20, abs=5)  # cosines / 0.05
    margins = np.load(folder / "ml_ipd-n0-seed0.npy")
    assert margins.shape == (24, 11)
    assert np.median(margins) == pytest.approx(1, abs=0.2)
    assert {cell[1:] for cell in cells(results)} == {("translation", "de"), ("translation", "bg")}
    forgetting = results.section(Forgetting)
    assert forgetting is not None
    assert forgetting.checks == []
    assert (Path(toy_run["output"]) / "report.html").exists()


OWN_RECIPES = """
from limbeck.recipes.ml_ipd import ml_ipd


def parallel():
    return ml_ipd(pairing="parallel", confidence_threshold=0, label_weight=0.3)


def same():
    return ml_ipd(pairing="same", confidence_threshold=0, label_weight=0.3)


def mixed():
    return ml_ipd(pairing="mixed", confidence_threshold=0, label_weight=0.3)
"""


def test_distillation_reads_no_label_of_a_target_language(
    toy_run: dict[str, Any], own_toy_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, light: None
) -> None:
    """Noise in place of every target-language training label leaves the students bit-identical."""
    (tmp_path / "own_pairings.py").write_text(OWN_RECIPES, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    first, *others = [{"name": f"own_pairings:{pairing}"} for pairing in PAIRINGS]
    toy_run["training"]["distillation"]["max_steps"] = 6  # enough for both sides of the coin
    clean = {**toy_run, "recipe": first, "baselines": others}
    noisy = json.loads(json.dumps(clean)) | {"output": str(tmp_path / "noisy")}
    rng = np.random.default_rng(0)
    changed = 0
    for one in noisy["data"]["sets"]:
        one["folder"] = str(own_toy_data / Path(one["folder"]).name)
        file = Path(one["folder"]) / "train.jsonl"
        rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        for row in rows:
            if row["lang"] != "en":
                label, row["label"] = row["label"], str(rng.choice(one["labels"]))
                changed += label != row["label"]
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert changed > 20
    run(clean)
    run(noisy)
    students = {}
    for pairing in PAIRINGS:
        clean_student, noisy_student = (
            weights(Path(sections["output"]) / "stages" / "seed0" / f"{pairing}-distillation" / "model")
            for sections in (clean, noisy)
        )
        assert clean_student == noisy_student
        students[pairing] = clean_student
    assert students["parallel"] != students["same"] != students["mixed"] != students["parallel"]


def test_only_the_teachers_english_label_is_mixed_in(
    toy_run: dict[str, Any], own_toy_data: Path, tmp_path: Path, light: None
) -> None:
    """The other way round: with the English labels of what is paired taken away, there is no label term."""
    toy_run["recipe"] = {"name": "ml_ipd", "confidence_threshold": 0.0, "pairing": "same", "label_weight": 1.0}
    run(toy_run)
    distilled = [line for line in logged(toy_run) if line["stage"] == "distillation"]
    assert distilled
    assert all(line["term/labels"] == 0 for line in distilled)
    parallel = {**toy_run, "recipe": {**toy_run["recipe"], "pairing": "parallel"}, "output": str(tmp_path / "other")}
    run(parallel)
    assert all(line["term/labels"] > 0 for line in logged(parallel) if line["stage"] == "distillation")


def test_every_system_gets_the_same_budget(toy_run: dict[str, Any], light: None) -> None:
    toy_run["data"]["shots"] = [2]
    for name, steps in (("source", 3), ("distillation", 2), ("target", 1)):
        toy_run["training"][name]["max_steps"] = steps
    toy_run["baselines"] = ["ml_dft", {"name": "pl_bl", "share": 0.5}, "rl_ia", "transfer"]
    run(toy_run)
    assert {where: cost["steps"] for where, cost in stages(toy_run).items()} == {
        "source_model": 3,
        "ml_ipd-distillation": 2,
        "ml_ipd-target-n2": 1,
        "ml_dft-fine_tune-n2": 6,
        "pl_bl-fine_tune-n2": 3,  # a step of it reads several masked sequences a record, so a share can be given
        "rl_ia-reinforce-n2": 3,
        "transfer-target-n2": 1,
    }
    assert all(cost["rows_seen"] == 8 * cost["steps"] for cost in stages(toy_run).values())


def test_epochs_are_counted_from_the_records_of_a_stage(toy_run: dict[str, Any], light: None) -> None:
    toy_run["data"]["shots"] = [2]
    toy_run["training"] = {
        name: {"num_train_epochs": 1, "batch_size": 24} for name in ("source", "distillation", "target")
    }
    toy_run["baselines"] = ["ml_dft", "rl_ia"]
    run(toy_run)
    english, paired, target = 48 // 24, 96 // 24, 1  # 24 records of 2 tasks; 2 languages; 2 x 2 x 2 records
    assert {where: cost["steps"] for where, cost in stages(toy_run).items()} == {
        "source_model": english,
        "ml_ipd-distillation": paired,
        "ml_ipd-target-n2": target,
        "ml_dft-fine_tune-n2": english + paired + target,
        "rl_ia-reinforce-n2": paired + target,
    }


def test_a_gate_that_nothing_passes_is_a_clear_error(toy_run: dict[str, Any]) -> None:
    toy_run["recipe"]["confidence_threshold"] = 1.0
    with pytest.raises(
        ConfigError, match=r"recipe\.confidence_threshold 1: the English model is less sure than this of every paired"
    ):
        run(toy_run)


@pytest.mark.parametrize("pairing", ["parallel", "same"])
def test_the_kept_share_is_that_of_the_teachers_scores(
    toy_run: dict[str, Any], pairing: str, tmp_path: Path, light: None
) -> None:
    toy_run["data"]["sets"] = toy_run["data"]["sets"][:1]
    toy_run["recipe"]["pairing"] = pairing
    run(toy_run)
    table = np.load(Path(toy_run["output"]) / "predictions" / "teacher-ml_ipd-seed0.npy").astype(np.float64)
    sureness = (np.exp(table) / np.exp(table).sum(axis=-1, keepdims=True)).max(axis=-1)
    gate = float(np.median(sureness))  # between two records, of which there is an even number
    toy_run["recipe"]["confidence_threshold"] = gate
    results = run({**toy_run, "output": str(tmp_path / "gated")})
    if pairing == "parallel":  # 24 English records, each scored once, for both languages
        assert len(table) == 24
        assert kept_by_gate(results) == {"de": 0.5, "bg": 0.5}
    else:
        assert len(table) == 48
        assert kept_by_gate(results) == {"de": np.mean(sureness[:24] >= gate), "bg": np.mean(sureness[24:] >= gate)}


ABLATIONS: list[tuple[dict[str, Any], str, bool]] = [
    ({"prompts": "none"}, "none, both", False),
    ({"prompts": {"levels": "T"}}, "T, both", True),
    ({"prompts": {"levels": "L", "form": "soft"}}, "L, soft", True),
    ({"prompts": {"form": "hard"}}, "T+L, hard", False),
]


@pytest.mark.parametrize(("change", "shown", "soft"), ABLATIONS)
def test_an_ablation_is_one_line(
    toy_run: dict[str, Any], change: dict[str, Any], shown: str, soft: bool, light: None
) -> None:
    toy_run["training"]["distillation"]["max_steps"] = toy_run["training"]["source"]["max_steps"] = 1
    toy_run["data"]["sets"] = toy_run["data"]["sets"][:1]
    results = run({**toy_run, **change})
    assert results.run.facts["Prompts"] == shown
    assert ("soft_prompts.weight" in weights(Path(toy_run["output"]) / "student")) == soft


def but_for_the_time(results: Results) -> Results:
    return results.model_copy(update={"run": results.run.model_copy(update={"created": ""})})


def test_the_same_run_again_trains_nothing(
    toy_run: dict[str, Any], monkeypatch: pytest.MonkeyPatch, light: None
) -> None:
    toy_run["baselines"] = ["transfer"]
    toy_run["data"]["shots"] = 2
    first = run(toy_run)
    folder = Path(toy_run["output"])
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}

    def refuse(*arguments: Any, **options: Any) -> None:
        raise AssertionError("trained or scored again")

    monkeypatch.setattr("limbeck.stages.pipeline._train", refuse)
    monkeypatch.setattr("limbeck.tasks.ranking.context.predict_scores", refuse)
    assert run(toy_run) == first
    after = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}
    assert {path.name for path in before if before[path] != after[path]} <= {"report.html"}
    (folder / "results.json").write_text("{")
    assert but_for_the_time(run(toy_run)) == but_for_the_time(first)
    (folder / "results.json").unlink()  # as if killed before the figures
    again = run(toy_run)
    assert but_for_the_time(again) == but_for_the_time(first)


def test_another_run_in_the_folder_is_refused(toy_run: dict[str, Any], light: None) -> None:
    toy_run["training"]["source"]["max_steps"] = toy_run["training"]["distillation"]["max_steps"] = 1
    run(toy_run)
    toy_run["prompts"]["form"] = "hard"
    with pytest.raises(RunFolderError, match=r"holds another run: prompts\.form was both, is hard"):
        run(toy_run)


def test_a_changed_prompt_is_noticed_and_one_of_another_language_is_none_of_the_runs_business(
    toy_run: dict[str, Any], monkeypatch: pytest.MonkeyPatch, light: None
) -> None:
    from limbeck.data.prompts import registry

    toy_run["training"]["source"]["max_steps"] = toy_run["training"]["distillation"]["max_steps"] = 1
    first = run(toy_run)
    whole = registry._texts

    def reworded(lang: str) -> None:
        monkeypatch.setattr(
            registry, "_texts", lambda kind, v: {**whole(kind, v), **({lang: "Other."} if kind == "languages" else {})}
        )

    reworded("fr")
    assert run(toy_run) == first
    reworded("bg")
    with pytest.raises(RunFolderError, match=r"holds another run: the prompts .*have changed"):
        run(toy_run)


# Processes: killed, and several at once.

PROGRAM = """
import limbeck.report.page as page
page.write_report = lambda results, path: path.touch()
from limbeck.cli.app import main
main()
"""


def write_run(sections: dict[str, Any], path: Path) -> Path:
    path.write_text(json.dumps(sections), encoding="utf-8")  # JSON is YAML
    return path


def test_kill_9_in_the_middle_of_distillation_ends_in_the_same_student(
    toy_run: dict[str, Any], tmp_path: Path, light: None
) -> None:
    toy_run["recipe"]["pairing"] = "mixed"
    toy_run["training"]["distillation"].update(max_steps=24, checkpoints=12)
    whole = {**toy_run, "output": str(tmp_path / "whole")}
    run(whole)

    file, killed = write_run(toy_run, tmp_path / "run.yaml"), Path(toy_run["output"])
    command = [sys.executable, "-c", PROGRAM, "distill", str(file)]
    process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 120
    where = "stages/seed0/ml_ipd-distillation"
    while process.poll() is None and time.monotonic() < until:
        if list(killed.glob(f"{where}/checkpoints/*/limbeck.json")):
            break
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (killed / where / "done.json").exists()
    run(toy_run)
    assert stages(toy_run)["ml_ipd-distillation"]["steps"] == 24
    assert weights(killed / "student") == weights(Path(whole["output"]) / "student")
    assert [line["loss"] for line in logged(toy_run)] == [line["loss"] for line in logged(whole)]


def test_two_ranks_train_the_student_that_one_process_trains(
    toy_run: dict[str, Any], tmp_path: Path, light: None
) -> None:
    """By plain gradient descent: AdamW would follow rounding errors where a gradient is nearly 0."""
    toy_run["recipe"]["pairing"] = "mixed"
    toy_run["data"]["shots"] = [2]
    for stage in toy_run["training"].values():
        stage.update(optim="sgd", learning_rate=1e-2, prompt_learning_rate=1e-2)
    one = {**toy_run, "output": str(tmp_path / "one")}
    run(one)
    file = write_run(toy_run, tmp_path / "run.yaml")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ranks = []
    for rank in ("0", "1"):  # what torchrun would set
        place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
        place |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        command = [sys.executable, "-c", PROGRAM, "distill", str(file)]
        ranks.append(subprocess.Popen(command, env=ENVIRONMENT | place, stderr=subprocess.PIPE, text=True))
    for process in ranks:
        _, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors
    ours, theirs = (load_file(Path(s["output"]) / "student" / "model.safetensors") for s in (one, toy_run))
    for name, tensor in ours.items():
        assert np.allclose(tensor, theirs[name], atol=1e-4, rtol=1e-3), name
    losses = [[line["loss"] for line in logged(sections)] for sections in (one, toy_run)]
    assert np.allclose(*losses, rtol=1e-3)
    results = json.loads((Path(toy_run["output"]) / "results.json").read_text(encoding="utf-8"))
    (costs,) = (section["systems"] for section in results["sections"] if section["kind"] == "system_costs")
    assert {cost["devices"] for cost in costs} == {2}


# ---- a search ----------------------------------------------------------------------------------------------------


@pytest.fixture
def searching(toy_model: Path, make_toy_sections: Make, make_toy_sets: Make, tmp_path: Path) -> dict[str, Any]:
    make_toy_sets(tmp_path / "data", train=60, test=12)
    sections: dict[str, Any] = make_toy_sections(toy_model, tmp_path / "data", tmp_path / "run")
    for name, steps in (("source", 60), ("distillation", 20), ("target", 20)):
        sections["training"][name]["max_steps"] = steps
    sections["data"]["shots"] = [0, 4]
    return {**sections, "baselines": ["transfer"], "search": {"learning_rate": [1e-9, 3e-3]}}


def test_each_system_has_the_best_of_two_rates_at_each_budget(searching: dict[str, Any], tmp_path: Path) -> None:
    results = run(searching)
    found = results.section(Search)
    assert found is not None
    assert (found.metric, found.rows) == ("accuracy", 24)
    assert [(one.system, one.budget, one.settings["learning_rate"]) for one in found.trials] == [
        (name, budget, rate)
        for name, budget in (("ml_ipd", 0), ("ml_ipd", 4), ("transfer", 4))
        for rate in (1e-9, 3e-3)
    ]
    best = {(one.system, one.budget): one.settings["learning_rate"] for one in found.trials if one.chosen}
    assert best["ml_ipd", 0] == best["ml_ipd", 4] == 3e-3
    stages = {path.name for path in (tmp_path / "run" / "stages" / "seed0").iterdir()}
    assert {name for name in stages if name.startswith("ml_ipd")} == {
        f"ml_ipd-{stage}-lr{rate}" for stage in ("distillation", "target-n4") for rate in (1e-9, 3e-3)
    }, "distillation at a rate is trained once for both budgets"
    assert "source_model" in stages
    exported = load_file(tmp_path / "run" / "student" / "model.safetensors")
    trained = load_file(
        tmp_path / "run" / "stages" / "seed0" / "ml_ipd-target-n4-lr0.003" / "model" / "model.safetensors"
    )
    assert all(np.array_equal(exported[name], trained[name]) for name in exported)
    assert any("chosen on 24 labelled target-language records beyond" in words for words in results.warnings)
    costs = [cost.stage for cost in results.costs if cost.system == "ml_ipd"]
    assert costs == ["distillation-lr0.003", "target-n4-lr0.003"]


def test_development_records_are_in_no_training_record(searching: dict[str, Any]) -> None:
    config = run_config(searching)
    assert isinstance(config, LanguageRunConfig)
    data = read_language_data(config)
    assert {(r.task, r.lang) for r in data.dev} == {(task, lang) for task in ("topic", "ads") for lang in ("de", "bg")}
    keys = {record.parallel for record in data.dev}
    assert len(keys) == 12, "the same ones in each language"
    assert not keys & {record.parallel for record in (*data.english, *data.source, *data.pool)}
    assert data.fingerprints.keys() == {"train", "test", "dev", "prompts"}
    searching["data"]["sets"] = searching["data"]["sets"][:1]
    for path in Path(searching["data"]["sets"][0]["folder"]).glob("train.jsonl"):
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows if row["key"] < 19), encoding="utf-8")
    with pytest.raises(DataError, match=r"search keeps 20 .* there are 38: give more labelled records of the target"):
        read_language_data(run_config(searching))  # type: ignore[arg-type]
