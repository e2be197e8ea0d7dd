"""Evaluate a cross-lingual student in each language of a data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import yaml

from limbeck.data.instructions.layouts import LAYOUTS, read_instructions
from limbeck.data.instructions.make import Split
from limbeck.errors import ConfigError, DataError, near_misses
from limbeck.evaluation.cross_lingual import LanguageTestSet, Ranked, measure_languages
from limbeck.results.record import Results, System
from limbeck.tasks.checked_yaml import parse_yaml, yaml_faults
from limbeck.tasks.options import Options
from limbeck.tasks.ranking.measure import example_scores_of
from limbeck.tasks.ranking.predict import Ranker
from limbeck.tasks.record import Facts, assemble
from limbeck.types import Instruction, Progress

__all__ = ["EvaluateOptions", "evaluate_languages"]


class EvaluateOptions(Options):
    """Options of `limbeck evaluate`: the data set and the part to use."""

    layout: str | None = None
    """How the data set is laid out, which must be said; ``rows`` gets the student's own labels, unless `option` has
    task and labels."""
    split: str = "test"
    """Which part of the set: ``dev``, ``test`` or ``train``."""
    lang: str | None = None
    """Languages, joined by commas; ``None``: all that the student knows."""
    task: str | None = None
    """Which of the student's tasks ``rows`` are about, where it has several."""
    option: tuple[str, ...] = ()
    """Of the layout, as ``name=value``; the value is YAML."""

    @property
    def languages(self) -> list[str]:
        """The named languages."""
        return [one.strip() for one in (self.lang or "").split(",") if one.strip()]


def evaluate_languages(student: str, data: str, options: EvaluateOptions, progress: Progress) -> Results:
    """Return accuracy, mean reciprocal rank and the task's own figures in each language, with 95 % intervals.

    Args:
        student: the folder that `limbeck distill` wrote.
        data: the data set's folder.
        options: how the set is laid out, and what of it is read.
        progress: shows how far it is.

    Raises:
        ConfigError: no layout, or no such layout, split, task or option.
        DataError: the set cannot be read, has no labelled record, or a language or task is not the student's.
        ModelError: the student cannot be loaded.
    """
    if options.layout is None:
        raise ConfigError(
            f"{student} is a cross-lingual student: say how the data set is laid out. For files of your own with the "
            f"fields text, lang and label: limbeck evaluate {student} FOLDER --layout rows; where each row lists its "
            "own: --layout candidates"
        )
    if options.layout not in LAYOUTS:
        raise ConfigError(f"no layout '{options.layout}'; {near_misses(options.layout, LAYOUTS)}")
    given = dict(_option(one) for one in options.option)
    ranker = Ranker(student)
    codes = list(dict.fromkeys(map(ranker.known_language, options.languages or ranker.task.languages)))
    given = _of_student(ranker, options, given) | given
    read = read_instructions(options.layout, Path(data), split=cast(Split, options.split), languages=codes, **given)
    records = [record for record in read if record.gold or record.grades]
    _require_usable(records, ranker, data)
    with progress.track(f"ranking: {student}", len(records)) as update:
        scores = ranker.scores(records, update=update)
    source = ranker.task.languages[0] if len(codes) > 1 else ""  # a language asked for alone is no comparison
    test_set = LanguageTestSet(
        task=[record.task for record in records],
        lang=[record.lang for record in records],
        candidates=[len(record.candidates) for record in records],
        source_language=source,
        languages=[code for code in codes if code != source],
    )
    system = System(name="student", title=student, role="main")
    facts = Facts(kind="ranking", name=student, recipe="", seeds=[0], rows={"test": len(records)})
    return assemble(facts, measure_languages(test_set, [Ranked(system, 0, {0: example_scores_of(records, scores)})]))


def _of_student(ranker: Ranker, options: EvaluateOptions, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of the layout ``rows`` that the student knows; other layouts define their tasks."""
    if options.layout != "rows":
        if options.task is not None:
            raise ConfigError(f"--task goes with the layout rows; the layout '{options.layout}' knows its tasks")
        return {}
    if given.keys() >= {"task", "labels"}:
        return {}
    name = ranker.known_task(options.task)
    pair = {"text_pair": "text_pair"} if name in ranker.task.pairs else {}
    return {"task": name.partition("/")[0], "labels": ranker.task.labels[name], **pair}


def _option(words: str) -> tuple[str, Any]:
    name, equals, text = words.partition("=")
    if not equals or not name:
        raise ConfigError(f"--option takes name=value (for example text_pair=query), not '{words}'")
    try:
        return name, parse_yaml(text)[0]
    except yaml.YAMLError as error:
        raise ConfigError("; ".join(yaml_faults(error, lambda line: f"--option {name}"))) from error


def _require_usable(records: Sequence[Instruction], ranker: Ranker, data: str) -> None:
    if not records:
        raise DataError(f"{data} has no labelled record for this student: there is nothing to measure")
    known = ranker.task.soft.tasks if ranker.task.soft is not None else ()
    if known and (other := sorted({record.task for record in records} - set(known))):
        raise DataError(f"this student was not trained on {', '.join(other)}; its tasks: {', '.join(known)}")
