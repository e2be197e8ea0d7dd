"""A folder holds one run; how an API is asked is no part of it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from limbeck.errors import RunFolderError, StorageError
from limbeck.runs.config import run_config
from limbeck.runs.folder import hold, refusal_of
from limbeck.runs.folder import record_run as record
from limbeck.tasks.record import RUN_FILE
from limbeck.types import SilentProgress


def asked(output: Path, **api: Any) -> Any:
    endpoint = {"base_url": "http://127.0.0.1:9/v1", "model": "large", **api}
    return run_config(
        {
            "task": {"labels": ["yes", "no"]},
            "data": {"train": "rows.jsonl"},
            "teacher": {"api": endpoint, "prompt": {}},
            "student": {"model": "small"},
            "recipe": {"name": "anon"},
            "output": str(output),
        }
    )


def record_run(folder: Path, config: Any, fingerprints: dict[str, str]) -> None:
    record(folder, config, fingerprints, SilentProgress())


def learn(folder: Path) -> None:
    """Leave what a teacher that answered leaves."""
    (folder / "teacher_labels" / "train").mkdir(parents=True)
    (folder / "teacher_labels" / "train" / "labels.json").touch()


PRICES = {"input_usd": 2.5, "output_usd": 10}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"prices": PRICES, "budget_usd": 1}, {"prices": PRICES, "budget_usd": 5}),
        ({}, {"prices": PRICES, "budget_usd": 5}),
        ({"prices": PRICES}, {"prices": PRICES | {"input_usd": 3}}),
        ({}, {"base_url": "http://127.0.0.1:10/v1", "key_env": "ANOTHER_KEY"}),
        ({}, {"concurrency": 2, "requests_per_minute": 60, "tries": 2, "timeout_s": 5}),
    ],
)
def test_a_run_goes_on_when_its_api_is_asked_otherwise(
    tmp_path: Path, before: dict[str, Any], after: dict[str, Any]
) -> None:
    record_run(tmp_path, asked(tmp_path, **before), {"train": "a"})
    provenance = yaml.safe_load((tmp_path / RUN_FILE).read_text(encoding="utf-8"))["provenance"]
    record_run(tmp_path, asked(tmp_path, **after), {"train": "a"})
    written = yaml.safe_load((tmp_path / RUN_FILE).read_text(encoding="utf-8"))
    assert written.pop("provenance") == provenance
    assert run_config(written) == asked(tmp_path, **after)


def test_what_changes_the_answers_is_another_run(tmp_path: Path) -> None:
    record_run(tmp_path, asked(tmp_path), {"train": "a"})
    learn(tmp_path)
    with pytest.raises(RunFolderError, match=r"holds another run: teacher\.api\.model was large, is larger"):
        record_run(tmp_path, asked(tmp_path, model="larger"), {"train": "a"})
    with pytest.raises(RunFolderError, match=r"teacher\.api\.log_probs was 0, is 5\. Set it back"):
        record_run(tmp_path, asked(tmp_path, log_probs=5, budget_tokens=9), {"train": "a"})
    with pytest.raises(RunFolderError, match="the train rows have changed"):
        record_run(tmp_path, asked(tmp_path), {"train": "b"})


def test_a_setting_that_is_newer_than_the_folder_counts_as_its_default(tmp_path: Path) -> None:
    record_run(tmp_path, asked(tmp_path), {"train": "a"})
    learn(tmp_path)
    path = tmp_path / RUN_FILE
    whole = path.read_text(encoding="utf-8")
    older = yaml.safe_load(whole)
    del older["recipe"]["unsure_weight"], older["baselines"], older["data"]["test_size"]
    path.write_text(yaml.safe_dump(older), encoding="utf-8")
    other = asked(tmp_path)
    other = other.model_copy(update={"data": other.data.model_copy(update={"test_size": 0.2})})
    with pytest.raises(RunFolderError, match=r"another run: data\.test_size was 0\.1, is 0\.2\. Set"):
        record_run(tmp_path, other, {"train": "a"})
    record_run(tmp_path, asked(tmp_path), {"train": "a"})
    assert yaml.safe_load(path.read_text(encoding="utf-8")) == yaml.safe_load(whole)


def test_a_setting_that_there_is_no_more_is_another_run(tmp_path: Path) -> None:
    record_run(tmp_path, asked(tmp_path), {"train": "a"})
    learn(tmp_path)
    older = yaml.safe_load((tmp_path / RUN_FILE).read_text(encoding="utf-8"))
    older["teacher"]["forgotten"] = 3
    (tmp_path / RUN_FILE).write_text(yaml.safe_dump(older), encoding="utf-8")
    with pytest.raises(RunFolderError, match=r"another run: teacher\.forgotten was 3, is not set\. Set"):
        record_run(tmp_path, asked(tmp_path), {"train": "a"})


class Said(SilentProgress):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def log(self, message: str) -> None:
        self.lines.append(message)


def test_a_folder_that_has_learnt_nothing_takes_another_run(tmp_path: Path) -> None:
    said = Said()
    record(tmp_path, asked(tmp_path), {"train": "a"}, said)
    with hold(tmp_path):
        for file in ("journal.sqlite", "journal.sqlite-wal", "journal.sqlite.lock", "quarantine-train.jsonl"):
            (tmp_path / file).write_text("kept")
        (tmp_path / "teacher_labels").mkdir()
        assert said.lines == []
        record(tmp_path, asked(tmp_path, model="larger"), {"train": "b"}, said)
    (line,) = said.lines
    assert "has learnt nothing yet: teacher.api.model was large, is larger; the train rows have changed. It" in line
    assert "answers in its journal are kept" in line
    assert (tmp_path / "journal.sqlite").read_text() == "kept"
    written = yaml.safe_load((tmp_path / RUN_FILE).read_text(encoding="utf-8"))
    assert written["teacher"]["api"]["model"] == "larger"
    assert written["provenance"]["data_sha256"] == {"train": "b"}
    record(tmp_path, asked(tmp_path, model="larger"), {"train": "b"}, said)
    assert len(said.lines) == 1


@pytest.mark.parametrize(
    "learnt",
    ["teacher_labels/train/labels.json", "stages/01-teacher-fine_tune-seed0/checkpoints/1/limbeck.json",
     "predictions/teacher-seed0.npy", "signals/logits.npy", "results.json", "somewhere/run.yaml"],
)  # fmt: skip
def test_a_folder_that_has_learnt_anything_is_its_runs_alone(tmp_path: Path, learnt: str) -> None:
    record_run(tmp_path, asked(tmp_path), {"train": "a"})
    (tmp_path / learnt).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / learnt).touch()
    with pytest.raises(RunFolderError, match="holds another run"):
        record_run(tmp_path, asked(tmp_path, model="larger"), {"train": "a"})


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xfe", b"provenance: \x00", b"- 1", b"provenance: 1", b"provenance: {data_sha256: 3}", b"a: [",
     b"a: &a [*a]", b"provenance: 2020-13-45", b"\x80" * 100],
)  # fmt: skip
def test_a_record_that_is_none(content: bytes, tmp_path: Path) -> None:
    (tmp_path / RUN_FILE).write_bytes(content)
    learn(tmp_path)
    with pytest.raises(RunFolderError, match=r"run\.yaml is not a run record"):
        record_run(tmp_path, asked(tmp_path), {"train": "a"})


@pytest.mark.parametrize("split", ["train", "test"])
def test_rows_of_any_split_that_have_changed_are_another_run(split: str, tmp_path: Path) -> None:
    record_run(tmp_path, asked(tmp_path), {"train": "a", "test": "a"})
    learn(tmp_path)
    with pytest.raises(RunFolderError, match=f"holds another run: the {split} rows have changed. Set it back"):
        record_run(tmp_path, asked(tmp_path), {"train": "a", "test": "a"} | {split: "b"})
    with pytest.raises(RunFolderError, match="the more rows have changed"):
        record_run(tmp_path, asked(tmp_path), {"train": "a", "test": "a", "more": "a"})


@pytest.mark.parametrize("make", ["file", "below a file", "device", "long", "link", "loop"])
def test_what_is_no_folder_is_said_before_anything_is_made(make: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nothing")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    place, words = {
        "file": (tmp_path / "file", "file is not a folder"),
        "below a file": (tmp_path / "file" / "x" / "y", "file is not a folder"),
        "device": (Path("/dev/null"), "/dev/null is not a folder"),
        "long": (tmp_path / ("x" * 300) / "y", "cannot be a folder: File name too long"),
        "link": (tmp_path / "link", "link is a broken link"),
        "loop": (tmp_path / "loop", "cannot be a folder: Too many levels of symbolic links"),
    }[make]
    before = sorted(tmp_path.iterdir())
    for fingerprints in (None, {"train": "a"}):
        refusal = refusal_of(asked(place), fingerprints)
        assert refusal is not None
        assert words in refusal
        assert refusal.endswith(". Choose another output")
    assert sorted(tmp_path.iterdir()) == before
    assert refusal_of(asked(tmp_path / "new" / "folder"), {"train": "a"}) is None


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    assert "is not writable" in str(refusal_of(asked(tmp_path / "closed" / "new"), None))


def test_what_a_folder_holds_is_said_as_the_run_would(tmp_path: Path) -> None:
    record_run(tmp_path, asked(tmp_path), {"train": "a"})
    other = asked(tmp_path, model="larger")
    assert refusal_of(other, {"train": "a"}) is None
    learn(tmp_path)
    written = (tmp_path / RUN_FILE).read_bytes()
    for config, rows in ((other, "a"), (asked(tmp_path), "b")):
        with pytest.raises(RunFolderError) as caught:
            record_run(tmp_path, config, {"train": rows})
        assert refusal_of(config, {"train": rows}) == str(caught.value)
        assert refusal_of(config, None) is None
    assert refusal_of(asked(tmp_path, budget_tokens=9), {"train": "a"}) is None
    assert (tmp_path / RUN_FILE).read_bytes() == written
    (tmp_path / RUN_FILE).write_text("[")
    assert "is not a run record" in str(refusal_of(other, {"train": "a"}))


def test_a_folder_that_cannot_be_written_is_refused() -> None:
    """Not even by root, as this one."""
    with pytest.raises(StorageError, match="/proc/self could not be written"), hold(Path("/proc/self")):
        raise AssertionError


def test_a_folder_that_was_moved_or_deleted_while_it_was_worked_in_is_said(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(StorageError, match="was moved or deleted while the run worked in it"), hold(run):  # noqa: PT012
        run.rename(tmp_path / "moved")
        (run / "log.jsonl").read_text()
    with pytest.raises(StorageError, match="was moved or deleted"), hold(run):  # noqa: PT012
        shutil.rmtree(run)
        raise RuntimeError("Parent directory does not exist")


def test_a_file_that_was_replaced_while_the_run_worked_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"log\.jsonl.*Was it changed while the run worked"), hold(tmp_path):  # noqa: PT012
        (tmp_path / "log.jsonl").mkdir()
        (tmp_path / "log.jsonl").read_text()
    with pytest.raises(FileNotFoundError), hold(tmp_path):
        Path("/nowhere/else").read_text()
