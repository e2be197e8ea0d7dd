"""The layouts of data sets that can be read, by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from limbeck.data.instructions.checks import check_instructions
from limbeck.data.instructions.listed import own_candidates
from limbeck.data.instructions.make import Part, Split
from limbeck.data.instructions.rows import own_rows, own_translations
from limbeck.data.instructions.translation import read_distractors
from limbeck.data.languages import language_code
from limbeck.errors import ConfigError, near_misses
from limbeck.types import Instruction

__all__ = ["LAYOUTS", "TRANSLATIONS", "Layout", "read_instructions"]

Layout = Callable[..., list[Instruction]]
"""``layout(part, **options)``."""

LAYOUTS: Mapping[str, Layout] = {
    "candidates": own_candidates,
    "rows": own_rows,
    "rows_translation": own_translations,
}
TRANSLATIONS = frozenset({"rows_translation"})
"""Layouts whose records ask for the translation of an English sentence; English is always read."""


def read_instructions(
    layout: str,
    folder: Path,
    *,
    split: Split,
    languages: Sequence[str],
    splits: Mapping[str, Split] | None = None,
    **options: Any,
) -> list[Instruction]:
    """Read a set in one of `LAYOUTS` and check its records.

    Args:
        layout: a key of `LAYOUTS`.
        folder: the set's folder.
        split: the set's own split, stored in the records.
        languages: the languages to read, in any codes that `language_code` knows.
        splits: other splits for some languages, if a set lacks a test file in them, for example
            ``{"sk": "dev"}``.
        **options: keyword arguments of the layout; `distractors` may be a mapping.

    Raises:
        ConfigError: no such layout, split or option, or no language.
        DataError: a file or a row cannot be used; gives file, line and field.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "train.csv").write_text("lang,text,mood\\nbg,Добре,good\\nbg,Зле,bad\\n")
        >>> options = {"task": "topic", "labels": ["good", "bad"], "label": "mood"}
        >>> records = read_instructions("rows", folder, split="train", languages=["bg"], **options)
        >>> [(record.id, record.candidates[record.gold[0]]) for record in records]
        [('rows/train/bg/topic/2', 'good'), ('rows/train/bg/topic/3', 'bad')]
    """
    if layout not in LAYOUTS:
        raise ConfigError(f"unknown layout '{layout}'; {near_misses(layout, LAYOUTS)}")
    if not languages:
        raise ConfigError("languages: expected one or more, got none.")
    read = LAYOUTS[layout]
    _check_options(layout, read, options)
    if "distractors" in options:
        options["distractors"] = read_distractors(options["distractors"], "distractors")
    own = {language_code(lang): other for lang, other in (splits or {}).items()}
    by_split: dict[Split, list[str]] = {}
    for lang in languages:
        by_split.setdefault(own.get(language_code(lang), split), []).append(lang)
    records: list[Instruction] = []
    for one, langs in by_split.items():
        if one not in ("train", "dev", "test"):
            raise ConfigError(f"unknown split '{one}': expected 'train', 'dev' or 'test'.")
        records += read(Part(folder, one, langs), **options)
    check_instructions(records)
    return records


def _check_options(layout: str, read: Layout, options: Mapping[str, object]) -> None:
    parameters = inspect.signature(read).parameters
    known = {name: one for name, one in parameters.items() if one.kind is one.KEYWORD_ONLY}
    for name in options:
        if name not in known:
            raise ConfigError(f"the layout '{layout}' has no option '{name}'; {near_misses(name, known)}")
    needed = [name for name, parameter in known.items() if parameter.default is parameter.empty]
    if missing := [name for name in needed if name not in options]:
        raise ConfigError(f"the layout '{layout}' needs {', '.join(missing)}.")
