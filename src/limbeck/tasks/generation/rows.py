"""The rows of a generation run: read, checked, held out and tokenised before anything costs time."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from limbeck.data.encode import token_limit
from limbeck.data.generation.encode import encode_examples
from limbeck.data.generation.encoded import EncodedSequences
from limbeck.data.generation.load import load_examples
from limbeck.data.generation.records import Example, Examples
from limbeck.data.generation.task import Generation
from limbeck.errors import ModelError
from limbeck.models.language_model import decoder_start_token, is_encoder_decoder
from limbeck.sequences.given import TeacherWritten
from limbeck.tasks.baselines import all_stages
from limbeck.tasks.dev_rows import kept_back, overlap_warnings
from limbeck.tasks.generation.config import TextRunConfig
from limbeck.tasks.held_out import held_out, parted

__all__ = [
    "TextRows",
    "completion_budget",
    "decoder_start",
    "dev_warnings",
    "encode_texts",
    "leaked_texts",
    "read_texts",
    "text_limit",
]


@dataclass(frozen=True)
class TextRows:
    """Training rows, held-out rows, development rows, and additional plain text."""

    train: Examples
    test: Examples
    dev: Examples | None
    corpus: Examples | None
    left_out: int
    fingerprints: dict[str, str]

    @property
    def completed(self) -> int:
        """Number of training rows that have a completion."""
        return sum(_has_completion(row) for row in self.train.rows)

    def laid_out_as(self, task: Generation) -> TextRows:
        """Return the same rows with the layout of `task`; the fields they were read from stay."""
        dev = None if self.dev is None else replace(self.dev, task=task)
        return replace(self, train=replace(self.train, task=task), test=replace(self.test, task=task), dev=dev)


def read_texts(config: TextRunConfig, folder: Path | None = None) -> TextRows:
    """Read and check all rows, and hold some out if no test data are given.

    Args:
        config: the run.
        folder: the run folder, for rows in quarantine; ``None`` reads without writing.

    Raises:
        ConfigError, DataError: as the checks find.
    """
    recipe = config.recipe.build()
    needed = recipe.reads_completions or config.teacher.fine_tune is not None
    train = _load(config, "train", folder, config.task, needed)
    fingerprints, left_out = {"train": train.fingerprint}, train.left_out
    if config.data.test is not None:
        test = _load(config, "test", folder, config.task, True)
        fingerprints["test"] = test.fingerprint
        left_out += test.left_out
    else:
        train, test = _hold_out(train, config.data.test_size)
    dev = None
    if config.data.dev is not None:
        dev = _load(config, "dev", folder, config.task, True)
        fingerprints["dev"] = dev.fingerprint
        left_out += dev.left_out
    elif config.dev_reader is not None:
        train, dev = _parts(train, kept_back([_has_completion(row) or None for row in train.rows], config.dev_reader))
    corpus = None
    if config.data.corpus is not None:
        corpus = _load(config, "corpus", folder, Generation(text="text"), False)
        fingerprints["corpus"] = corpus.fingerprint
        left_out += corpus.left_out
    return TextRows(train, test, dev, corpus, left_out, fingerprints)


def _load(config: TextRunConfig, split: str, folder: Path | None, task: Generation, completed: bool) -> Examples:
    sources = getattr(config.data, split)
    return load_examples(
        sources,
        task,
        require_completion=completed and task.text is None,
        on_bad_row=config.data.on_bad_row,
        quarantine=folder / f"quarantine-{split}.jsonl" if folder else None,
        split=split if split != "corpus" else "train",
    )


def _has_completion(row: Example) -> bool:
    return row.text is not None or row.completion is not None


def _hold_out(rows: Examples, share: float) -> tuple[Examples, Examples]:
    """Take out `share` of the rows with a completion, always the same ones."""
    completed = [i for i, row in enumerate(rows.rows) if _has_completion(row)]
    return _parts(rows, held_out(completed, share, "rows with completions"))


def _parts(rows: Examples, taken: Sequence[int]) -> tuple[Examples, Examples]:
    """Split rows into the remaining and the taken ones."""
    left, chosen = parted(len(rows.rows), taken)
    return replace(rows, rows=[rows.rows[i] for i in left]), replace(rows, rows=[rows.rows[i] for i in chosen])


def text_limit(config: TextRunConfig, tokenizer: Any, *models: Any) -> int:
    """Return the longest row in tokens that every model accepts."""
    return min(token_limit(tokenizer, model, config.training.max_length) for model in models)


def decoder_start(model: Any) -> int | None:
    """Return the token that a decoder starts with; ``None`` for a causal model.

    Raises:
        ModelError: the model has a decoder, but its configuration lacks the token.
    """
    if not is_encoder_decoder(model):
        return None
    start = decoder_start_token(model)
    if start is None:
        raise ModelError(
            f"the configuration of {model.name_or_path or 'the model'} has no decoder_start_token_id: set it to the "
            "token that its decoder was trained to start with (T5: the padding token), and save the model"
        )
    return start


def completion_budget(config: TextRunConfig, max_length: int) -> int:
    """Return the number of tokens kept free after every prompt of a causal model.

    It is the longest text that the run generates, or half of `max_length` if that is less.
    """
    wanted = [config.answers.max_new_tokens if config.answers.rows else 1]
    for stage in all_stages(config.recipes()):
        writers = stage.part(TeacherWritten), stage.sampled
        wanted += [writer.decoding.max_new_tokens for writer in writers if writer is not None]
    return min(max(wanted), max_length // 2)


def encode_texts(
    config: TextRunConfig, examples: Examples, tokenizer: Any, model: Any, max_length: int, folder: Path | None = None
) -> EncodedSequences:
    """Tokenise rows for `model`, with room for an answer after every prompt.

    Raises:
        ConfigError, DataError, ModelError: rows or tokenizer do not fit; see `encode_examples`.
    """
    start = decoder_start(model)
    plain = examples.task.text is not None
    return encode_examples(
        examples,
        tokenizer,
        max_length,
        decoder_start=start,
        max_prompt=None if plain or start is not None else max_length - completion_budget(config, max_length),
        on_bad_row=config.data.on_bad_row,
        quarantine=folder / "quarantine-too-long.jsonl" if folder else None,
    )


def leaked_texts(rows: TextRows) -> list[str]:
    """Return the locations of held-out rows whose prompts and completions also occur in the training rows."""
    trained_on = set(_texts(rows.train))
    return [str(row.origin) for row in rows.test.rows if (row.messages, row.text) in trained_on]


def dev_warnings(config: TextRunConfig, rows: TextRows) -> list[str]:
    """Warn of the user's development rows that also occur in the training rows."""
    return overlap_warnings(config, _texts(rows.train), None if rows.dev is None else _texts(rows.dev))


def _texts(rows: Examples) -> list[Hashable]:
    return [(row.messages, row.text) for row in rows.rows]
