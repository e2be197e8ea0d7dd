"""Signals on disk: equal to the live teacher's, joined by row number, resumed after a kill."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.stages.test_callbacks import DAMAGES, flip

from limbeck.teachers import kept_arrays
from limbeck.teachers.local import LocalTeacher
from limbeck.teachers.stored import StoredTeacher, can_store, open_signals, store_signals
from limbeck.types import Batch, Needs, Signal, SilentProgress, Tap

ROWS = 22
FIRST = Tap("first", 1)
NEEDS = Needs(logits=True, teacher_taps=frozenset({FIRST, Tap("first", 2)}))
BATCHES = np.split(np.random.default_rng(1).permutation(ROWS), [4, 8, 12, 16, 20])


class CountingTeacher:
    """Notes which rows it is asked for; stops, as if killed, once it has answered `patience` times."""

    def __init__(self, teacher: LocalTeacher, patience: int = 1000) -> None:
        self._teacher, self._patience = teacher, patience
        self.asked: list[list[int]] = []

    def signal(self, batch: Batch, needs: Needs) -> Signal:
        if len(self.asked) == self._patience:
            raise KeyboardInterrupt
        self.asked.append(batch["rows_B"].tolist())
        return self._teacher.signal(batch, needs)


class Said(SilentProgress):
    def log(self, message: str) -> None:
        print(message)


class Setting:
    def __init__(self, make_classifier: Callable[..., Any], make_task: Callable[..., Any], folder: Path) -> None:
        self.task = make_task(ROWS)
        self.live = LocalTeacher(make_classifier(layers=3, scale=4.0))
        self.folder = folder

    def store(
        self, *, patience: int = 1000, fingerprint: str = "one", needs: Needs = NEEDS
    ) -> tuple[StoredTeacher, list[list[int]]]:
        teacher = CountingTeacher(self.live, patience)
        self.last = teacher
        kept = store_signals(
            teacher,
            needs=needs,
            batches=BATCHES,
            make_batch=self.task.batch,
            folder=self.folder,
            fingerprint=fingerprint,
            progress=Said(),
        )
        return kept, teacher.asked

    def require_equal_to_live(self, kept: StoredTeacher) -> None:
        for rows in ([3, 0, 21], [7], list(range(ROWS)), [5, 5]):
            batch = self.task.batch(rows)
            found, expected = kept.signal(batch, NEEDS), self.live.signal(batch, NEEDS)
            torch.testing.assert_close(found["logits"], expected["logits"], atol=1e-6, rtol=1e-5)
            assert set(found["states"]) == NEEDS.teacher_taps
            for tap, states in expected["states"].items():
                torch.testing.assert_close(found["states"][tap], states, atol=1e-6, rtol=1e-5)


@pytest.fixture
def setting(
    make_classifier: Callable[..., Any],
    make_task: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Setting:
    monkeypatch.setattr(kept_arrays, "_SAVE_EVERY_BATCHES", 2)
    return Setting(make_classifier, make_task, tmp_path / "signals")


def test_stored_signals_equal_those_of_the_live_teacher(setting: Setting) -> None:
    kept, asked = setting.store()
    assert asked == [batch.tolist() for batch in BATCHES]
    assert kept.seconds > 0
    setting.require_equal_to_live(kept)


def test_rows_differ_so_that_a_wrong_join_would_show(setting: Setting) -> None:
    kept, _ = setting.store()
    logits = kept.signal(setting.task.batch(range(ROWS)), Needs(logits=True))["logits"]
    assert torch.cdist(logits, logits).fill_diagonal_(1).min() > 1e-3


def test_only_what_is_asked_for_is_stored_and_given(setting: Setting) -> None:
    kept, _ = setting.store(needs=Needs(logits=True))
    assert sorted(path.name for path in setting.folder.iterdir()) == ["logits.npy", "state.json"]
    assert set(kept.signal(setting.task.batch([1, 2]), Needs(logits=True))) == {"logits"}


def test_stored_signals_can_be_opened_again(setting: Setting) -> None:
    kept, _ = setting.store()
    again = open_signals(setting.folder, NEEDS)
    assert again.seconds == kept.seconds
    setting.require_equal_to_live(again)


def test_log_probs_are_those_of_the_stored_logits(setting: Setting) -> None:
    kept, _ = setting.store()
    rows = np.array([7, 0, 7])
    logits = kept.signal(setting.task.batch(rows), NEEDS)["logits"]
    log_probs = kept.log_probs(rows)
    assert log_probs.dtype == np.float64
    np.testing.assert_allclose(log_probs, torch.log_softmax(logits, dim=-1), atol=1e-6)


def test_finished_signals_are_reused_without_asking(setting: Setting) -> None:
    first, _ = setting.store()
    again, asked = setting.store()
    assert asked == []
    assert again.seconds == first.seconds
    setting.require_equal_to_live(again)


@pytest.mark.parametrize(("patience", "saved"), [(1, 0), (2, 2), (3, 2), (5, 4)])
def test_a_cut_off_pass_goes_on_from_the_last_save(setting: Setting, patience: int, saved: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        setting.store(patience=patience)
    assert len(setting.last.asked) == patience
    kept, asked = setting.store()
    assert asked == [batch.tolist() for batch in BATCHES[saved:]]
    setting.require_equal_to_live(kept)


def test_seconds_add_up_over_restarts(setting: Setting) -> None:
    with pytest.raises(KeyboardInterrupt):
        setting.store(patience=4)
    before = json.loads((setting.folder / "state.json").read_text())["seconds"]
    kept, _ = setting.store()
    assert kept.seconds > before > 0


@pytest.mark.parametrize("patience", [3, 1000])
def test_signals_of_another_fingerprint_are_made_anew(
    setting: Setting, make_classifier: Callable[..., Any], patience: int
) -> None:
    if patience == 1000:
        setting.store()
    else:
        with pytest.raises(KeyboardInterrupt):
            setting.store(patience=patience)
    setting.live = LocalTeacher(make_classifier(layers=3, scale=4.0, seed=9))
    kept, asked = setting.store(fingerprint="two")
    assert len(asked) == len(BATCHES)
    setting.require_equal_to_live(kept)


def test_a_damaged_state_file_starts_anew(setting: Setting) -> None:
    setting.store()
    (setting.folder / "state.json").write_text("{")
    kept, asked = setting.store()
    assert len(asked) == len(BATCHES)
    setting.require_equal_to_live(kept)


@pytest.mark.fast_cases(3)
@pytest.mark.parametrize("patience", [5, 1000])
@pytest.mark.parametrize("damage", [*DAMAGES, "swapped"])
def test_arrays_with_damage_are_computed_again(
    setting: Setting, damage: Any, patience: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where the pass was killed: what was done so far has its checksum, in the order of the batches."""
    if patience == 1000:
        setting.store()
    else:
        with pytest.raises(KeyboardInterrupt):
            setting.store(patience=patience)
    first, second = setting.folder / "first-1.npy", setting.folder / "first-2.npy"
    if damage == "swapped":
        content = first.read_bytes()
        first.write_bytes(second.read_bytes())
        second.write_bytes(content)
    elif damage is flip:  # of a figure that was computed
        array = np.load(first, mmap_mode="r+")
        array[BATCHES[1][0], 3] += 1
        array.flush()
    else:
        damage(first)
    kept, asked = setting.store()
    assert len(asked) == len(BATCHES)
    assert f"{setting.folder} is damaged: first-1.npy" in capsys.readouterr().out
    setting.require_equal_to_live(kept)


