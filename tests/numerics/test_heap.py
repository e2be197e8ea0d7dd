"""The rules of the heap, each by hand, and a bound for any sequence of allocations."""

from __future__ import annotations

import random

import pytest

from limbeck.numerics.heap import Heap

KB, MB = 1000, 1_000_000


def test_a_hole_is_too_small_for_the_next_of_its_size() -> None:
    """Aligned requests ask for 96 bytes more than they take."""
    heap = Heap()
    for name in "ab":
        heap.allocate(name, 100 * KB)
    heap.free("a")
    heap.allocate("same", 100 * KB)
    assert heap.peak_bytes == 300 * KB
    heap.allocate("smaller", 100 * KB - 96)
    assert heap.peak_bytes == 300 * KB
    heap.free("smaller")
    heap.allocate("too large by a byte", 100 * KB - 95)
    assert heap.peak_bytes == 400 * KB - 95


def test_the_best_fit_is_taken_and_split() -> None:
    heap = Heap()
    for name, size in {"large": 90, "x": 1, "small": 40, "y": 1}.items():
        heap.allocate(name, size * KB)
    heap.free("large")
    heap.free("small")
    heap.allocate("a", 39 * KB)  # into the small hole
    heap.allocate("b", 50 * KB)  # into the large one
    heap.allocate("c", 39 * KB)  # into what is left of it
    assert heap.peak_bytes == 132 * KB
    heap.allocate("d", 2 * KB)
    assert heap.peak_bytes == 134 * KB


@pytest.mark.parametrize("order", ["ab", "ba"])
def test_holes_join_unless_small_objects_lie_between(order: str) -> None:
    peaks = []
    for apart in (False, True):
        heap = Heap()
        for name in "abz":
            heap.allocate(name, 60 * KB)
        if apart:
            heap.keep_holes_apart()
        for name in order:
            heap.free(name)
        heap.allocate("both", 110 * KB)
        peaks.append(heap.peak_bytes)
    assert peaks == [180 * KB, 290 * KB]


def test_holes_join_when_the_small_objects_go() -> None:
    heap = Heap()
    for name in "abcz":
        heap.allocate(name, 60 * KB)
    heap.keep_holes_apart()
    for name in "abc":
        heap.free(name)
    heap.join_holes()
    heap.allocate("d", 120 * KB)
    heap.free("z")
    heap.allocate("on to the end", 119 * KB)
    assert heap.peak_bytes == 240 * KB


def test_large_blocks_are_given_back_until_one_has_been_freed() -> None:
    heap = Heap()
    heap.allocate("a", 5 * MB)
    heap.free("a")
    heap.allocate("b", 6 * MB)  # above the threshold, which is 5 MB now: mapped
    heap.free("b")
    heap.allocate("c", 4 * MB)  # in the heap, which does not shrink
    heap.free("c")
    heap.allocate("d", 7 * MB)
    assert heap.peak_bytes == 11 * MB


def test_the_threshold_has_a_limit() -> None:
    heap = Heap()
    for name in "abc":
        heap.allocate(name, 40 * MB)
        heap.free(name)
    heap.allocate("small", 100 * KB)
    assert heap.peak_bytes == 40 * MB


def test_no_block_is_lost_or_overlaps_another() -> None:
    rng = random.Random(0)
    heap = Heap()
    held: list[int] = []
    for i in range(2000):
        if held and rng.random() < 0.5:
            heap.free(held.pop(rng.randrange(len(held))))
        else:
            heap.allocate(i, rng.randrange(1, 300 * KB))
            held.append(i)
        if i % 100 == 0:
            rng.choice([heap.keep_holes_apart, heap.join_holes])()
        placed = sorted([b for b in heap._blocks.values() if b[0] is not None] + list(heap._holes.items()))
        ends = [0, *(start + size for start, size in placed)]
        assert [start for start, _ in placed] == ends[:-1]
        assert ends[-1] == heap._end <= heap._extent
    for key in held:
        heap.free(key)
    heap.join_holes()
    assert (heap._end, heap._holes, heap._mapped) == (0, {}, 0)
