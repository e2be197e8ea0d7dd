"""The filter from files to files: the stages in order, thresholds, counts, duplicates, splits, audit."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from limbeck.errors import ConfigError, DataError
from limbeck.filter import flow as filter_flow
from limbeck.filter.config import FilterConfig, load_filter_file
from limbeck.filter.counts import Counts, FilterCounts, add_up
from limbeck.filter.flow import run_filter
from limbeck.filter.stages import Asker, Question
from limbeck.types import SilentProgress

PLACES = ["harbour", "valley", "island", "border", "capital", "coast", "north", "delta", "forest", "plain"]


def article(n: int, *, hit: bool, yes: bool, lang: str = "en", day: str | None = None) -> dict[str, Any]:
    """An article whose words say what the stages will make of it, unlike all others."""
    words = " ".join(f"{PLACES[(n + i) % 10]}{n}x{i}" for i in range(16))
    found = {
        "id": f"a{n}",
        "text": f"{'blackout' if hit else 'weather'} {'yes' if yes else 'no'} {words}",
        "lang": lang,
    }
    return found if day is None else found | {"date": day}


ROWS = [article(n, hit=n % 2 == 0, yes=n % 3 == 0, lang="de" if n % 5 == 0 else "en") for n in range(30)]


def write(path: Path, rows: Sequence[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def config(folder: Path, rows: Sequence[dict[str, Any]] = ROWS, **changes: Any) -> FilterConfig:
    values: dict[str, Any] = {
        "sets": {
            "energy": {"files": write(folder / "rows.jsonl", rows), "crisis": "a blackout", "keywords": ["blackout"]}
        },
        "judge": {"model": "a-teacher"},
        "output": str(folder / "out"),
    }
    return FilterConfig.model_validate(values | changes)


class Teacher:
    """Says yes where the article does."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.silent: set[str] = set()

    def __call__(self, questions: Sequence[Question], _: object) -> list[float | None]:
        self.asked += [q.article.id for q in questions]
        return [None if q.article.id in self.silent else 0.9 if " yes " in q.article.text else 0.1 for q in questions]


@pytest.fixture
def teacher(monkeypatch: pytest.MonkeyPatch) -> Teacher:
    teacher = Teacher()
    monkeypatch.setattr(filter_flow, "judge_of", lambda judge, journal: Asker("teacher", teacher, 4))
    return teacher


def run(settings: FilterConfig) -> FilterCounts:
    return run_filter(settings, SilentProgress())


def test_stage_b_is_asked_about_what_stage_a_keeps_and_nothing_else(teacher: Teacher, tmp_path: Path) -> None:
    counts = run(config(tmp_path))
    assert teacher.asked == [row["id"] for row in ROWS if "blackout" in row["text"]]
    kept = read(tmp_path / "out" / "kept.jsonl")
    assert [row["id"] for row in kept] == [f"a{n}" for n in range(0, 30, 6)]
    assert kept[0]["text"] == ROWS[0]["text"]
    assert kept[0]["filter"] == {"set": "energy", "crisis": "a blackout", "screen": 1.0, "judge": 0.9}
    total = counts.total
    assert (total.read, total.screened, total.judged, total.kept) == (30, 15, 5, 5)


def test_a_second_call_asks_nothing_and_writes_the_same(teacher: Teacher, tmp_path: Path) -> None:
    first = run(config(tmp_path))
    files = {f.name: f.read_bytes() for f in (tmp_path / "out").glob("*.jsonl")}
    asked = list(teacher.asked)
    again = run(config(tmp_path))
    assert teacher.asked == asked
    assert (first.asked, again.asked) == (45, 0)
    assert {f.name: f.read_bytes() for f in (tmp_path / "out").glob("*.jsonl")} == files
    assert again.by_set_and_language == first.by_set_and_language


def test_new_articles_alone_are_asked_about(teacher: Teacher, tmp_path: Path) -> None:
    run(config(tmp_path))
    teacher.asked.clear()
    counts = run(config(tmp_path, [*ROWS, article(40, hit=True, yes=True)]))
    assert teacher.asked == ["a40"]
    assert counts.asked == 2


@pytest.mark.parametrize(("threshold", "kept"), [(0, 30), (1.01, 0)])
def test_threshold_0_keeps_all_and_above_1_none(threshold: float, kept: int, teacher: Teacher, tmp_path: Path) -> None:
    screen = {"threshold": threshold, "threshold_with_keyword": threshold}
    counts = run(config(tmp_path, screen=screen, judge={"model": "m", "threshold": threshold}))
    assert counts.total.kept == kept
    assert len(teacher.asked) == kept
    judged = run(config(tmp_path, screen={"threshold": 0}, judge={"model": "m", "threshold": threshold}))
    assert (judged.total.screened, judged.total.kept) == (30, kept)


