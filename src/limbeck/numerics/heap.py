"""How much memory a C library holds to serve a sequence of allocations: the rules of glibc's malloc, in short.

A process on a CPU holds more than its tensors, because memory that was freed is not all of use to what comes next:

- A tensor is aligned to 64 bytes. malloc asks for that much more than the tensor takes, and gives the rest back. So
  the hole that one tensor leaves is too small for the next of the very same size, unless it joins another hole.
- Holes beside each other join only if nothing lies between. In a forward pass small objects do: the records that
  the backward pass will read are put there as the tensors come. They go with the backward pass.
- Blocks from a threshold on are mapped by themselves and given back at once. But the first that is freed raises the
  threshold to its size, up to 32 MiB, and from then on its like comes from the heap.
- The heap shrinks only from its end, and something small mostly lies there: it does not.
"""

from __future__ import annotations

__all__ = ["Heap"]

_ALIGNMENT_BYTES = 64 + 32
"""What a request needs beyond the block it gets: the alignment, and the smallest piece that can be given back."""
_MAP_THRESHOLD, _MAP_THRESHOLD_LIMIT = 128 * 1024, 32 * 1024 * 1024


class Heap:
    """A heap that serves the best fit and never shrinks, and the mapped blocks beside it.

    >>> heap = Heap()
    >>> heap.allocate("a", 100_000), heap.free("a"), heap.allocate("b", 50_000), heap.allocate("c", 50_000)
    (None, None, None, None)
    >>> heap.peak_bytes
    100000
    """

    def __init__(self) -> None:
        self.peak_bytes = 0
        """The most that was held so far: the heap, holes included, and the mapped blocks."""
        self._joins = True
        self._end = 0
        self._extent = 0
        self._mapped = 0
        self._threshold = _MAP_THRESHOLD
        self._blocks: dict[object, tuple[int | None, int]] = {}
        """Place, ``None`` of a mapped one, and size of each block."""
        self._holes: dict[int, int] = {}
        """Size of each hole by its place."""

    def allocate(self, key: object, size: int) -> None:
        """Find a place for a block."""
        fitting = [(hole, start) for start, hole in self._holes.items() if hole >= size + _ALIGNMENT_BYTES]
        if fitting:
            hole, start = min(fitting)
            del self._holes[start]
            self._holes[start + size] = hole - size
            self._blocks[key] = (start, size)
        elif size >= self._threshold and self._end + size > self._extent:
            self._blocks[key] = (None, size)
            self._mapped += size
        else:
            self._blocks[key] = (self._end, size)
            self._end += size
            self._extent = max(self._extent, self._end)
        self.peak_bytes = max(self.peak_bytes, self._extent + self._mapped)

    def free(self, key: object) -> None:
        """Free a block."""
        start, size = self._blocks.pop(key)
        if start is None:
            self._mapped -= size
            if size <= _MAP_THRESHOLD_LIMIT:
                self._threshold = max(self._threshold, size)
        elif self._joins:
            self._join(start, size)
        else:
            self._holes[start] = size

    def keep_holes_apart(self) -> None:
        """Small objects come to lie between the blocks: holes do not join from now on."""
        self._joins = False

    def join_holes(self) -> None:
        """The small objects are gone: holes beside each other are one, now and from now on."""
        self._joins = True
        holes, self._holes = self._holes, {}
        for start, size in sorted(holes.items()):
            self._join(start, size)

    def _join(self, start: int, size: int) -> None:
        size += self._holes.pop(start + size, 0)
        before = next((place for place, hole in self._holes.items() if place + hole == start), None)
        if before is not None:
            size += self._holes.pop(before)
            start = before
        if start + size == self._end:
            self._end = start
        else:
            self._holes[start] = size
