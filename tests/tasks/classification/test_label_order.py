"""Teachers that do not name their labels, and teachers that do not choose one label."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import limbeck
from limbeck.errors import DataError, ModelError
from limbeck.models.load import load_tokenizer
from limbeck.runs.config import run_config
from limbeck.runs.examine import examine
from limbeck.tasks.classification.config import RunConfig
from limbeck.tasks.classification.predict import Predictor
from limbeck.tasks.classification.rows import start_teacher
from limbeck.tasks.classification.student import make_student
from limbeck.types import SilentProgress

SORTED = ["card_arrival", "exchange_rate", "lost_or_stolen_card", "top_up_failed"]
ORDER = ["card_arrival", "top_up_failed", "lost_or_stolen_card", "exchange_rate"]
"""Of the teacher's outputs: the second and the last are exchanged."""
TOLD = {"task": {"labels": ORDER}}


@pytest.fixture(scope="module")
def unnamed(encoder_folder: Path, tickets: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier of tickets that knows its labels as LABEL_0, LABEL_1, ..."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    rows = [json.loads(line) for line in tickets["labelled"].read_text(encoding="utf-8").splitlines()]
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(encoder_folder)
    model = AutoModelForSequenceClassification.from_pretrained(encoder_folder, num_labels=4)
    seen = tokenizer([row["text"] for row in rows], padding=True, return_tensors="pt")
    gold = torch.tensor([ORDER.index(row["label"]) for row in rows])
    optimiser = torch.optim.AdamW(model.parameters(), 3e-3)
    for _ in range(100):
        some = torch.randint(0, len(rows), (16,))
        torch.nn.functional.cross_entropy(model(**{k: v[some] for k, v in seen.items()}).logits, gold[some]).backward()
        optimiser.step()
        optimiser.zero_grad()
    folder = tmp_path_factory.mktemp("unnamed") / "teacher"
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def run(sections: dict[str, Any], unnamed: Path) -> dict[str, Any]:
    sections["teacher"] = {"model": str(unnamed)}
    sections["student"] = {"from_teacher": {"layers": "uniform", "keep": 1}}
    sections["training"] |= {"max_steps": 2}
    return sections | {"baselines": []}


@pytest.mark.slow
def test_a_wrong_order_is_refused_and_the_right_one_named(run: dict[str, Any]) -> None:
    with pytest.raises(ModelError) as raised:
        limbeck.distill(**run)
    said = str(raised.value)
    assert "a guess (sorted)" in said
    assert "which moves 2 labels (exchange_rate, top_up_failed)" in said
    line = "labels: [card_arrival, top_up_failed, lost_or_stolen_card, exchange_rate]"
    assert said.endswith(f"under task:\n  {line}")
    (fault,) = [f for f in examine(run_config(run), SilentProgress()) if f.level == "fault"]
    assert fault.check == "order"
    assert line in fault.message

    # With that line nothing is wrong, and nothing that binds the folder to another order was kept.
    assert {"order", "models"}.isdisjoint(f.check for f in examine(run_config(run | TOLD), SilentProgress()))
    assert not (Path(run["output"]) / "predictions").exists()


@pytest.mark.slow
def test_an_order_that_somebody_gave_is_checked_too(run: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match=r"is that of task\.labels[\s\S]*\[card_arrival, top_up"):
        limbeck.distill(**run | {"task": {"labels": SORTED}})


@pytest.mark.slow
def test_without_labelled_rows_the_order_is_a_guess_or_somebodys_word(
    run: dict[str, Any], tickets: dict[str, Path], tmp_path: Path
) -> None:
    one_each = {row["label"]: row for row in map(json.loads, tickets["labelled"].read_text("utf-8").splitlines())}
    train = [*one_each.values(), *({"text": f"where is my card {i}"} for i in range(20))]
    test = [{"text": "is my card on its way"}]
    for name, rows in (("train", train), ("test", test)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    run["data"] = {"train": str(tmp_path / "train.jsonl"), "test": str(tmp_path / "test.jsonl")}
    found = {f.check: f for f in examine(run_config(run), SilentProgress())}
    assert found["order"].level == "warning"
    assert "a guess (sorted), and 4 labelled rows do not confirm it for 'exchange_rate', " in found["order"].message
    assert "order" not in {f.check for f in examine(run_config(run | {"task": {"labels": SORTED}}), SilentProgress())}


def change(folder: Path, to: Path, **values: Any) -> str:
    """Copy a model folder with other values in its configuration."""
    import shutil

    shutil.copytree(folder, to)
    config = json.loads((to / "config.json").read_text(encoding="utf-8"))
    (to / "config.json").write_text(json.dumps(config | values), encoding="utf-8")
    return str(to)


def test_names_that_differ_from_the_teachers_in_case_alone(run: dict[str, Any], unnamed: Path, tmp_path: Path) -> None:
    names = [name.upper() for name in ORDER]
    values = {"id2label": dict(enumerate(names)), "label2id": {name: i for i, name in enumerate(names)}}
    run["teacher"] = {"model": change(unnamed, tmp_path / "named", **values)}
    with pytest.raises(ModelError, match=r"only in case, blanks or Unicode form: 'card_arrival' for 'CARD_ARRIVAL'"):
        limbeck.distill(**run | TOLD)
    with pytest.raises(DataError, match=r"'card_arrival' for 'CARD_ARRIVAL': \d+ rows, the first is .*line \d"):
        limbeck.distill(**run | {"data": run["data"] | {"on_bad_row": "quarantine"}})


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("problem", ["multi_label_classification", "regression"])
def test_teachers_of_another_kind_are_refused_unless_they_are_fine_tuned(
    problem: str, run: dict[str, Any], unnamed: Path, tmp_path: Path
) -> None:
    other = change(unnamed, tmp_path / "other", problem_type=problem)
    run |= {"teacher": {"model": other}, **TOLD}
    with pytest.raises(ModelError, match=r"teacher\.fine_tune"):
        limbeck.distill(**run)
    (fault,) = [f for f in examine(run_config(run), SilentProgress()) if f.level == "fault"]
    assert problem in fault.message or "regression" in fault.message
    with pytest.raises(ModelError, match="pipeline"):
        Predictor(other)
    tuned = run_config(run | {"teacher": {"model": other, "fine_tune": {"max_steps": 2, "batch_size": 8}}})
    assert isinstance(tuned, RunConfig)
    teacher, tokenizer = start_teacher(tuned, ORDER)
    assert teacher.config.problem_type == "single_label_classification"
    student = make_student(tuned, teacher, tokenizer, ORDER, 0)
    assert student.config.problem_type == "single_label_classification"
    # What limbeck has saved so far under such a name learnt one label.
    (Path(other) / "task.json").write_text(json.dumps({"labels": ORDER, "max_length": 8}), encoding="utf-8")
    assert Predictor(other).max_length == 8


def test_students_made_of_another_kind(run: dict[str, Any], unnamed: Path, tmp_path: Path) -> None:
    several = change(unnamed, tmp_path / "several", problem_type="multi_label_classification")
    config = run_config(run | TOLD | {"student": {"model": several}})
    assert isinstance(config, RunConfig)
    student = make_student(config, None, load_tokenizer(several), ORDER, 0)
    assert student.config.problem_type == "single_label_classification"
    one = change(unnamed, tmp_path / "one", id2label={"0": "LABEL_0"}, label2id={"LABEL_0": 0})
    with pytest.raises(ModelError, match=r"student\.model .* gives one number .* Name the encoder"):
        limbeck.distill(**run | TOLD | {"student": {"model": one}})
    with pytest.raises(ModelError, match="gives one number"):
        limbeck.distill(**run | TOLD | {"teacher": {"model": one}})