def test_another_threshold_needs_no_new_answer(teacher: Teacher, tmp_path: Path) -> None:
    run(config(tmp_path))
    asked = len(teacher.asked)
    assert run(config(tmp_path, judge={"model": "m", "threshold": 0.05})).total.kept == 15
    assert len(teacher.asked) == asked


def test_without_a_judge_stage_a_decides(tmp_path: Path) -> None:
    counts = run(config(tmp_path, judge=None))
    assert counts.total.judged == counts.total.screened == 15
    assert read(tmp_path / "out" / "kept.jsonl")[0]["filter"]["judge"] is None


def test_counts_add_up_over_sets_and_languages(teacher: Teacher, tmp_path: Path) -> None:
    other = write(tmp_path / "other.jsonl", [article(n, hit=True, yes=n % 2 == 0, lang="fr") for n in range(50, 60)])
    first = {"files": write(tmp_path / "rows.jsonl", ROWS), "crisis": "a blackout", "keywords": ["blackout"]}
    second = {"files": other, "crisis": "a recession", "keywords": ["blackout", "recession"]}
    counts = run(config(tmp_path, sets={"energy": first, "recession": second}))
    assert [(c.name, c.lang, c.read, c.screened, c.judged) for c in counts.by_set_and_language] == [
        ("energy", "de", 6, 3, 1),
        ("energy", "en", 24, 12, 4),
        ("recession", "fr", 10, 10, 5),
    ]
    assert [(c.name, c.read, c.kept_share) for c in counts.by_set] == [
        ("energy", 30, pytest.approx(5 / 30)),
        ("recession", 10, 0.5),
    ]
    for number in ("read", "screened", "judged", "kept", "duplicates"):
        assert getattr(counts.total, number) == sum(getattr(c, number) for c in counts.by_set_and_language)
    written = FilterCounts.model_validate_json((tmp_path / "out" / "counts.json").read_text(encoding="utf-8"))
    assert written == counts


def test_the_papers_shares() -> None:
    """Five sets, articles read and kept (Saxena, Janzen, Maass)."""
    numbers = [(9035, 4509), (19449, 11193), (82671, 53109), (107220, 67868), (917, 629)]
    sets = [Counts(name=str(n), lang=None, read=r, screened=r, judged=k, kept=k) for n, (r, k) in enumerate(numbers)]
    total = add_up(sets, "all")
    assert (total.read, total.judged) == (219_292, 137_308)
    assert [round(100 * c.kept_share, 2) for c in sets] == [49.91, 57.55, 64.24, 63.30, 68.59]
    assert round(100 * total.kept_share, 2) == 62.61


def test_what_the_teacher_cannot_answer_is_counted_and_asked_again(teacher: Teacher, tmp_path: Path) -> None:
    teacher.silent = {"a0", "a2"}
    counts = run(config(tmp_path))
    assert (counts.total.unanswered, counts.total.judged, counts.total.kept) == (2, 4, 4)
    teacher.silent = set()
    teacher.asked.clear()
    assert run(config(tmp_path)).total.kept == 5
    assert teacher.asked == ["a0", "a2"]


def test_the_earliest_of_near_duplicates_is_kept(tmp_path: Path) -> None:
    one = article(1, hit=True, yes=True, day="2021-05-02")
    copies = [
        one | {"id": "late", "date": "2021-05-03"},
        one,
        one | {"id": "undated", "date": None},
        one | {"id": "b", "text": one["text"].upper(), "date": "2021-05-02T23:00:00+01:00"},
    ]
    counts = run(config(tmp_path, copies, judge=None))
    assert [row["id"] for row in read(tmp_path / "out" / "kept.jsonl")] == ["a1"]
    assert (counts.total.judged, counts.total.duplicates, counts.total.kept) == (4, 3, 1)


def test_the_test_set_is_later_and_nothing_repeats_it(tmp_path: Path) -> None:
    early = [article(n, hit=True, yes=True, day=f"2021-01-0{n}") for n in range(1, 5)]
    late = [article(n, hit=True, yes=True, day=f"2022-01-0{n - 4}") for n in range(5, 8)]
    early[0] |= {"title": "Gas prices at a record"}
    late[0] |= {"title": "Gas prices at a RECORD"}
    early[1]["text"] += " " + " ".join(late[1]["text"].split()[2:])
    undated = article(8, hit=True, yes=True)
    counts = run(config(tmp_path, [*late, *early, undated], judge=None, test_from="2022-01-01"))
    assert [row["id"] for row in read(tmp_path / "out" / "train.jsonl")] == ["a3", "a4"]
    assert [row["id"] for row in read(tmp_path / "out" / "test.jsonl")] == ["a5", "a6", "a7"]
    assert not (tmp_path / "out" / "kept.jsonl").exists()
    total = counts.total
    assert (total.judged, total.repeats_test, total.undated, total.kept) == (8, 2, 1, 5)
    assert (counts.train, counts.test) == (2, 3)


