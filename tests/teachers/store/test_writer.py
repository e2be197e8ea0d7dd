"""Writing survives kills and full disks: what was acknowledged is there, and nothing else is served."""

from __future__ import annotations

import dataclasses
import errno
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from io import FileIO
from pathlib import Path

import pytest
import torch

from limbeck.errors import ConfigError, DataError, StorageError
from limbeck.teachers.store import writer as writing
from limbeck.teachers.store.fingerprint import STORE_FILE, Fingerprint
from limbeck.teachers.store.reader import TokenStore
from limbeck.teachers.store.writer import StoreWriter
from limbeck.types import SparseLogits

Sample = Callable[[int], SparseLogits]
Require = Callable[[SparseLogits, Sequence[int]], None]


def keys(numbers: Sequence[int]) -> list[str]:
    return [f"row-{number}" for number in numbers]


def sizes(folder: Path) -> list[int]:
    return sorted(path.stat().st_size for path in folder.glob("*.shard"))


@pytest.fixture
def writer(tmp_path: Path, fingerprint: Fingerprint) -> Iterator[StoreWriter]:
    with StoreWriter(tmp_path / "store", fingerprint) as opened:
        yield opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "store"


def test_samples_are_there_once_synced(
    writer: StoreWriter, folder: Path, make_sample: Sample, require_samples: Require
) -> None:
    for number in range(6):
        writer.append(f"row-{number}", make_sample(number))
    assert len(TokenStore.open(folder)) == 0
    writer.sync()
    require_samples(TokenStore.open(folder).read(keys(range(6))), range(6))
    writer.append("row-6", make_sample(6))
    assert len(TokenStore.open(folder)) == 6
    writer.close()
    require_samples(TokenStore.open(folder).read(keys(range(7))), range(7))
    assert len(sizes(folder)) == 1


def test_much_is_synced_unasked(
    writer: StoreWriter, folder: Path, make_sample: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "_SYNC_BYTES", 400)
    for number in range(100):
        writer.append(f"row-{number}", make_sample(number))
    assert len(TokenStore.open(folder)) > 90


