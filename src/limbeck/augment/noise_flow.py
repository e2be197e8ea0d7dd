"""``limbeck augment --method distilbilstm`` from rows to rows."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from limbeck.atomic import replace_file, try_output
from limbeck.augment.noise import Noise, Tagged, noisy_pairs, noisy_texts
from limbeck.augment.rows import read_rows, require_other_file
from limbeck.data.records import Fields
from limbeck.errors import DataError, ModelError
from limbeck.models.load import load_tokenizer

__all__ = ["Noised", "TagFields", "add_noise"]


class TagFields(NamedTuple):
    """The fields with the parts of speech of a row's words; ``None``: they are not known."""

    text: str | None = None
    text_pair: str | None = None


class Noised(NamedTuple):
    """What was written."""

    rows: int
    copies: int


def add_noise(rows: str, model: str, output: Path, fields: Fields, tags: TagFields, noise: Noise) -> Noised:
    """Write every row, and after it copies with its texts altered, as JSON Lines.

    Words are what white space separates. The same rows, mask token and settings give the same output.

    Args:
        rows: a JSON Lines file.
        model: folder or hub name of a model whose tokenizer has a mask token.
        output: the file to write.
        fields: the names of text, second text and label.
        tags: the names of the fields with parts of speech; copies do not have these.
        noise: how texts are altered.

    Raises:
        ConfigError: the output is the input.
        DataError: a row cannot be read, has no text, or has not as many tags as words.
        ModelError: the tokenizer has no mask token.
    """
    found = read_rows(rows, fields)
    require_other_file(rows, output)
    names = _texts_in(fields, tags)
    texts = [[_tagged(row, text, tag, f"{rows}, row {n}") for text, tag in names] for n, row in enumerate(found, 1)]
    try_output(output)
    mask = load_tokenizer(model).mask_token
    if mask is None:
        raise ModelError(f"the tokenizer of '{model}' has no mask token: give a model with one, such as BERT or MPNet")
    written = 0
    with replace_file(output) as stream:
        for line in _lines(found, texts, mask, fields, tags, noise):
            stream.write(json.dumps(line, ensure_ascii=False) + "\n")
            written += 1
    return Noised(len(found), written - len(found))


def _texts_in(fields: Fields, tags: TagFields) -> list[tuple[str, str | None]]:
    """Return the fields of a row's texts, each with that of its parts of speech."""
    first = (fields.text, tags.text)
    return [first] if fields.text_pair is None else [first, (fields.text_pair, tags.text_pair)]


def _tagged(row: Mapping[str, Any], text: str, tag: str | None, where: str) -> Tagged:
    words = str(row[text]).split()
    if tag is None:
        return Tagged(words)
    tags = row.get(tag)
    if isinstance(tags, str):
        tags = tags.split()
    if not isinstance(tags, list) or not all(isinstance(one, str) for one in tags):
        raise DataError(f"{where}, field '{tag}': expected a list with the part of speech of each word of '{text}'")
    if len(tags) != len(words):
        raise DataError(
            f"{where}, field '{tag}': {len(tags)} parts of speech for the {len(words)} words of '{text}'. Words are "
            "what white space separates"
        )
    return Tagged(words, tags)


def _lines(
    rows: list[dict[str, Any]],
    texts: list[list[Tagged]],
    mask: str,
    fields: Fields,
    tags: TagFields,
    noise: Noise,
) -> Iterator[dict[str, Any]]:
    by_tag: dict[str, list[str]] = defaultdict(list)
    for one in (text for row in texts for text in row):
        for word, tag in zip(one.words, one.tags or (), strict=False):
            by_tag[tag].append(word)
    left_out = {*tags, *(() if noise.keep_labels else (fields.label,))}
    for number, (row, read) in enumerate(zip(rows, texts, strict=True)):
        yield row
        copied = {name: x for name, x in row.items() if name not in left_out}
        # Its own stream of random numbers: which words are altered does not depend on other rows.
        draw = random.Random(f"{noise.seed}/{number}")
        for altered in _copies(read, noise, mask, by_tag, draw):
            yield copied | {text: new for (text, _), new in zip(_texts_in(fields, tags), altered, strict=True)}


def _copies(
    read: list[Tagged], noise: Noise, mask: str, by_tag: Mapping[str, Sequence[str]], draw: random.Random
) -> Sequence[tuple[str, ...]]:
    if len(read) == 2:
        return noisy_pairs(read[0], read[1], noise, mask=mask, by_tag=by_tag, draw=draw)
    return [(text,) for text in noisy_texts(read[0], noise, mask=mask, by_tag=by_tag, draw=draw)]
