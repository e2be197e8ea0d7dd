"""The records of a cross-lingual run, read, checked, paired and sampled before any expensive work."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from limbeck.data.candidates import HardPrompts
from limbeck.data.instructions.checks import require_disjoint, require_no_leak, without_overlap
from limbeck.data.instructions.layouts import TRANSLATIONS, read_instructions
from limbeck.data.instructions.make import digest
from limbeck.data.instructions.pairing import pair_records
from limbeck.data.instructions.sampling import take_target
from limbeck.data.instructions.translation import ENGLISH, english_views, for_training, read_distractors
from limbeck.data.languages import script_of, text_in_script
from limbeck.data.prompts.choice import PromptChoice
from limbeck.data.prompts.registry import language_prompt, registry_fingerprint, task_prompt
from limbeck.data.prompts.render import render_task_prompt
from limbeck.errors import ConfigError, DataError
from limbeck.formatting import share_text
from limbeck.sequences.given import Pairing
from limbeck.tasks.dev_rows import dev_count
from limbeck.tasks.ranking.config import InstructionSet, LanguageRunConfig
from limbeck.types import Instruction

__all__ = ["LanguageData", "Pairs", "hard_prompts", "pair_for", "prompt_texts", "read_language_data", "script_shares"]

_LEAST_IN_SCRIPT = 0.5
"""A language whose texts have a smaller share of letters in its script is warned about."""


@dataclass(frozen=True)
class LanguageData:
    """All records of a run. Training and test records share no text."""

    english: list[Instruction]
    """Labelled records of the source language. Of translation sets their sentences, each among its English
    candidates (`english_views`)."""
    source: list[Instruction]
    """All training records of the source language, labelled or not: what translations are paired with."""
    pool: list[Instruction]
    """Target-language training records; labels are used of the few that stage 3 takes, and of no others."""
    test: list[Instruction]
    """Test records of all languages."""
    dev: list[Instruction]
    """Labelled target-language records that a search chooses by; no other record has their texts."""
    warnings: list[str]
    fingerprints: dict[str, str]
    """SHA-256 of the training records, the test records, and the texts that their prompts are made of."""

    @property
    def tasks(self) -> list[str]:
        """Tasks in alphabetical order."""
        return sorted({record.task for record in (*self.english, *self.pool, *self.test)})

    def target(self, n: int, seed: int) -> list[Instruction]:
        """Return the `n` labelled records of each task and language that stage 3 gets with `seed`."""
        labelled = [record for record in self.pool if record.gold or record.grades]
        return take_target(labelled, n, seed).records


@dataclass(frozen=True)
class Pairs:
    """The pairs of stage 2: what the student reads, and what the teacher reads."""

    students: list[Instruction]
    """Without any label of their own; the label, where there is one, is the teacher record's."""
    teachers: list[Instruction]
    """Each record once."""
    teacher_of: NDArray[np.int64]
    """Place in `teachers` of each student record's partner."""
    blocks: int
    """1, or 2 where the first half is paired ``parallel`` and the second half ``same``."""