def test_samples_added_together_reach_the_disk_together(
    writer: StoreWriter, folder: Path, make_sample: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one block of the index, which counts whole or not at all; and a bad one keeps the others out."""
    monkeypatch.setattr(writing, "_SYNC_BYTES", 1)
    original, blocks = writing._write_at, []

    def record(file: FileIO, place: int, content: bytes) -> None:
        blocks.append(Path(str(file.name)).suffix)
        original(file, place, content)

    monkeypatch.setattr(writing, "_write_at", record)
    writer.extend([(f"row-{number}", make_sample(number)) for number in range(5)])
    assert blocks == [".shard", ".index"]
    assert TokenStore.open(folder).missing(keys(range(5))) == []
    bad = dataclasses.replace(make_sample(6), temperature=2.0)
    with pytest.raises(ConfigError, match=r"these are over 50 at 2\.0"):
        writer.extend([("row-5", make_sample(5)), ("row-6", bad)])
    writer.close()
    assert TokenStore.open(folder).missing(keys(range(7))) == [5, 6]


def test_a_shard_ends_at_its_size(
    folder: Path, fingerprint: Fingerprint, make_sample: Sample, require_samples: Require
) -> None:
    with StoreWriter(folder, fingerprint, shard_bytes=1000) as writer:
        for number in range(100):
            writer.append(f"row-{number}", make_sample(number))
            writer.sync()
    total = sum(make_sample(number).rows for number in range(100)) * fingerprint.row_format.bytes_per_row
    assert sum(sizes(folder)) == total
    assert max(sizes(folder)) <= 1000
    assert len(sizes(folder)) <= total / 800 + 1
    require_samples(TokenStore.open(folder).read(keys(range(100))), range(100))


def test_a_sample_larger_than_a_shard(folder: Path, fingerprint: Fingerprint, make_sample: Sample) -> None:
    with StoreWriter(folder, fingerprint, shard_bytes=1) as writer:
        for number in range(5):
            writer.append(f"row-{number}", make_sample(number))
    assert len(sizes(folder)) == 5
    assert TokenStore.open(folder).rows(keys(range(5))).tolist() == [1, 2, 3, 4, 5]


def test_a_sample_without_supervised_positions(writer: StoreWriter, folder: Path, make_sample: Sample) -> None:
    whole = make_sample(0)
    nothing = SparseLogits(whole.ids_SK[:0], whole.log_probs_SK[:0], whole.tail_S[:0], whole.vocabulary)
    writer.append("empty", nothing)
    writer.append("row-0", whole)
    writer.sync()
    store = TokenStore.open(folder)
    assert store.missing(["empty", "row-0"]) == []
    assert store.rows(["empty"]).tolist() == [0]
    assert store.read(["empty"]).ids_SK.shape == (0, 4)
    assert store.read(["empty", "row-0", "empty"]).rows == whole.rows


def test_two_writers_and_a_reader_in_one_folder(
    folder: Path, fingerprint: Fingerprint, make_sample: Sample, require_samples: Require
) -> None:
    with StoreWriter(folder, fingerprint, shard_bytes=800) as a, StoreWriter(folder, fingerprint) as b:
        for number in range(0, 40, 2):
            a.append(f"row-{number}", make_sample(number))
            b.append(f"row-{number + 1}", make_sample(number + 1))
            b.append(f"row-{number}", make_sample(number))
            a.sync()
            require_samples(TokenStore.open(folder).read(keys(range(0, number + 1, 2))), range(0, number + 1, 2))
            assert TokenStore.open(folder).missing([f"row-{number + 1}"]) == [0]
    store = TokenStore.open(folder)
    require_samples(store.read(keys(range(40))), range(40))
    assert len(store) == 60


def test_a_store_of_another_fingerprint_is_not_written_to(
    writer: StoreWriter, folder: Path, fingerprint: Fingerprint, make_sample: Sample
) -> None:
    writer.append("row-0", make_sample(0))
    writer.close()
    before = sorted(folder.iterdir())
    with pytest.raises(ConfigError, match="another teacher: weights in the store, other wanted"):
        StoreWriter(folder, dataclasses.replace(fingerprint, teacher="other"))
    assert sorted(folder.iterdir()) == before


def test_an_impossible_k_makes_no_folder(folder: Path, fingerprint: Fingerprint) -> None:
    with pytest.raises(ConfigError, match="top_k is 0"):
        StoreWriter(folder, dataclasses.replace(fingerprint, top_k=0))
    assert not folder.exists()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"vocabulary": 51}, ConfigError, "keeps distributions over 50 tokens at temperature 1.0; these are over 51"),
        ({"temperature": 2.0}, ConfigError, "these are over 50 at 2.0"),
        ({"log_probs_SK": torch.full((1, 4), torch.nan)}, DataError, "position 0 .* sum to nan"),
        ({"ids_SK": torch.zeros(1, 4, dtype=torch.int64)}, DataError, "same token id twice"),
    ],
    ids=["vocabulary", "temperature", "not finite", "id twice"],
)
def test_what_does_not_belong_is_refused_and_leaves_no_trace(
    writer: StoreWriter,
    folder: Path,
    make_sample: Sample,
    change: dict[str, object],
    error: type[Exception],
    message: str,
) -> None:
    with pytest.raises(error, match=message):
        writer.append("bad", dataclasses.replace(make_sample(0), **change))  # type: ignore[arg-type]
    writer.append("row-1", make_sample(1))
    writer.close()
    assert TokenStore.open(folder).missing(["bad", "row-1"]) == [0]


def test_the_shard_is_on_disk_before_its_index_speaks_of_it(
    writer: StoreWriter, make_sample: Sample, fsync: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    original = writing._write_at
    written: list[str] = []

    def record(file: FileIO, place: int, content: bytes) -> None:
        fsync.clear()
        original(file, place, content)
        assert fsync == [file.fileno()]
        written.append(Path(str(file.name)).suffix)

    monkeypatch.setattr(writing, "_write_at", record)
    writer.append("row-0", make_sample(0))
    writer.sync()
    assert written == [".shard", ".index"]


class Crash:
    """Records every write, so that the folder can be put back to any byte of its history."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.writes: list[tuple[str, int, bytes]] = []
        original = writing._write_at

        def record(file: FileIO, place: int, content: bytes) -> None:
            self.writes.append((Path(str(file.name)).name, place, content))
            original(file, place, content)

        monkeypatch.setattr(writing, "_write_at", record)

    @property
    def bytes(self) -> int:
        return sum(len(content) for _, _, content in self.writes)

    def restore(self, folder: Path, after: int) -> None:
        """Make the folder as it was when so many bytes had been written."""
        for path in folder.glob("*"):
            path.unlink()
        (folder / STORE_FILE).write_text((folder.parent / "store" / STORE_FILE).read_text())
        for name, place, content in self.writes:
            part = content[:after]
            with (folder / name).open("r+b" if (folder / name).exists() else "w+b") as file:
                file.seek(place)
                file.write(part)
            (folder / name).with_suffix(".index").touch()
            after -= len(part)
            if after == 0:
                return


def test_a_crash_at_any_byte_loses_nothing_and_serves_nothing_else(
    writer: StoreWriter,
    tmp_path: Path,
    fingerprint: Fingerprint,
    make_sample: Sample,
    require_samples: Require,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    crash = Crash(monkeypatch)
    acknowledged = {0: 0}
    for number in range(5):
        writer.append(f"row-{number}", make_sample(number))
        if number in (0, 2, 4):
            writer.sync()
            acknowledged[crash.bytes] = number + 1
    restored = tmp_path / "restored"
    restored.mkdir()
    for after in range(0, crash.bytes + 1, 5):
        crash.restore(restored, after)
        store = TokenStore.open(restored)
        there = [number for number in range(5) if number not in store.missing(keys(range(5)))]
        assert there == list(range(max(samples for end, samples in acknowledged.items() if end <= after))), after
        require_samples(store.read(keys(there)), there)
        if after % 60 == 0:
            with StoreWriter(restored, fingerprint) as again:
                for number in range(len(there), 5):
                    again.append(f"row-{number}", make_sample(number))
            require_samples(TokenStore.open(restored).read(keys(range(5))), range(5))


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_kill_9_at_random_moments(tmp_path: Path, folder: Path, require_samples: Require) -> None:
    acknowledged = tmp_path / "acknowledged"
    acknowledged.touch()
    command = [sys.executable, str(Path(__file__).with_name("write_until_killed.py")), str(folder), str(acknowledged)]
    rng = random.Random(0)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdin
        assert parent.stdout
        for _ in range(20):
            enough, deadline = acknowledged.stat().st_size + rng.randrange(60), time.monotonic() + 30
            parent.stdin.write("\n")
            parent.stdin.flush()
            child = int(parent.stdout.readline())
            while acknowledged.stat().st_size <= enough and time.monotonic() < deadline:
                time.sleep(0.001)
            time.sleep(rng.uniform(0, 0.004))
            os.kill(child, signal.SIGKILL)
            assert parent.stdout.readline() == "ended\n"
            numbers = [int(line) for line in acknowledged.read_text().split("\n")[:-1]]
            assert len(set(numbers)) == len(numbers), "a sample that was there was written again"
            require_samples(TokenStore.open(folder).read(keys(numbers)), numbers)
        parent.stdin.close()
    assert len(numbers) > 60


def test_a_full_disk_loses_nothing(
    writer: StoreWriter, folder: Path, make_sample: Sample, require_samples: Require, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer.append("row-0", make_sample(0))
    writer.sync()
    original, calls = writing._write_at, []

    def full(file: FileIO, place: int, content: bytes) -> None:
        calls.append(file.name)
        if len(calls) % 2 == 0:  # the shard's bytes fit, the index's do not
            original(file, place, content[: len(content) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        original(file, place, content)

    writer.append("row-1", make_sample(1))
    with monkeypatch.context() as patch:
        patch.setattr(writing, "_write_at", full)
        for number in (2, 3):
            with pytest.raises(StorageError, match=r"\.shard could not be written.*No space left.*Free some space"):
                writer.sync()
            require_samples(TokenStore.open(folder).read(["row-0"]), [0])
            assert TokenStore.open(folder).missing(keys(range(4))) == [1, 2, 3]
            writer.append(f"row-{number}", make_sample(number))
    writer.sync()
    require_samples(TokenStore.open(folder).read(keys(range(4))), range(4))
    assert len(sizes(folder)) == 1


def test_a_refusal_by_the_operating_system(
    writer: StoreWriter, folder: Path, make_sample: Sample, require_samples: Require
) -> None:
    resource = pytest.importorskip("resource")
    writer.append("row-0", make_sample(0))
    writer.sync()
    (before,) = sizes(folder)
    four = make_sample(3)
    long = SparseLogits(four.ids_SK.repeat(50, 1), four.log_probs_SK.repeat(50, 1), four.tail_S.repeat(50), 50)
    writer.append("long", long)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # The operating system takes a part of the shard's bytes, and would take all of the index's.
    resource.setrlimit(resource.RLIMIT_FSIZE, (before + 1000, hard))
    try:
        with pytest.raises(StorageError, match=r"could not be written: .*File too large"):
            writer.sync()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert sizes(folder) == [before + 1000]
    assert TokenStore.open(folder).missing(["row-0", "long"]) == [1]
    writer.close()
    store = TokenStore.open(folder)
    require_samples(store.read(["row-0"]), [0])
    assert torch.equal(store.read(["long"]).tail_S, long.tail_S)


def test_what_was_appended_before_an_exception_is_kept(
    folder: Path, fingerprint: Fingerprint, make_sample: Sample
) -> None:
    def fail_halfway() -> None:
        with StoreWriter(folder, fingerprint) as writer:
            writer.append("row-0", make_sample(0))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail_halfway()
    assert TokenStore.open(folder).missing(keys(range(2))) == [1]
