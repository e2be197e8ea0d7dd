"""Filter a raw collection of articles in two stages; nothing is scored twice."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from limbeck.atomic import write_json, write_text
from limbeck.data.articles.article import Article
from limbeck.data.articles.leaks import find_leaks
from limbeck.data.articles.near_duplicates import stories
from limbeck.data.articles.read import checked_article, file_records, read_articles
from limbeck.data.quarantine import BAD_ROWS_SHOWN
from limbeck.data.records import BadRow, Fields, Record
from limbeck.errors import DataError
from limbeck.filter.config import FilterConfig
from limbeck.filter.counts import Counts, FilterCounts, add_up
from limbeck.filter.score_journal import ScoreJournal
from limbeck.filter.stages import Asker, Question, judge_of, keyword_hit, screen_of
from limbeck.runs.folder import hold
from limbeck.types import Progress, Update

__all__ = ["run_filter"]

_ROUNDING = 6


@dataclass
class _Item:
    """One article on its way through the filter."""

    name: str
    """Its set."""
    row: dict[str, object]
    question: Question
    screen: float = float("nan")
    judge: float = float("nan")
    dropped: str | None = None
    """Why it is not kept."""
    split: str = "train"

    @property
    def article(self) -> Article:
        return self.question.article

    def line(self) -> str:
        """The row with what was decided, as JSON."""
        decided = {
            "set": self.name,
            "crisis": self.question.about.crisis,
            "screen": round(self.screen, _ROUNDING),
            "judge": None if np.isnan(self.judge) else round(self.judge, _ROUNDING),
        }
        line = json.dumps({**self.row, "filter": decided}, ensure_ascii=False, default=str)
        # Fields that are not read may hold lone surrogates; as \udXXX they are valid JSON.
        return line.encode("utf-8", "backslashreplace").decode() + "\n"


@dataclass
class _Read:
    items: list[_Item] = field(default_factory=list)
    unusable: Counter[str] = field(default_factory=Counter)


def run_filter(config: FilterConfig, progress: Progress) -> FilterCounts:
    """Read, score, drop near-duplicates and repeats of the test set, and write the rest with audit and counts.

    Every score is on disk as soon as its batch is done (``scores.sqlite``), and every paid answer of an API at once
    (``answers.sqlite``). A killed call therefore resumes where it was, and a repeated call asks nothing.

    Raises:
        RunFolderError: another process uses the folder.
        DataError: files or rows cannot be used.
        ConfigError, ModelError, TeacherError, StorageError: as raised by the parts.
    """
    folder = Path(config.output)
    with hold(folder):
        read = _read(config)
        items, tests = read.items, _test_articles(config)
        judge = None if config.judge is None else judge_of(config.judge, folder / "answers.sqlite")
        with ScoreJournal(folder / "scores.sqlite") as journal:
            scorer = _Scorer(journal, progress)
            _screen(config, items, scorer)
            if judge is not None and config.judge is not None:
                _judge(items, judge, config.judge.threshold, scorer)
        _drop_duplicates(items, config.near_duplicate)
        _split(config, items, tests)
        return _write(config, folder, read, scorer.asked)


@dataclass
class _Scorer:
    journal: ScoreJournal
    progress: Progress
    asked: int = 0

    def scores(self, title: str, asker: Asker, questions: Sequence[Question]) -> NDArray[np.float64]:
        def ask(indices: Sequence[int], update: Update) -> Sequence[float | None]:
            self.asked += len(indices)
            return asker.ask([questions[index] for index in indices], update)

        with self.progress.track(title, len(questions)) as update:
            parts = [question.parts for question in questions]
            return self.journal.scores(asker.name, parts, ask, update, batch=asker.batch)


def _read(config: FilterConfig) -> _Read:
    found = _Read()
    faults: list[str] = []
    for name, about in config.sets.items():
        for file, record in file_records(about.files):
            checked = _article(record, config, file)
            if isinstance(checked, BadRow):
                found.unusable[name] += 1
                faults.append(checked.describe(file))
            else:
                row, article = checked
                found.items.append(_Item(name, row, Question(article, about)))
    if faults and config.on_bad_row == "stop":
        listed = "\n  ".join(faults[:BAD_ROWS_SHOWN])
        raise DataError(
            f"{len(faults):,} rows cannot be used:\n  {listed}\n"
            "Correct them, or set `on_bad_row: leave_out` to continue without them."
        )
    if not found.items:
        raise DataError("no articles: none of the rows can be used")
    return found


def _article(record: Record | BadRow, config: FilterConfig, file: str) -> tuple[dict[str, object], Article] | BadRow:
    if isinstance(record, BadRow):
        return record
    checked = checked_article(record, Fields(config.text), config.fields, None, file)
    return checked if isinstance(checked, BadRow) else (dict(record.row), checked[1])


def _test_articles(config: FilterConfig) -> list[Article]:
    if config.test is None:
        return []
    return read_articles(file_records(config.test), Fields(config.text), config.fields).articles


def _screen(config: FilterConfig, items: list[_Item], scorer: _Scorer) -> None:
    screen = config.screen
    scores = scorer.scores("stage A", screen_of(screen), [item.question for item in items])
    for item, score in zip(items, scores.tolist(), strict=True):
        item.screen = score
        enough = screen.threshold
        if screen.threshold_with_keyword < enough and keyword_hit(item.question) > 0:
            enough = screen.threshold_with_keyword
        if score < enough:
            item.dropped = "screen"


def _judge(items: list[_Item], judge: Asker, threshold: float, scorer: _Scorer) -> None:
    asked = [item for item in items if item.dropped is None]
    scores = scorer.scores("stage B", judge, [item.question for item in asked])
    for item, score in zip(asked, scores.tolist(), strict=True):
        item.judge = score
        if np.isnan(score):
            item.dropped = "unanswered"
        elif score < threshold:
            item.dropped = "judge"


def _drop_duplicates(items: list[_Item], threshold: float) -> None:
    """Keep the earliest article of each story; those without a date come last."""
    kept = [item for item in items if item.dropped is None]
    # Whole days: a time with a zone cannot be compared with one without.
    kept.sort(key=lambda item: item.article.day or "9999")
    for index, first in enumerate(stories([item.article.whole_text for item in kept], threshold)):
        if first != index:
            kept[index].dropped = "duplicate"


def _split(config: FilterConfig, items: list[_Item], tests: list[Article]) -> None:
    """Move articles from `test_from` on into the test set, and drop repeats of test articles from the rest."""
    kept = [item for item in items if item.dropped is None]
    if config.test_from is not None:
        first_day = config.test_from.isoformat()
        for item in kept:
            day = item.article.day
            if day is None:
                item.dropped = "undated"
            elif day >= first_day:
                item.split = "test"
    for split, against in (
        ("test", tests),
        ("train", [*tests, *(i.article for i in kept if i.split == "test" and i.dropped is None)]),
    ):
        part = [item for item in kept if item.split == split and item.dropped is None]
        for leak in find_leaks([item.article for item in part], against):
            part[leak.train].dropped = "repeats_test"


def _write(config: FilterConfig, folder: Path, read: _Read, asked: int) -> FilterCounts:
    items = read.items
    kept = [item for item in items if item.dropped is None]
    by_date = config.test_from is not None
    train = [item for item in kept if item.split == "train"]
    test = [item for item in kept if item.split == "test"]
    for name, part in (("train", train), ("test", test)) if by_date else (("kept", kept),):
        write_text(folder / f"{name}.jsonl", "".join(item.line() for item in part))
    write_text(folder / "audit.jsonl", "".join(_audit(config, items)))
    detailed = _counts(read)
    by_set = [add_up([c for c in detailed if c.name == name], name) for name in config.sets]
    counts = FilterCounts(
        limbeck_version=version("limbeck"),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        by_set_and_language=detailed,
        by_set=by_set,
        total=add_up(by_set, "all"),
        asked=asked,
        train=len(train),
        test=len(test),
        settings=config.model_dump(mode="json"),
    )
    write_json(folder / "counts.json", counts.model_dump())
    return counts


def _audit(config: FilterConfig, items: list[_Item]) -> Iterator[str]:
    """Yield random dropped and kept articles, for a person to fill in `right`."""
    rng = random.Random(config.seed)
    dropped = [item for item in items if item.dropped in ("screen", "judge")]
    kept = [item for item in items if item.dropped not in ("screen", "judge", "unanswered")]
    for decision, part in (("dropped", dropped), ("kept", kept)):
        for item in rng.sample(part, min(config.audit, len(part))):
            line = json.loads(item.line())
            decided = line["filter"] | {"decision": decision, "by": item.dropped if decision == "dropped" else None}
            shown = {"id": item.article.id, "title": item.article.title, "text": item.article.text}
            yield json.dumps({"right": None, **decided, **shown}, ensure_ascii=False) + "\n"


def _counts(read: _Read) -> list[Counts]:
    cells: dict[tuple[str, str | None], Counter[str]] = {}
    for item in read.items:
        cell = cells.setdefault((item.name, item.article.lang), Counter())
        cell["read"] += 1
        cell["screened"] += item.dropped != "screen"
        cell["judged"] += item.dropped not in ("screen", "judge", "unanswered")
        cell["kept"] += item.dropped is None
        cell[{"duplicate": "duplicates"}.get(item.dropped or "", item.dropped or "")] += 1
    for name, unusable in read.unusable.items():
        cells.setdefault((name, None), Counter())["unusable"] += unusable
    numbers = [field for field in Counts.model_fields if field not in ("name", "lang")]
    return [
        Counts(name=name, lang=lang, **{field: cell[field] for field in numbers})
        for (name, lang), cell in sorted(cells.items(), key=lambda pair: (pair[0][0], pair[0][1] or ""))
    ]