def read_language_data(config: LanguageRunConfig, *, embed: Callable[[list[str]], Any] | None = None) -> LanguageData:
    """Read all sets, check every record, and keep training and test separate.

    Args:
        config: the run.
        embed: a frozen sentence encoder that chooses the hardest distractors of translation records.

    Raises:
        ConfigError: a language or task has no prompt, or an option does not fit its layout.
        DataError: a row cannot be used, a set has nothing to train or test on, or the two overlap.
    """
    sources: list[Instruction] = []
    pool: list[Instruction] = []
    test: list[Instruction] = []
    source = config.task.source_language
    for number, one in enumerate(config.data.sets):
        targets = one.languages or config.task.languages
        if other := [lang for lang in targets if lang not in config.task.languages]:
            raise ConfigError(f"data.sets.{number}.languages: not among task.languages: {', '.join(other)}")
        train = _read(one, number, "train", [source, *targets], embed)
        held = _read(one, number, "test", [source, *targets], embed)
        sources += [record for record in train if record.lang == source]
        pool += [record for record in train if record.lang != source]
        if one.layout in TRANSLATIONS:
            sources += english_views(train)
        test += [record for record in held if record.gold or record.grades]
    warnings = []
    if config.data.overlap == "leave_out":
        before = len(sources) + len(pool)
        sources, pool = without_overlap(sources, test), without_overlap(pool, test)
        if left_out := before - len(sources) - len(pool):
            warnings.append(f"{left_out} training records were left out: their texts are test texts too.")
    else:
        _require_disjoint([*sources, *pool], test)
    dev = [] if config.search is None else _kept_back(config, pool)
    if dev:
        sources, pool = without_overlap(sources, dev), without_overlap(pool, dev)
        warnings.append(
            f"Learning rates were chosen on {len(dev)} labelled target-language records beyond data.shots."
        )
    english = [record for record in sources if record.gold or record.grades]
    if not english:
        raise DataError(
            f"no labelled training record in the source language '{source}': the teacher learns from these"
        )
    if max(config.data.shots) and not any(record.gold or record.grades for record in pool):
        raise DataError(
            "no labelled training record in a target language, but data.shots asks for up to "
            f"{max(config.data.shots)} of each: set data.shots: 0, or label some"
        )
    if missing := [lang for lang in config.task.languages if all(record.lang != lang for record in test)]:
        raise DataError(f"no test record in {', '.join(missing)}: nothing could be said about these languages")
    warnings += _script_warnings([*pool, *test])
    named = {"train": [*sources, *pool], "test": test} | ({"dev": dev} if dev else {})
    fingerprints = {name: _fingerprint(found) for name, found in named.items()}
    data = LanguageData(english, sources, pool, test, dev, warnings, fingerprints)
    langs = (source, *config.task.languages)
    fingerprints["prompts"] = registry_fingerprint(config.prompts.version, tasks=data.tasks, langs=langs)
    _require_prompts(config, data)
    return data


def _kept_back(config: LanguageRunConfig, pool: list[Instruction]) -> list[Instruction]:
    """Return a fraction of each task and language's labelled records; in parallel sets, the same for all languages."""
    cells: dict[tuple[str, str], list[Instruction]] = {}
    for record in pool:
        if record.gold or record.grades:
            cells.setdefault((record.task, record.lang), []).append(record)
    labelled = sum(map(len, cells.values()))
    share = dev_count(labelled, labelled, "more labelled records of the target languages") / labelled
    if missing := sorted(set(config.task.languages) - {lang for _, lang in cells}):
        raise DataError(f"search: no labelled training record in {', '.join(missing)} to choose by. Label some")
    return [
        record
        for cell in cells.values()
        for record in sorted(cell, key=lambda r: digest("dev", r.parallel or r.id))[: max(1, round(share * len(cell)))]
    ]


def _read(
    one: InstructionSet, number: int, part: str, languages: Sequence[str], embed: Callable[[list[str]], Any] | None
) -> list[Instruction]:
    options = one.options
    split = one.train if part == "train" else one.test
    splits = one.test_in if part == "test" else {}
    try:
        if one.layout in TRANSLATIONS:
            options = _translation_options(options, part, embed)
            languages = _targets_of_english(languages)
        return read_instructions(
            one.layout, Path(one.folder), split=split, languages=languages, splits=splits, **options
        )
    except ConfigError as error:
        raise ConfigError(f"data.sets.{number}: {error}") from error


def _translation_options(
    options: dict[str, Any], part: str, embed: Callable[[list[str]], Any] | None
) -> dict[str, Any]:
    """Return the distractors of one part; a hard test need not make training slow."""
    others = {name: value for name, value in options.items() if name not in ("distractors", "train_distractors")}
    chosen = read_distractors(options.get("distractors", {}), "distractors")
    if part == "train":
        own = options.get("train_distractors")
        chosen = for_training(chosen) if own is None else read_distractors(own, "train_distractors")
    return {**others, "distractors": chosen} | ({} if embed is None else {"embed": embed})


def _targets_of_english(languages: Sequence[str]) -> list[str]:
    source, *targets = languages
    if source != ENGLISH:
        raise ConfigError(
            f"translations are from English, but task.source_language is '{source}'. Leave this set out, or set "
            "task.source_language: en"
        )
    return targets


