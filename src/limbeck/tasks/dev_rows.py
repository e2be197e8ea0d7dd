"""Development rows of a search or of early stopping that are held out of the training rows."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence

import numpy as np

from limbeck.errors import DataError
from limbeck.tasks.finding import Finding
from limbeck.tasks.run_config import RunSettings

__all__ = ["dev_count", "kept_back", "overlap_warnings", "require_gold", "search_notes"]

_SHARE, _LEAST = 0.1, 20


_WITHOUT = {
    "search": "training.learning_rate in place of search",
    "early_stopping": "leave early_stopping out",
}
"""What to do without development rows, by what reads them."""


def dev_count(labelled: int, spare: int, instead: str, reader: str = "search") -> int:
    """Return the number of held-out development rows: a tenth of the labelled rows, at least 20.

    Args:
        labelled: training rows with a label.
        spare: rows that may be taken.
        instead: what the user may give if there are too few.
        reader: what they are for: ``search`` or ``early_stopping``.

    Raises:
        DataError: it would be more than half.
    """
    count = max(_LEAST, round(_SHARE * labelled))
    if count > min(labelled // 2, spare):
        if not labelled:
            raise DataError(f"{reader}: no training row is labelled. Check the fields of task, or give {instead}")
        raise DataError(
            f"{reader} keeps {count} labelled training rows back as development rows, and there are {labelled}: give "
            f"{instead}, or {_WITHOUT[reader]}"
        )
    return count


def kept_back(groups: Sequence[Hashable], reader: str = "search") -> list[int]:
    """Return the indices of rows that training does not see, always the same; see `dev_count` for their number.

    Args:
        groups: the stratum of each row, such as its class; ``None`` for a row without a label, which is never taken.
            One row of each group is left.
        reader: as in `dev_count`.

    Raises:
        DataError: there are too few.
    """
    of_group: dict[Hashable, list[int]] = {}
    for row in np.random.default_rng(0).permutation(len(groups)).tolist():
        of_group.setdefault(groups[row], []).append(row)
    of_group.pop(None, None)
    spare = [row for rows in of_group.values() for row in rows[1:]]
    count = dev_count(sum(map(len, of_group.values())), len(spare), "data.dev, more labelled rows", reader)
    return sorted(spare[place] for place in np.linspace(0, len(spare), count, endpoint=False, dtype=int))


def require_gold(labelled: Sequence[bool], reader: str = "search") -> None:
    """Refuse development rows without any label.

    Args:
        labelled: whether each of them has a label.
        reader: as in `dev_count`.

    Raises:
        DataError: none has a label.
    """
    if not any(labelled):
        raise DataError(
            f"none of the {len(labelled)} rows of data.dev has a label, so {reader} cannot choose by them. Label "
            "some, or leave data.dev out: then some of the training rows are held out"
        )


def overlap_warnings(config: RunSettings, train: Iterable[Hashable], dev: Iterable[Hashable] | None) -> list[str]:
    """Return a warning if texts of the user's own development rows also occur in the training rows.

    Args:
        config: the run; rows that it keeps back itself are left alone.
        train: the texts of the training rows.
        dev: those of the development rows, if there are any.
    """
    if dev is None or getattr(config.data, "dev", None) is None:
        return []
    known = set(train)
    both = sum(text in known for text in dev)
    if not both:
        return []
    texts = "text of data.dev also occurs" if both == 1 else "texts of data.dev also occur"
    return [
        f"{both} {texts} in the training rows; what is chosen or fitted on development rows then favours what was "
        "learnt by heart. Take them out of one of the two."
    ]


def search_notes(config: RunSettings, rows: int) -> list[Finding]:
    """Return the doctor's notes on a search with `rows` development rows; none without a search."""
    if config.search is None:
        return []
    words = (
        f"every student is trained with {config.search.described}, and the best on {rows} development rows is taken"
    )
    return [Finding("note", "search", f"{words}; learning rates that the run file or a recipe gives are not used")]
