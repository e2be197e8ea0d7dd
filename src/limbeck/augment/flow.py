"""``limbeck augment`` from rows to rows."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from limbeck.atomic import replace_file, try_output
from limbeck.augment.rows import read_rows, require_other_file
from limbeck.augment.variants import Word, replaceable_words, variants
from limbeck.data.records import Fields
from limbeck.errors import ConfigError
from limbeck.evaluation.predict import length_sorted_batches
from limbeck.models.load import weights_fingerprint
from limbeck.models.masked_words import ReadTwice, WordFiller, load_word_filler
from limbeck.teachers.kept_arrays import keep_arrays
from limbeck.types import Progress

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Augmentation", "Augmented", "augment"]

_BATCH_WORDS = 64


@dataclass(frozen=True)
class Augmentation:
    """How rows are altered. Defaults are those of TinyBERT's released code."""

    copies: int = 30
    """Copies tried for each text; equal ones are dropped. The paper has 10 for MNLI and QQP, 20 for SST-2, QNLI."""
    candidates: int = 15
    """Likeliest tokens at a word, before continuations are dropped."""
    probability: float = 0.4
    """With which each word is replaced."""
    seed: int = 0
    keep_labels: bool = False
    """Whether altered rows keep their row's label."""

    def __post_init__(self) -> None:
        if self.copies < 1 or self.candidates < 1:
            raise ConfigError(f"--copies and --candidates must be at least 1, not {self.copies} and {self.candidates}")
        if not 0 < self.probability <= 1:
            raise ConfigError(f"--probability must be above 0 and at most 1, not {self.probability}")


class Augmented(NamedTuple):
    """What was written."""

    rows: int
    copies: int
    words: int
    """Words with candidates, in all texts."""


class _Text(NamedTuple):
    row: int
    field: str
    text: str


def augment(
    rows: str, model: str, output: Path, fields: Fields, settings: Augmentation, progress: Progress
) -> Augmented:
    """Write every row, and after it copies with words of its texts replaced, as JSON Lines.

    Only single pieces of the model's vocabulary are replaced (`replaceable_words`). The two texts of a pair are
    altered one at a time. Candidates are kept beside the output until it is complete, so that an interrupted command
    continues. The same rows, model and settings give the same output.

    Args:
        rows: a JSON Lines file.
        model: folder or hub name of a masked language model.
        output: the file to write.
        fields: the names of text, second text and label.
        settings: how rows are altered.
        progress: shows the progress.

    Raises:
        ConfigError: the output is the input.
        DataError: a row cannot be read or has no text.
        ModelError: the model cannot fill gaps.
    """
    found = read_rows(rows, fields)
    require_other_file(rows, output)
    try_output(output)
    filler = load_word_filler(model)
    texts = [
        _Text(number, field, str(row[field]))
        for number, row in enumerate(found)
        for field in (fields.text, fields.text_pair)
        if field is not None
    ]
    kept = output.with_name(f"{output.name}.candidates")
    candidates = _candidates(filler, texts, settings.candidates, kept, progress)
    written = 0
    with replace_file(output) as stream:
        for line in _lines(found, texts, candidates, fields, settings):
            stream.write(json.dumps(line, ensure_ascii=False) + "\n")
            written += 1
    shutil.rmtree(kept, ignore_errors=True)
    return Augmented(len(found), written - len(found), sum(map(len, candidates)))


def _candidates(
    filler: WordFiller, texts: list[_Text], count: int, folder: Path, progress: Progress
) -> list[dict[Word, list[str]]]:
    """Return the candidates for the words of each text that are single pieces."""
    read = [filler.read(one.text) for one in texts]
    masked = [
        (number, word, place)
        for number, (one, twice) in enumerate(zip(texts, read, strict=True))
        for word in replaceable_words(one.text, lowers=filler.lowers)
        if (place := twice.place_of(word.start, word.end)) is not None
    ]
    found: list[dict[Word, list[str]]] = [{} for _ in texts]
    if not masked:
        return found
    ids = _kept_ids(filler, read, [(number, place) for number, _, place in masked], count, folder, progress)
    for (number, word, _), row in zip(masked, ids, strict=True):
        if words := filler.words(row):
            found[number][word] = words
    return found


def _kept_ids(
    filler: WordFiller,
    read: list[ReadTwice],
    places: list[tuple[int, int]],
    count: int,
    folder: Path,
    progress: Progress,
) -> NDArray[np.int64]:
    """Return the ids ``[W, count]`` of the likeliest tokens at each place; those in the folder stay."""
    import hashlib

    lengths = np.array([len(read[number].inputs["input_ids"]) for number, _ in places])
    batches = list(length_sorted_batches(lengths, _BATCH_WORDS))
    count = min(count, len(filler.tokenizer))

    def compute(number: int) -> dict[str, NDArray[np.float32]]:
        picked = [places[n] for n in batches[number]]
        ids = filler.likeliest([read[text] for text, _ in picked], [place for _, place in picked], count)
        return {"ids": ids.astype(np.float32)}  # exact: vocabularies are smaller than 2^24

    told = json.dumps([[one.inputs["input_ids"] for one in read], places, count])
    fingerprint = f"{weights_fingerprint(filler.model)} {hashlib.sha256(told.encode()).hexdigest()}"
    keep_arrays(compute, batches, folder=folder, fingerprint=fingerprint, title="candidates", progress=progress)
    ids: NDArray[np.int64] = np.load(folder / "ids.npy").astype(np.int64)
    return ids


def _lines(
    rows: list[dict[str, Any]],
    texts: list[_Text],
    candidates: list[dict[Word, list[str]]],
    fields: Fields,
    settings: Augmentation,
) -> Iterator[dict[str, Any]]:
    last = -1
    for one, found in zip(texts, candidates, strict=True):
        row = rows[one.row]
        if one.row != last:
            yield row
            last = one.row
        copied = {name: x for name, x in row.items() if settings.keep_labels or name != fields.label}
        # Its own stream of random numbers: what a row becomes does not depend on the others.
        draw = random.Random(f"{settings.seed}/{one.row}/{one.field}")
        copies, probability = settings.copies, settings.probability
        for text in variants(one.text, found, copies=copies, probability=probability, draw=draw):
            yield copied | {one.field: text}