def _require_disjoint(train: list[Instruction], test: list[Instruction]) -> None:
    try:
        require_disjoint(train, test)
    except DataError as error:
        raise DataError(f"{error} (data.overlap: leave_out does that)") from error


def script_shares(records: Sequence[Instruction]) -> dict[str, float]:
    """Return for each language the share of letters in its script, in up to 200 of its texts."""
    texts: dict[str, list[str]] = {}
    for record in records:
        texts.setdefault(record.lang, []).append(
            record.candidates[record.gold[0]] if record.task == "translation" and record.gold else record.input
        )
    return {lang: text_in_script(" ".join(some[:200]), script_of(lang)) for lang, some in texts.items()}


def _script_warnings(records: list[Instruction]) -> list[str]:
    return [
        f"only {share_text(share, digits=0)} of the letters of '{lang}' are {script_of(lang)}: is this the right "
        "language?"
        for lang, share in script_shares(records).items()
        if share < _LEAST_IN_SCRIPT
    ]


def _fingerprint(records: list[Instruction]) -> str:
    return hashlib.sha256("\n".join(map(repr, records)).encode()).hexdigest()


def hard_prompts(choice: PromptChoice) -> HardPrompts:
    """Return the texts of the prompt levels in `choice` for a record."""

    def texts(record: Instruction) -> tuple[str, str]:
        task = render_task_prompt(record, task_prompt(record.task, version=choice.version)) if choice.hard_task else ""
        own = choice.languages
        language = language_prompt(record.lang, version=choice.version, own=own) if choice.hard_language else ""
        return task, language

    return texts


def prompt_texts(choice: PromptChoice, reads: Literal["run", "hard", "task_name"]) -> HardPrompts:
    """Return the texts that a system reads before the input: those of `choice`, or the task's name alone."""
    return _task_name if reads == "task_name" else hard_prompts(choice)


def _task_name(record: Instruction) -> tuple[str, str]:
    return record.task.replace("_", " "), ""


def _require_prompts(config: LanguageRunConfig, data: LanguageData) -> None:
    """Refuse a language or task without a prompt, and a Task-Level Prompt that contains the answer.

    A Language-Level Prompt is the same for all records of a language and gives nothing away: its "no articles" and
    "verb-final" are not the labels of that name.
    """
    texts = hard_prompts(config.prompts.model_copy(update={"levels": "T+L", "form": "hard"}))
    for record in (*data.english, *data.pool, *data.test):
        task_text, _ = texts(record)
        require_no_leak(record, task_text)


def pair_for(data: LanguageData, pairing: Pairing) -> Pairs:
    """Pair every target-language training record with what the teacher reads.

    Raises:
        DataError: ``parallel`` or ``mixed`` without translations, or candidate lists that differ.
    """
    parallel: list[tuple[Instruction, Instruction]] = []
    if pairing != "same":
        parallel = _parallel_pairs(data)
    # Seen through one's own language there are no translations of the candidates to wait for.
    same = [(record, record) for record in data.pool] if pairing == "same" else []
    if pairing == "mixed":
        same = [(student, student) for student, _ in parallel]
    pairs = parallel + same
    indices: dict[tuple[str, str], int] = {}
    teachers: list[Instruction] = []
    for _, teacher in pairs:
        key = (teacher.id, teacher.lang)
        if key not in indices:
            indices[key] = len(teachers)
            teachers.append(teacher)
    students = [
        replace(student, gold=teacher.gold if is_parallel else (), grades=teacher.grades if is_parallel else None)
        for is_parallel, (student, teacher) in zip([True] * len(parallel) + [False] * len(same), pairs, strict=True)
    ]
    teacher_of = np.asarray([indices[teacher.id, teacher.lang] for _, teacher in pairs], dtype=np.int64)
    return Pairs(students, teachers, teacher_of, 2 if pairing == "mixed" else 1)


def _parallel_pairs(data: LanguageData) -> list[tuple[Instruction, Instruction]]:
    if lonely := sorted({record.source for record in data.pool if record.parallel is None}):
        raise DataError(
            f"{', '.join(lonely)}: these records have no translations, which recipe.pairing: parallel and mixed need. "
            "Use pairing: same, where teacher and student read the same text"
        )
    students, teachers = pair_records(data.pool, data.source)
    return list(zip(students, teachers, strict=True))
