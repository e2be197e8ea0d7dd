"""Reading: in the order asked, from many processes, and never a damaged or missing sample."""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from limbeck.errors import ConfigError, DataError
from limbeck.teachers.store import reader, writer
from limbeck.teachers.store.fingerprint import Fingerprint
from limbeck.teachers.store.reader import TokenStore
from limbeck.types import SparseLogits

Make = Callable[..., Path]
Require = Callable[[SparseLogits, Sequence[int]], None]


def keys(numbers: Sequence[int]) -> list[str]:
    return [f"row-{number}" for number in numbers]


@pytest.fixture
def store(make_store: Make) -> TokenStore:
    """Thirty samples in several shards."""
    return TokenStore.open(make_store(range(30), shard_bytes=700))


def test_samples_come_in_the_order_asked(store: TokenStore, require_samples: Require) -> None:
    assert len(list(store.folder.glob("*.shard"))) > 2
    rng = np.random.default_rng(0)
    for numbers in ([7], [29, 0, 13], [5, 5, 1, 5], rng.permutation(30).tolist()):
        require_samples(store.read(keys(numbers)), numbers)
        assert store.rows(keys(numbers)).tolist() == [1 + number % 5 for number in numbers]
    assert store.read([]).ids_SK.shape == (0, 4)
    assert (len(store), store.positions) == (30, 90)


def test_types_of_what_is_read(store: TokenStore) -> None:
    found = store.read(keys([3]))
    assert (found.ids_SK.dtype, found.log_probs_SK.dtype, found.tail_S.dtype) == (
        torch.int64,
        torch.float32,
        torch.float32,
    )


def test_missing_samples_are_named(store: TokenStore) -> None:
    assert store.missing(["row-3", "row-30", "row-0", "", "row-31"]) == [1, 3, 4]
    assert store.missing([]) == []
    with pytest.raises(
        DataError, match=r"2 of 3 samples are not in the teacher store .*'row-30'.*limbeck store again"
    ):
        store.read(["row-3", "row-30", "row-31"])
    with pytest.raises(DataError, match="1 of 1 samples"):
        store.rows(["row-30"])


def test_a_store_without_samples(make_store: Make) -> None:
    store = TokenStore.open(make_store([]))
    assert (len(store), store.positions, store.missing(keys(range(3)))) == (0, 0, [0, 1, 2])


def test_a_folder_without_a_store(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no teacher store"):
        TokenStore.open(tmp_path)


def test_another_fingerprint_is_refused(store: TokenStore, fingerprint: Fingerprint) -> None:
    store.require(fingerprint)
    with pytest.raises(ConfigError, match=r"another teacher.*another template.*top_k: 4 in the store, 9 wanted"):
        store.require(dataclasses.replace(fingerprint, teacher="x", template="y", top_k=9))


def test_a_shard_of_another_store_is_refused(
    store: TokenStore, fingerprint: Fingerprint, make_sample: Callable[[int], SparseLogits], tmp_path: Path
) -> None:
    with writer.StoreWriter(tmp_path / "other", dataclasses.replace(fingerprint, teacher="x")) as other:
        other.append("row-99", make_sample(99))
    for path in [*(tmp_path / "other").glob("*.index"), *(tmp_path / "other").glob("*.shard")]:
        path.replace(store.folder / path.name)
    with pytest.raises(DataError, match="does not belong to this store"):
        TokenStore.open(store.folder)


def test_a_flipped_byte_is_noticed_and_named(make_store: Make, require_samples: Require) -> None:
    store = TokenStore.open(make_store(range(5)))
    (shard,) = store.folder.glob("*.shard")
    whole = shard.read_bytes()
    ends = np.cumsum(store.rows(keys(range(5)))) * store.fingerprint.row_format.bytes_per_row
    for place in range(0, len(whole), 7):
        shard.write_bytes(whole[:place] + bytes([whole[place] ^ 32]) + whole[place + 1 :])
        hit = int(np.searchsorted(ends, place, side="right"))
        with pytest.raises(DataError) as caught:
            store.read(keys(range(5)))
        told = str(caught.value)
        assert f"{shard} is damaged" in told
        assert f"'row-{hit}'" in told
        assert f"Remove it and {shard.stem}.index, and run limbeck store again" in told
        others = [number for number in range(5) if number != hit]
        require_samples(store.read(keys(others)), others)


def test_samples_that_changed_places_are_noticed(make_store: Make) -> None:
    store = TokenStore.open(make_store([0, 5]))  # one distribution each
    (shard,) = store.folder.glob("*.shard")
    size = store.fingerprint.row_format.bytes_per_row
    shard.write_bytes(shard.read_bytes()[size:] + shard.read_bytes()[:size])
    with pytest.raises(DataError, match="is damaged"):
        store.read(["row-0"])


def test_a_shard_that_was_cut_short(make_store: Make) -> None:
    store = TokenStore.open(make_store(range(5)))
    (shard,) = store.folder.glob("*.shard")
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-1])
    with pytest.raises(DataError, match=f"is damaged: its index lists {len(whole)} bytes, but it has"):
        TokenStore.open(store.folder)
    with pytest.raises(DataError, match="is damaged: the sample with the key 'row-4'"):
        store.read(["row-0", "row-4"])
    shard.unlink()
    with pytest.raises(DataError, match=r"is damaged: No such file.*limbeck store again"):
        TokenStore.open(store.folder)


def test_after_a_damaged_shard_is_removed_the_rest_is_there(make_store: Make, require_samples: Require) -> None:
    folder = make_store(range(30), shard_bytes=700)
    damaged = sorted(folder.glob("*.shard"))[1]
    damaged.unlink()
    damaged.with_suffix(".index").unlink()
    gone = TokenStore.open(folder).missing(keys(range(30)))
    assert 0 < len(gone) < 30
    make_store(gone)
    require_samples(TokenStore.open(folder).read(keys(range(30))), range(30))


def test_a_pickled_store_and_many_threads_read_the_same(store: TokenStore, require_samples: Require) -> None:
    again = pickle.loads(pickle.dumps(store))
    orders = [np.random.default_rng(seed).permutation(30).tolist() for seed in range(20)]
    with ThreadPoolExecutor(4) as pool:
        for order, found in zip(orders, pool.map(lambda order: again.read(keys(order)), orders), strict=True):
            require_samples(found, order)


def test_keys_that_share_half_of_their_hash(
    make_store: Make, require_samples: Require, monkeypatch: pytest.MonkeyPatch
) -> None:
    def coarse(names: Iterable[str]) -> NDArray[np.uint64]:
        numbers = [int(name.removeprefix("row-")) for name in names]
        return np.array([[number % 3, number] for number in numbers], dtype=np.uint64).reshape(-1, 2)

    monkeypatch.setattr(reader, "key_digests", coarse)
    monkeypatch.setattr(writer, "key_digests", coarse)
    store = TokenStore.open(make_store(range(0, 30, 2)))
    assert store.missing(keys(range(32))) == [*range(1, 30, 2), 30, 31]
    require_samples(store.read(keys(range(0, 30, 2))), range(0, 30, 2))