def test_signals_of_before_there_were_checksums_are_believed(setting: Setting) -> None:
    with pytest.raises(KeyboardInterrupt):
        setting.store(patience=5)
    for _ in range(2):  # and gone on with
        state = json.loads((setting.folder / "state.json").read_text())
        state = {name: state[name] for name in ("fingerprint", "batches_done", "seconds")}
        (setting.folder / "state.json").write_text(json.dumps(state))
        kept, asked = setting.store()
        assert len(asked) < len(BATCHES)
    setting.require_equal_to_live(kept)


@pytest.mark.parametrize(
    ("needs", "limit_bytes", "fits"),
    [
        (Needs(logits=True), 4 * 100 * 3, True),
        (Needs(logits=True), 4 * 100 * 3 - 1, False),
        (Needs(teacher_taps=NEEDS.teacher_taps), 4 * 100 * 2 * 16, True),
        (Needs(teacher_taps=NEEDS.teacher_taps), 4 * 100 * 2 * 16 - 1, False),
        (Needs(logits=True, teacher_taps=frozenset({FIRST})), 4 * 100 * (3 + 16), True),
        (Needs(logits=True, teacher_taps=frozenset({FIRST})), 4 * 100 * (3 + 16) - 1, False),
        (Needs(logits=True, teacher_taps=frozenset({Tap("hidden", 1)})), 10**12, False),
    ],
)
def test_can_store(needs: Needs, limit_bytes: int, fits: bool) -> None:
    assert can_store(needs, rows=100, classes=3, width=16, limit_bytes=limit_bytes) is fits