def test_a_story_on_both_sides_of_the_date_is_one_article_of_training(tmp_path: Path) -> None:
    first = article(1, hit=True, yes=True, day="2021-12-30")
    reprint = first | {"id": "reprint", "text": first["text"] + " end", "date": "2022-01-02"}
    other = article(2, hit=True, yes=True, day="2022-01-03")
    counts = run(config(tmp_path, [reprint, other, first], judge=None, test_from="2022-01-01"))
    assert [row["id"] for row in read(tmp_path / "out" / "train.jsonl")] == ["a1"]
    assert [row["id"] for row in read(tmp_path / "out" / "test.jsonl")] == ["a2"]
    assert (counts.total.duplicates, counts.total.repeats_test) == (1, 0)


def test_what_repeats_a_given_test_set_is_not_kept(tmp_path: Path) -> None:
    given = write(tmp_path / "test.jsonl", [{"text": "x " + ROWS[4]["text"]}])
    counts = run(config(tmp_path, judge=None, test=given))
    assert counts.total.repeats_test == 1
    assert "a4" not in [row["id"] for row in read(tmp_path / "out" / "kept.jsonl")]


def test_the_audit_draws_from_both_sides_the_same_each_time(teacher: Teacher, tmp_path: Path) -> None:
    run(config(tmp_path, audit=4))
    lines = read(tmp_path / "out" / "audit.jsonl")
    assert [line["decision"] for line in lines] == ["dropped"] * 4 + ["kept"] * 4
    assert {line["by"] for line in lines[:4]} <= {"screen", "judge"}
    assert {line["right"] for line in lines} == {None}
    assert all({"id", "text", "screen", "judge", "set"} <= line.keys() for line in lines)
    run(config(tmp_path, audit=4))
    assert read(tmp_path / "out" / "audit.jsonl") == lines
    run(config(tmp_path, audit=4, seed=1))
    assert read(tmp_path / "out" / "audit.jsonl") != lines


def test_fewer_articles_than_the_audit_wants_are_all_drawn(tmp_path: Path) -> None:
    run(config(tmp_path, judge=None))
    assert len(read(tmp_path / "out" / "audit.jsonl")) == 30


def test_bad_rows_stop_or_are_left_out_and_counted(tmp_path: Path) -> None:
    rows = [*ROWS, {"text": ""}, {"text": "x", "date": "soon"}]
    with pytest.raises(DataError, match=r"2 rows cannot be used:\n.*line 31.*empty(.|\n)*on_bad_row: leave_out"):
        run(config(tmp_path, rows, judge=None))
    counts = run(config(tmp_path, rows, judge=None, on_bad_row="leave_out"))
    assert (counts.total.unusable, counts.total.read) == (2, 30)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"judge": {}}, "give exactly one of model, api"),
        ({"screen": {"hypothesis": "about it"}}, "must contain {crisis}"),
        ({"screen": {"threshold": -1}}, "greater than or equal to 0"),
        ({"sets": {}}, "at least 1"),
        ({"sets": {"a": {"files": "x", "crisis": "y"}}}, "sets.a has no keywords"),
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=message):
        config(tmp_path, **changes)


def test_a_file_is_read_with_all_faults_and_their_lines(tmp_path: Path) -> None:
    file = tmp_path / "filter.yaml"
    file.write_text("sets:\n  a: {files: x, crisis: y, keyword: [z]}\noutput: o\naudit: -1\n", encoding="utf-8")
    with pytest.raises(ConfigError) as error:
        load_filter_file(file)
    assert f"{file}:2: unknown key 'sets.a.keyword'" in str(error.value)
    assert f"{file}:4: audit" in str(error.value)


def test_a_field_that_nobody_reads_may_hold_anything(teacher: Teacher, tmp_path: Path) -> None:
    rows = [row | {"note": "half \ud800 of it"} for row in ROWS]
    run_filter(config(tmp_path, rows), SilentProgress())
    kept = [row for file in sorted((tmp_path / "out").glob("*.jsonl")) for row in read(file)]
    assert kept
    assert {row["note"] for row in kept if "note" in row} == {"half \ud800 of it"}
