"""Sets of parallel sentences (FLORES-101, FLORES-200, SIB-200): how is each laid out as a translation task?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from limbeck.data.instructions.files import match_languages, read_split, refuse_faults, sound, texts
from limbeck.data.instructions.make import Split
from limbeck.data.instructions.translation import DISTRACTORS, ENGLISH, Distractors, Embed, translation_records
from limbeck.data.languages import language_code
from limbeck.data.records import Fault, Fields
from limbeck.data.sources import DataFile
from limbeck.data.text_files import open_text, utf8_fault
from limbeck.errors import ConfigError, DataError
from limbeck.types import Instruction

__all__ = ["flores", "read_lines", "sib200_translation"]

_PARTS: dict[Split, str] = {"dev": "dev", "test": "devtest"}


def sib200_translation(
    folder: Path,
    split: Split,
    languages: Sequence[str],
    *,
    distractors: Distractors = DISTRACTORS,
    embed: Embed | None = None,
) -> list[Instruction]:
    """Return the translation records of SIB-200's sentences, which are those of FLORES-200.

    SIB-200 divides FLORES anew: a sentence may be in its training split and in the devtest part of FLORES.
    """
    wanted = _with_english(languages)
    rows = read_split(folder, split, wanted)
    name = rows[0].file
    keys = sound(name, [row.integer("index_id") for row in rows])
    sentences: dict[str, dict[str, str]] = {language_code(lang): {} for lang in wanted}
    faults: list[Fault] = []
    for (row, read), key in zip(texts(rows, Fields(text="text"), None), keys, strict=True):
        if str(key) in sentences[row.lang]:
            faults.append(row.fault("index_id", f"{key} is there twice in '{row.lang}'"))
        sentences[row.lang][str(key)] = read.text
    refuse_faults(name, faults)
    return translation_records(sentences, source="sib200", split=split, distractors=distractors, embed=embed)


def flores(
    folder: Path,
    split: Split,
    languages: Sequence[str],
    *,
    distractors: Distractors = DISTRACTORS,
    embed: Embed | None = None,
) -> list[Instruction]:
    """Return the translation records of FLORES as it is unpacked: ``dev/bul.dev``, ``devtest/bul_Cyrl.devtest``.

    One sentence a line, the same line in every language. ``dev`` is for training, ``devtest`` (here the
    split ``test``) for evaluation only.

    Reference: Goyal et al., "The FLORES-101 Evaluation Benchmark for Low-Resource and Multilingual Machine
    Translation", 2022, arXiv:2106.03193.
    """
    if split not in _PARTS:
        raise ConfigError("FLORES has the parts dev (for training) and devtest: ask for split 'dev' or 'test'.")
    part = _PARTS[split]
    files = {path.stem: path for path in sorted((folder / part).glob(f"*.{part}"))}
    ours = match_languages(files, _with_english(languages), f"{folder / part}")
    lines = {lang: read_lines(files[code]) for code, lang in ours.items()}
    for code, lang in ours.items():
        if len(lines[lang]) != len(lines[ENGLISH]):
            raise DataError(
                f"{files[code]} has {len(lines[lang])} lines, the English file has {len(lines[ENGLISH])}: expected "
                "one sentence a line, the same in every language. Unpack both again from one archive."
            )
    return translation_records(
        {lang: {f"{part}/{number}": line for number, line in enumerate(found, 1)} for lang, found in lines.items()},
        source="flores",
        split=split,
        distractors=distractors,
        embed=embed,
    )


def read_lines(path: Path) -> list[str]:
    """Return the lines of a text file without their ends.

    Raises:
        DataError: it cannot be read, or a line is empty or not UTF-8.
    """
    faults: list[Fault] = []
    lines: list[str] = []
    with open_text(DataFile(path, path.suffix, False)) as stream:
        for number, line in enumerate(stream, 1):
            text = line.rstrip("\r\n")
            reason = utf8_fault(text) or ("" if text.strip() else "empty; expected a sentence")
            if reason:
                faults.append(Fault(number, None, reason, text))
            lines.append(text)
    refuse_faults(str(path), faults)
    return lines


def _with_english(languages: Sequence[str]) -> list[str]:
    """English first: it is the source of every translation, whether it was named or not."""
    named = [lang for lang in languages if lang in (ENGLISH, "eng", "eng_Latn")]
    others = [lang for lang in languages if lang not in named]
    if not others:
        raise ConfigError("translation needs a language besides English; name one in `languages`.")
    return [*(named[:1] or [ENGLISH]), *others]
