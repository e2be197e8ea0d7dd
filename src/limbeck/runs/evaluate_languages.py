"""How good is a cross-lingual student in each language of a data set?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import yaml

from limbeck.data.instructions.layouts import LAYOUTS, read_instructions
from limbeck.data.instructions.make import Split
from limbeck.errors import ConfigError, DataError, near_misses
from limbeck.evaluation.cross_lingual import Panel, Ranked, measure_languages
from limbeck.results.record import Results, System
from limbeck.runs.checked_yaml import parse_yaml, yaml_faults
from limbeck.runs.language_outcome import credits_of
from limbeck.runs.outcome import Facts, assemble
from limbeck.runs.ranker import Ranker
from limbeck.types import Instruction, Progress

__all__ = ["evaluate_languages"]


def evaluate_languages(
    student: str,
    data: str,
    *,
    layout: str,
    split: str,
    languages: Sequence[str] | None,
    task: str | None,
    options: Sequence[str],
    progress: Progress,
) -> Results:
    """Return accuracy, mean reciprocal rank and the task's own figures in each language, with 95 % intervals.

    Args:
        student: the folder that `limbeck distill` wrote.
        data: the data set's folder.
        layout: how it is laid out; ``rows`` gets the student's own labels, unless `options` have
            task and labels.
        split: which of its parts: ``dev`` or ``test``, or ``train``.
        languages: which; ``None``: all that the student knows.
        task: which of the student's tasks ``rows`` are about, where it has several.
        options: of the layout, as ``name=value``; the value is YAML.
        progress: shows how far it is.

    Raises:
        ConfigError: no such layout, split, task or option.
        DataError: the set cannot be read, has no labelled record, or a language or task is not the student's.
        ModelError: the student cannot be loaded.
    """
    if layout not in LAYOUTS:
        raise ConfigError(f"no layout '{layout}'; {near_misses(layout, LAYOUTS)}")
    given = dict(_option(one) for one in options)
    ranker = Ranker(student)
    codes = list(dict.fromkeys(ranker.known_language(lang) for lang in languages or ranker.task.languages))
    if layout == "rows" and not given.keys() >= {"task", "labels"}:
        name = ranker.known_task(task)
        own: dict[str, Any] = {"task": name.partition("/")[0], "labels": ranker.task.labels[name]}
        given = own | ({"text_pair": "text_pair"} if name in ranker.task.pairs else {}) | given
    elif layout != "rows" and task is not None:
        raise ConfigError(f"--task goes with the layout rows; the layout '{layout}' knows its tasks")
    read = read_instructions(layout, Path(data), split=cast(Split, split), languages=codes, **given)
    records = [record for record in read if record.gold or record.grades]
    _require_usable(records, ranker, data)
    with progress.track(f"ranking: {student}", len(records)) as advance:
        scores = ranker.scores(records, advance=advance)
    source = ranker.task.languages[0] if len(codes) > 1 else ""  # a language asked for alone is no comparison
    panel = Panel(
        task=[record.task for record in records],
        lang=[record.lang for record in records],
        candidates=[len(record.candidates) for record in records],
        source_language=source,
        languages=[code for code in codes if code != source],
    )
    system = System(name="student", title=student, role="main")
    facts = Facts(kind="ranking", name=student, recipe="", seeds=[0], rows={"test": len(records)})
    return assemble(facts, measure_languages(panel, [Ranked(system, 0, {0: credits_of(records, scores)})]))


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
