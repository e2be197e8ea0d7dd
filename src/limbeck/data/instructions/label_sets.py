"""Sets with one text or a pair of texts and a label, one JSON Lines file a split: how is each of them laid out?

All of them take `label_words`: for each language that is to answer in its own words, the word of every label.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from limbeck.data.instructions.files import SetRow, read_split, sound, texts
from limbeck.data.instructions.labels import (
    MASAKHANEWS_TOPICS,
    NLI,
    SIB200_TOPICS,
    YES_NO,
    LabelWords,
    verbalise,
)
from limbeck.data.instructions.make import Split, choice
from limbeck.data.records import Fields
from limbeck.errors import ConfigError
from limbeck.types import Instruction

__all__ = ["NOT_TRANSLATED", "masakhanews", "news_text", "paws_x", "sib200", "xnli"]

NOT_TRANSLATED = "NS"
"""What PAWS-X has in place of a sentence that its translators left out."""


def sib200(
    folder: Path, split: Split, languages: Sequence[str], *, label_words: LabelWords | None = None
) -> list[Instruction]:
    """Return the topic records of SIB-200: fields ``lang, index_id, label, text``.

    Reference: Adelani et al., "SIB-200: A Simple, Inclusive, and Big Evaluation Dataset for Topic
    Classification in 200+ Languages and Dialects", 2024, arXiv:2309.07445.
    """
    rows = read_split(folder, split, languages)
    keys = _integers(rows, "index_id")
    fields = Fields(text="text", label="label")
    records = [
        choice(
            source="sib200",
            split=split,
            lang=row.lang,
            task="topic",
            key=key,
            text=read.text,
            labels=SIB200_TOPICS,
            label=read.label,
            # The number is the sentence's own in all of FLORES: no split in it, so that a sentence which
            # strays into two splits is found.
            parallel=f"sib200/topic/{key}",
        )
        for (row, read), key in zip(texts(rows, fields, SIB200_TOPICS), keys, strict=True)
    ]
    return verbalise(records, label_words)


def xnli(
    folder: Path, split: Split, languages: Sequence[str], *, label_words: LabelWords | None = None
) -> list[Instruction]:
    """Return the records of XNLI: fields ``lang, pair, premise, hypothesis, label_name``.

    Reference: Conneau et al., "XNLI: Evaluating Cross-lingual Sentence Representations", 2018, arXiv:1809.05053.
    """
    fields = Fields(text="premise", text_pair="hypothesis", label="label_name")
    records = _pairs("xnli", "nli", folder, split, languages, fields, {label: label for label in NLI}, NLI)
    return verbalise(records, label_words)


def paws_x(
    folder: Path, split: Split, languages: Sequence[str], *, label_words: LabelWords | None = None
) -> list[Instruction]:
    """Return the records of PAWS-X: fields ``lang, pair, sentence1, sentence2, label_name``.

    Rows without a translation (`NOT_TRANSLATED` in place of a sentence) are left out. Annotators of some
    languages disagree: translations of a row may have different labels.

    Reference: Yang et al., "PAWS-X: A Cross-lingual Adversarial Dataset for Paraphrase Identification", 2019,
    arXiv:1908.11828.
    """
    fields = Fields(text="sentence1", text_pair="sentence2", label="label_name")
    said = {"paraphrase": "yes", "different": "no"}
    records = _pairs("paws_x", "paraphrase", folder, split, languages, fields, said, YES_NO)
    return verbalise(records, label_words)


def _pairs(
    source: str,
    task: str,
    folder: Path,
    split: Split,
    languages: Sequence[str],
    fields: Fields,
    said: Mapping[str, str],
    labels: Sequence[str],
) -> list[Instruction]:
    rows = read_split(folder, split, languages)
    keys = _integers(rows, "pair")
    return [
        choice(
            source=source,
            split=split,
            lang=row.lang,
            task=task,
            key=key,
            text=read.text,
            pair=read.text_pair,
            labels=labels,
            label=None if read.label is None else said[read.label],
            parallel=f"{source}/{task}/{split}/{key}",
        )
        for (row, read), key in zip(texts(rows, fields, list(said)), keys, strict=True)
        if NOT_TRANSLATED not in (read.text, read.text_pair)
    ]


def masakhanews(
    folder: Path,
    split: Split,
    languages: Sequence[str],
    *,
    characters: int = 1200,
    label_words: LabelWords | None = None,
) -> list[Instruction]:
    """Return the topic records of MasakhaNEWS: fields ``lang, label, headline, text``.

    The record's input is the headline, a newline and the first `characters` characters of the text.

    Reference: Adelani et al., "MasakhaNEWS: News Topic Classification for African languages", 2023,
    arXiv:2304.09972.
    """
    rows = read_split(folder, split, languages)
    fields = Fields(text="headline", text_pair="text", label="label")
    records = [
        choice(
            source="masakhanews",
            split=split,
            lang=row.lang,
            task="topic",
            key=row.number,
            text=news_text(read.text, read.text_pair or "", characters),
            labels=MASAKHANEWS_TOPICS,
            label=read.label,
        )
        for row, read in texts(rows, fields, MASAKHANEWS_TOPICS)
    ]
    return verbalise(records, label_words)


def news_text(headline: str, text: str, characters: int) -> str:
    r"""Return a headline, a newline and the start of the text.

    >>> news_text("Rain", "It rains again.", 8)
    'Rain\nIt rains'
    """
    if characters < 0:
        raise ConfigError(f"characters: expected 0 or more of the text after the headline, got {characters}.")
    return "\n".join(part for part in (headline, text[:characters]) if part.strip())


def _integers(rows: Sequence[SetRow], field: str) -> list[int]:
    return sound(rows[0].file if rows else "", [row.integer(field) for row in rows])
