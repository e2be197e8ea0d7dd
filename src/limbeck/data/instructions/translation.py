"""Translation as a choice among sentences, and the choice of its distractors."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from limbeck.data.instructions.make import Split, by_hash, fold, record_id
from limbeck.errors import ConfigError, DataError, near_misses
from limbeck.types import Instruction

__all__ = [
    "DISTRACTORS",
    "ENGLISH",
    "Distractors",
    "Embed",
    "choose_distractors",
    "english_views",
    "for_training",
    "read_distractors",
    "translation_records",
    "word_overlap",
]

ENGLISH = "en"
Embed = Callable[[list[str]], NDArray[np.float32]]
"""A frozen sentence encoder: texts to vectors ``[N, D]``."""


@dataclass(frozen=True)
class Distractors:
    """The other candidates next to the right translation."""

    nearest: int = 50
    """Number of the English sentences most similar to this one."""
    random: int = 49
    """Number of random other sentences."""
    every: bool = False
    """Use all sentences of the split instead; ignores the two counts."""
    seed: int = 0
    """Seed of the random ones."""


DISTRACTORS = Distractors()
"""Distractors in evaluation: 50 nearest and 49 random."""
_IN_TRAINING = Distractors(nearest=8, random=7)
"""Maximum of each in training, unless a run asks for more: 16 candidates."""


def read_distractors(values: Any, name: str) -> Distractors:
    """Return the distractors described in a run file, e.g. ``{nearest: 8, random: 7}``.

    Args:
        values: a mapping of some of the fields of `Distractors`, or one of these.
        name: name of the option, for messages.

    Raises:
        ConfigError: an unknown field, or a value of the wrong type.
    """
    if isinstance(values, Distractors):
        return values
    if not isinstance(values, Mapping):
        raise ConfigError(f"{name}: expected nearest, random, every or seed, got {values!r}.")
    if unknown := [str(key) for key in values if key not in Distractors.__dataclass_fields__]:
        known = near_misses(unknown[0], Distractors.__dataclass_fields__)
        raise ConfigError(f"{name}.{unknown[0]}: unknown setting; {known}")
    try:
        return TypeAdapter(Distractors).validate_python(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, (name, *first["loc"])))
        raise ConfigError(f"{where}: {first['msg']} (got {first['input']!r})") from error


def for_training(distractors: Distractors) -> Distractors:
    """Return the distractors of training records, if a run sets only those of its test records.

    At most 8 nearest and 7 random: every candidate of every training record is read with gradients.
    """
    return replace(
        distractors,
        nearest=min(distractors.nearest, _IN_TRAINING.nearest),
        random=min(distractors.random, _IN_TRAINING.random),
        every=False,
    )


def translation_records(
    sentences: Mapping[str, Mapping[str, str]],
    *,
    source: str,
    split: Split,
    distractors: Distractors,
    embed: Embed | None = None,
) -> list[Instruction]:
    """Return a record per sentence and language except English: choose the translation of the English sentence.

    The other candidates are chosen once, on the English side, and are listed in the same order in every
    language. A sentence with the same text as another in any language is never a distractor.

    Args:
        sentences: the sentence of every key, for each language (including English).
        source: the set.
        split: the set's split.
        distractors: how many, and which.
        embed: the measure of "most similar"; ``None``: common words.

    Raises:
        ConfigError: more distractors than sentences, or none.
        DataError: a language lacks a sentence, or there is only one sentence.
    """
    english = sentences[ENGLISH]
    for lang, texts in sentences.items():
        if lacking := sorted(set(english) ^ set(texts)):
            raise DataError(
                f"{source}, split '{split}': {len(lacking)} sentences are not in both 'en' and '{lang}', the first is "
                f"{lacking[0]}. Expected every sentence in every language: leave '{lang}' out, or complete it."
            )
    alone = _alone(sentences)
    if distractors.every:
        beside = {own: [key for key in english if key in alone and key != own] for own in english}
    else:
        beside = choose_distractors(english, alone, distractors, embed)
    if lonely := [own for own, others in beside.items() if not others]:
        raise DataError(f"{source}, split '{split}': sentence {lonely[0]} has no others to choose from.")
    parallel = {own: f"{source}/translation/{own}" for own in english}
    order = {own: by_hash([own, *others], parallel[own]) for own, others in beside.items()}
    return [
        Instruction(
            id=record_id(source, split, lang, "translation", own),
            source=source,
            split=split,
            task="translation",
            lang=lang,
            input=english[own],
            input_pair=None,
            candidates=tuple(texts[key] for key in order[own]),
            gold=(order[own].index(own),),
            slots=(("src_lang", ENGLISH), ("tgt_lang", lang)),
            parallel=parallel[own],
        )
        for lang, texts in sentences.items()
        if lang != ENGLISH
        for own in english
    ]


def _alone(sentences: Mapping[str, Mapping[str, str]]) -> set[str]:
    """Return the keys whose text is unique in every language."""
    alone = set(sentences[ENGLISH])
    for texts in sentences.values():
        folded = {key: fold(text) for key, text in texts.items()}
        count = Counter(folded.values())
        alone -= {key for key, text in folded.items() if count[text] > 1}
    return alone


def choose_distractors(
    english: Mapping[str, str], pool: set[str], distractors: Distractors, embed: Embed | None = None
) -> dict[str, list[str]]:
    """Return for each key of `english` the keys of its distractors: the nearest by cosine, then random ones.

    Raises:
        ConfigError: fewer sentences in `pool` than requested, or a count below 0.
    """
    nearest, drawn = distractors.nearest, distractors.random
    if nearest < 0 or drawn < 0 or nearest + drawn < 1:
        raise ConfigError(f"nearest and random: expected 0 or more and 1 in all, got {nearest} and {drawn}.")
    if nearest + drawn > len(pool) - 1:
        raise ConfigError(
            f"{nearest} nearest and {drawn} random distractors were requested, but there are only "
            f"{max(len(pool) - 1, 0)} other sentences. Lower `nearest` or `random` (in `distractors`, or for training "
            "in `train_distractors`), or set `every`."
        )
    keys = list(english)
    vectors_ND = _unit((embed or word_overlap)([english[key] for key in keys]))
    chosen: dict[str, list[str]] = {}
    for own, vector_D in zip(keys, vectors_ND, strict=True):
        near_first = np.argsort(-(vectors_ND @ vector_D), kind="stable")
        ranked = [keys[place] for place in near_first if keys[place] in pool and keys[place] != own]
        others = random.Random(f"{distractors.seed}/{own}").sample(sorted(ranked[nearest:]), drawn)
        chosen[own] = ranked[:nearest] + others
    return chosen


def word_overlap(texts: list[str]) -> NDArray[np.float32]:
    """Return a vector ``[N, words]`` for each text with 1 for each of its words: cosine counts common words."""
    words = [set(fold(text).casefold().split()) for text in texts]
    place = {word: i for i, word in enumerate(sorted(set().union(*words)))}
    vectors_ND = np.zeros((len(texts), len(place)), dtype=np.float32)
    for row, own in enumerate(words):
        vectors_ND[row, [place[word] for word in own]] = 1
    return vectors_ND


def _unit(vectors_ND: NDArray[np.float32]) -> NDArray[np.float32]:
    length_N1 = np.linalg.norm(vectors_ND, axis=1, keepdims=True)
    unit_ND: NDArray[np.float32] = vectors_ND / np.maximum(length_N1, 1e-12)
    return unit_ND


def _key(record: Instruction) -> str:
    assert record.parallel is not None
    return record.parallel.removeprefix(f"{record.source}/translation/")


def english_views(records: Sequence[Instruction]) -> list[Instruction]:
    """Return an English teacher's view of translation records: each sentence once, among its English candidates.

    The right one is the sentence itself. Distinguishing it from similar sentences under two dropout masks can
    train sentence vectors without any labels (Gao et al. 2021, "SimCSE: Simple Contrastive Learning of Sentence
    Embeddings", arXiv:2104.08821, section 3). The parallel key and the order of the candidates are those of the
    record; ``lang`` and the target language are English.

    Args:
        records: all translation records of their sets, before any is left out: they give the original of each
            candidate.

    Raises:
        DataError: another kind of record, a candidate whose original is in none of the records, or translations
            of one sentence with different candidates.
    """
    originals = {
        (record.source, record.split, record.lang, record.candidates[record.gold[0]]): record.input
        for record in records
        if record.task == "translation"
    }
    views: dict[str | None, Instruction] = {}
    for record in records:
        if record.task != "translation":
            raise DataError(f"{record.id}: expected a translation record, got one of the task '{record.task}'.")
        english: list[str] = []
        for place, text in enumerate(record.candidates):
            key = (record.source, record.split, record.lang, text)
            if place not in record.gold and key not in originals:
                raise DataError(
                    f"{record.id}: candidate {place} is not the answer of any record here, so its English original is "
                    "unknown. Give all records of the set, before any are left out."
                )
            english.append(record.input if place in record.gold else originals[key])
        view = replace(
            record,
            id=record_id(record.source, record.split, ENGLISH, "translation", _key(record)),
            lang=ENGLISH,
            candidates=tuple(english),
            slots=tuple((name, ENGLISH if name == "tgt_lang" else value) for name, value in record.slots),
        )
        other = views.setdefault(record.parallel, view)
        if (other.input, other.candidates) != (view.input, view.candidates):
            raise DataError(
                f"{record.id} has different candidates from translations of the same sentence into other languages. "
                "Expected one list for all: read all languages of a set together."
            )
    return list(views.values())
