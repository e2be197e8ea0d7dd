"""The records of a cross-lingual run: what is refused before anything costs time, what is paired, what is taken."""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import limbeck
from limbeck.cli.app import main
from limbeck.data.prompts.choice import PromptChoice
from limbeck.errors import ConfigError, DataError, LimbeckError
from limbeck.runs.config import run_config
from limbeck.tasks.ranking.config import LanguageRunConfig
from limbeck.tasks.ranking.rows import LanguageData, hard_prompts, pair_for, read_language_data


def read(sections: dict[str, Any]) -> LanguageData:
    config = run_config(sections)
    assert isinstance(config, LanguageRunConfig)
    return read_language_data(config)


def rows_of(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def write(file: Path, rows: list[dict[str, Any]]) -> None:
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def edit(folder: Path, split: str, change: Any) -> None:
    """Change every row of the topic set with `change(row)`; rows it returns None for are dropped."""
    file = folder / "topic" / f"{split}.jsonl"
    write(file, [row for row in map(change, rows_of(file)) if row is not None])


@pytest.fixture
def own_run(toy_run: dict[str, Any], own_toy_data: Path) -> dict[str, Any]:
    """The toy run on files that a test may change."""
    for one in toy_run["data"]["sets"]:
        one["folder"] = str(own_toy_data / Path(one["folder"]).name)
    return toy_run


def test_records_are_sorted_by_use(toy_run: dict[str, Any]) -> None:
    data = read(toy_run)
    assert data.tasks == ["ads", "topic"]
    assert Counter((r.lang, r.split) for r in data.english) == {("en", "train"): 48}
    assert data.source == data.english
    assert Counter((r.lang, r.split) for r in data.pool) == {("de", "train"): 48, ("bg", "train"): 48}
    assert Counter((r.lang, r.split) for r in data.test) == {(lang, "test"): 24 for lang in ("en", "de", "bg")}
    assert data.warnings == ["only 0 % of the letters of 'bg' are Cyrillic: is this the right language?"]


def test_english_rows_without_a_label_teach_nothing_but_pair(own_run: dict[str, Any], own_toy_data: Path) -> None:
    edit(own_toy_data, "train", lambda row: row | ({"label": None} if row["lang"] == "en" and row["key"] < 10 else {}))
    data = read(own_run)
    assert len(data.english) == len(data.source) - 10
    pairs = pair_for(data, "parallel")
    assert len(pairs.students) == len(data.pool)
    assert sum(not record.gold for record in pairs.students) == 2 * 10  # for both languages


def test_test_rows_without_a_label_are_left_out(own_run: dict[str, Any], own_toy_data: Path) -> None:
    edit(own_toy_data, "test", lambda row: row | ({"label": None} if row["key"] == 0 else {}))
    assert len(read(own_run).test) == len(read(own_run | {"prompts": "none"}).test) == 3 * (12 + 11)


def test_a_word_of_a_language_prompt_is_no_answer(own_run: dict[str, Any], own_toy_data: Path) -> None:
    """English has "no grammatical gender", and "no" is a label of several tasks."""
    names = {"relevant": "yes", "not relevant": "no"}
    for file in (own_toy_data / "ads").iterdir():
        write(file, [row | {"label": names[row["label"]]} for row in rows_of(file)])
    own_run["data"]["sets"][1]["labels"] = ["yes", "no"]
    assert {record.candidates for record in read(own_run).english if record.task == "ads"} == {
        ("yes", "no"), ("no", "yes")
    }  # fmt: skip


def test_a_set_can_have_fewer_languages(toy_run: dict[str, Any]) -> None:
    toy_run["data"]["sets"][0]["languages"] = ["de"]
    assert {record.lang for record in read(toy_run).pool if record.task == "topic"} == {"de"}


def test_answers_in_the_words_of_the_language_are_paired_by_their_place(toy_run: dict[str, Any]) -> None:
    words = {"health": "Gesundheit", "politics": "Politik", "sports": "Sport", "travel": "Reisen"}
    plain = read(toy_run)
    toy_run["data"]["sets"][0]["label_words"] = {"deu_Latn": words}
    data = read(toy_run)
    german = next(r for r in data.pool if (r.task, r.lang) == ("topic", "de"))
    assert set(german.candidates) == set(words.values())
    assert data.fingerprints["train"] != plain.fingerprints["train"]
    assert [r for r in data.pool if r.lang == "bg"] == [r for r in plain.pool if r.lang == "bg"]
    pairs = pair_for(data, "parallel")
    for student, place in zip(pairs.students, pairs.teacher_of, strict=True):
        if (student.task, student.lang) == ("topic", "de"):
            assert student.candidates == tuple(words[name] for name in pairs.teachers[place].candidates)
    toy_run["data"]["sets"][0]["label_words"] = {"de": {"health": "Gesundheit"}}
    with pytest.raises(ConfigError, match=r"data.sets.0: label_words.de: no word for '"):
        read(toy_run)


# Pairs.


def test_parallel_pairs_are_translations_with_the_same_candidates(toy_run: dict[str, Any]) -> None:
    pairs = pair_for(read(toy_run), "parallel")
    assert pairs.blocks == 1
    assert len(pairs.teachers) == 48  # an English record is scored once for both languages
    assert len(pairs.students) == len(pairs.teacher_of) == 96
    for student, place in zip(pairs.students, pairs.teacher_of, strict=True):
        teacher = pairs.teachers[place]
        assert (teacher.lang, teacher.parallel, teacher.candidates) == ("en", student.parallel, student.candidates)
        assert student.input != teacher.input
        assert student.gold == teacher.gold


def test_paired_students_have_the_english_label_not_their_own(own_run: dict[str, Any], own_toy_data: Path) -> None:
    edit(own_toy_data, "train", lambda row: row | ({"label": "sports"} if row["lang"] == "de" else {}))
    pairs = pair_for(read(own_run), "parallel")
    german = [s for s in pairs.students if (s.lang, s.task) == ("de", "topic")]
    assert Counter(s.candidates[s.gold[0]] for s in german) == dict.fromkeys(
        ("health", "politics", "sports", "travel"), 6
    )


def test_the_same_text_for_both_has_no_label(toy_run: dict[str, Any]) -> None:
    data = read(toy_run)
    pairs = pair_for(data, "same")
    assert pairs.blocks == 1
    assert [pairs.teachers[place].id for place in pairs.teacher_of] == [student.id for student in pairs.students]
    assert {student.lang for student in pairs.students} == {"de", "bg"}
    assert not any(student.gold or student.grades for student in pairs.students)


def test_mixed_pairs_have_each_student_once_in_each_block(toy_run: dict[str, Any]) -> None:
    data = read(toy_run)
    pairs = pair_for(data, "mixed")
    half = len(data.pool)
    assert (pairs.blocks, len(pairs.students), len(pairs.teachers)) == (2, 2 * half, 48 + half)
    assert [s.id for s in pairs.students[:half]] == [s.id for s in pairs.students[half:]]
    teachers = [pairs.teachers[place] for place in pairs.teacher_of]
    assert {teacher.lang for teacher in teachers[:half]} == {"en"}
    assert [t.id for t in teachers[half:]] == [s.id for s in pairs.students[half:]]
    assert all(s.gold for s in pairs.students[:half])
    assert not any(s.gold for s in pairs.students[half:])


def test_a_translation_seen_from_english_has_the_same_places(tmp_path: Path, toy_run: dict[str, Any]) -> None:
    toy_run["data"]["sets"].append(translations(tmp_path))  # has no English record of its own
    pairs = pair_for(read(toy_run), "parallel")
    teachers = [pairs.teachers[place] for place in pairs.teacher_of]
    found = [(s, t) for s, t in zip(pairs.students, teachers, strict=True) if s.task == "translation"]
    assert Counter(student.lang for student, _ in found) == {"de": 8, "bg": 8}
    for student, teacher in found:
        assert len(teacher.candidates) == len(student.candidates) == 4
        assert teacher.gold == student.gold
        assert teacher.candidates[teacher.gold[0]].startswith("en train")


def test_english_sentences_of_translation_sets_are_what_the_teacher_learns(
    tmp_path: Path, toy_run: dict[str, Any]
) -> None:
    """Beside labelled records of other sets, or alone."""
    labelled = read(toy_run).english
    for others, sets in ((labelled, toy_run["data"]["sets"]), ([], [])):
        folder = translations(tmp_path / str(len(sets)))
        data = read(toy_run | {"data": {"sets": [*sets, folder], "shots": [0, 2]}})
        views = data.english[len(others) :]
        assert data.english[: len(others)] == others
        assert [view.input for view in views] == [f"en train {letter} sentence" for letter in "abcdefgh"]
        for view in views:
            assert (view.lang, view.task, len(view.candidates)) == ("en", "translation", 4)
            assert view.candidates[view.gold[0]] == view.input
            assert all(text.startswith("en train") for text in view.candidates)
        assert data.source == data.english
    pairs = pair_for(data, "parallel")
    assert pairs.teachers == views  # each sentence once, for both languages
    assert len(pairs.students) == 16


def test_a_sentence_that_is_in_the_test_too_teaches_nothing(tmp_path: Path, toy_run: dict[str, Any]) -> None:
    own = translations(tmp_path)
    train = Path(own["folder"]) / "train.jsonl"
    write(train, [row | ({"text": f"{row['lang']} test a sentence"} if row["key"] == "train0" else {})
                  for row in rows_of(train)])  # fmt: skip
    toy_run["data"] = {"sets": [own], "shots": 0}
    with pytest.raises(DataError, match="3 of 24 training records are in the test records too"):
        read(toy_run)
    toy_run["data"]["overlap"] = "leave_out"
    data = read(toy_run)
    assert {record.input for record in (*data.english, *data.pool)} == {f"en train {c} sentence" for c in "bcdefgh"}
    assert len(pair_for(data, "parallel").students) == 14


def test_training_has_distractors_of_its_own(tmp_path: Path, toy_run: dict[str, Any]) -> None:
    for own, train, test in (
        ({}, 4, 4),
        ({"distractors": {"nearest": 3, "random": 4}}, 8, 8),
        ({"distractors": {"nearest": 3, "random": 4}, "train_distractors": {"nearest": 1, "random": 0}}, 2, 8),
        ({"distractors": {"nearest": 1, "random": 0}, "train_distractors": {"every": True}}, 8, 2),
    ):
        one = translations(tmp_path / f"{train}-{test}-{len(own)}") | own
        data = read(toy_run | {"data": {"sets": [one], "shots": 0}})
        assert {len(record.candidates) for record in (*data.english, *data.pool)} == {train}
        assert {len(record.candidates) for record in data.test} == {test}
    many = translations(tmp_path / "many") | {"distractors": {"every": True}}  # which is not for training
    with pytest.raises(ConfigError, match=r"8 nearest and 7 random distractors .* only 7 other .*`train_distractors`"):
        read(toy_run | {"data": {"sets": [many], "shots": 0}})


def translations(tmp_path: Path) -> dict[str, Any]:
    folder = tmp_path / "sentences"
    folder.mkdir(parents=True)
    for split in ("train", "test"):
        write(
            folder / f"{split}.jsonl",
            [
                {"lang": lang, "key": f"{split}{i}", "text": f"{lang} {split} {'abcdefgh'[i]} sentence"}
                for lang in ("en", "de", "bg") for i in range(8)
            ],
        )  # fmt: skip
    return {
        "layout": "rows_translation",
        "folder": str(folder),
        "key": "key",
        "distractors": {"nearest": 2, "random": 1},
    }


# Few labels.


def test_a_budget_is_a_number_of_records_for_each_task_and_language(toy_run: dict[str, Any]) -> None:
    data = read(toy_run)
    for n in (0, 2, 5):
        cells = Counter((record.task, record.lang) for record in data.target(n, seed=3))
        assert cells == ({} if n == 0 else {(t, lang): n for t in ("ads", "topic") for lang in ("de", "bg")})


@pytest.mark.parametrize("seed", [0, 1])
def test_small_budgets_are_part_of_large_ones_and_seeds_differ(toy_run: dict[str, Any], seed: int) -> None:
    data = read(toy_run)
    few, many = ({record.id for record in data.target(n, seed)} for n in (4, 16))
    assert few < many
    assert few != {record.id for record in data.target(4, seed + 1)}
    assert few == {record.id for record in read(toy_run).target(4, seed)}


def test_only_labelled_records_are_taken(own_run: dict[str, Any], own_toy_data: Path) -> None:
    edit(own_toy_data, "train", lambda row: row | ({"label": None} if row["lang"] == "de" and row["key"] > 2 else {}))
    taken = [r for r in read(own_run).target(10, 0) if (r.task, r.lang) == ("topic", "de")]
    assert len(taken) == 3
    assert all(record.gold for record in taken)


# Faults, each before anything is trained.


def train_is_test(folder: Path) -> None:
    def change(row: dict[str, Any]) -> dict[str, Any]:
        return row | {"text": "Bus bahn zug"} if (row["lang"], row["key"]) == ("de", 3) else row

    edit(folder, "train", change)
    edit(folder, "test", change)


def no_english_label(folder: Path) -> None:
    for name in ("topic", "ads"):
        file = folder / name / "train.jsonl"
        write(file, [row | ({"label": None} if row["lang"] == "en" else {}) for row in rows_of(file)])


def no_german_test(folder: Path) -> None:
    for name in ("topic", "ads"):
        file = folder / name / "test.jsonl"
        write(file, [row | ({"label": None} if row["lang"] == "de" else {}) for row in rows_of(file)])


def no_german_row(folder: Path) -> None:
    edit(folder, "train", lambda row: None if row["lang"] == "de" else row)


def wrong_label(folder: Path) -> None:
    edit(folder, "train", lambda row: row | ({"label": "sport"} if row["lang"] == "en" and row["key"] == 4 else {}))


def no_label_of_a_target(folder: Path) -> None:
    for name in ("topic", "ads"):
        file = folder / name / "train.jsonl"
        write(file, [row | ({} if row["lang"] == "en" else {"label": None}) for row in rows_of(file)])


def answer_in_the_question(folder: Path) -> None:
    """The prompt is "Does the advertisement match the query?"."""
    for file in (folder / "ads").iterdir():
        write(
            file,
            [row | {"label": row["label"].replace("not", "no").replace("relevant", "match")} for row in rows_of(file)],
        )


def nothing(folder: Path) -> None:
    pass


def without_key(sections: dict[str, Any]) -> None:
    del sections["data"]["sets"][0]["key"]


def one_translation(change: dict[str, Any]) -> Any:
    def to_translations(sections: dict[str, Any]) -> None:
        folder = sections["data"]["sets"][0]["folder"]
        sections["data"]["sets"] = [{"layout": "rows_translation", "folder": folder, "key": "key", **change}]

    return to_translations


def from_german(sections: dict[str, Any]) -> None:
    one_translation({})(sections)
    sections["task"] |= {"source_language": "de", "languages": ["bg"], "high_resource": []}


FAULTS: list[tuple[Any, Any, type[LimbeckError], str]] = [
    (train_is_test, {}, DataError, r"records are in the test records too: .*rows/train/de/topic/3.*leave_out"),
    (no_english_label, {}, DataError, "no labelled training record in the source language 'en': the teacher learns"),
    (no_german_test, {}, DataError, "no test record in de: nothing could be said about these languages"),
    (no_german_row, {}, DataError, r"train.jsonl has nothing in 'de'. It has: bg, en, fr"),
    (wrong_label, {}, DataError, r"train.jsonl, line 5, field 'label': unknown label 'sport'; did you mean"),
    (no_label_of_a_target, {"data.shots": [2]}, DataError, "no labelled training record in a target language"),
    (nothing, without_key, DataError, r"rows: these records have no translations.*Use pairing: same"),
    (nothing, {"data.sets.0.task": "topics"}, ConfigError, "no Task-Level Prompt for task 'topics'.*'topic'"),
    (nothing, {"data.sets.0.keys": "key"}, ConfigError, r"data.sets.0: the layout 'rows' has no option 'keys'.*'key'"),
    (nothing, {"data.sets.0.languages": ["fr"]}, ConfigError, r"data.sets.0.languages: not among task.languages: fr"),
    (nothing, one_translation({"distractors": {"nearst": 2}}), ConfigError, r"0: distractors.nearst: .*'nearest'"),
    (nothing, one_translation({"distractors": {"random": "x"}}), ConfigError, r"distractors.random: .*\(got 'x'\)"),
    (nothing, one_translation({"distractors": 3}), ConfigError, "data.sets.0: distractors: expected nearest, random"),
    (nothing, one_translation({"train_distractors": {"nearst": 2}}), ConfigError, r"0: train_distractors.nearst: "),
    (nothing, from_german, ConfigError, "sets.0: translations are from English, but task.source_language is 'de'"),
    (nothing, {"data.sets.0.folder": "/nowhere"}, DataError, "/nowhere has no file of the split 'train'"),
    (answer_in_the_question, {"data.sets.1.labels": ["match", "no match"]}, DataError, "holds the answer 'match'"),
    (nothing, {"backbone.max_length": 48}, ConfigError, r"tokens of hard prompts.* of 48 positions for the input"),
    (nothing, {"backbone.max_length": 24}, ConfigError, r"a candidate of 1 tokens does not fit 24 positions"),
    (
        nothing, {"prompts": {"form": "soft", "task_vectors": 60, "language_vectors": 60}, "backbone.max_length": 512},
        ConfigError, r"120 soft prompt vectors, .* leave \d+ of 128 positions for the input. Use fewer soft vectors",
    ),
]  # fmt: skip


def spoil(sections: dict[str, Any], change: Any) -> None:
    if callable(change):
        change(sections)
        return
    for path, value in change.items():
        *parts, last = path.split(".")
        section: Any = sections
        for part in parts:
            section = section[int(part) if part.isdigit() else part]
        section[last] = value


@pytest.mark.fast_cases(6)
@pytest.mark.parametrize(("files", "change", "error", "message"), FAULTS)
def test_a_fault_stops_the_run_before_anything_is_trained(
    own_run: dict[str, Any],
    own_toy_data: Path,
    monkeypatch: pytest.MonkeyPatch,
    files: Any,
    change: Any,
    error: type[LimbeckError],
    message: str,
) -> None:
    def refuse(*arguments: Any, **options: Any) -> None:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr("limbeck.tasks.ranking.context.make_scorer", refuse)
    files(own_toy_data)
    spoil(own_run, change)
    with pytest.raises(error, match=re.compile(message, re.DOTALL)):
        limbeck.distill(**own_run)


def test_pairing_same_needs_no_translations(toy_run: dict[str, Any]) -> None:
    without_key(toy_run)
    data = read(toy_run)
    assert len(pair_for(data, "same").students) == len(data.pool)
    with pytest.raises(DataError, match="have no translations"):
        pair_for(data, "mixed")


def test_candidates_that_differ_between_teacher_and_student_are_refused(toy_run: dict[str, Any]) -> None:
    from dataclasses import replace

    data = read(toy_run)
    turned = [replace(r, candidates=r.candidates[1:] + r.candidates[:1]) for r in data.pool]
    with pytest.raises(DataError, match="candidates are not in the same order"):
        pair_for(replace(data, pool=turned), "parallel")
    fewer = [replace(r, candidates=r.candidates[:-1]) for r in data.pool]
    with pytest.raises(DataError, match=r"have \d and \d candidates"):
        pair_for(replace(data, pool=fewer), "parallel")


def test_a_language_without_a_prompt_is_refused_and_one_of_ones_own_will_do(
    toy_run: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from limbeck.data.prompts import registry

    whole = registry._texts

    def without_german(kind: str, version: str) -> Any:
        return {lang: text for lang, text in whole(kind, version).items() if (kind, lang) != ("languages", "de")}

    monkeypatch.setattr(registry, "_texts", without_german)
    with pytest.raises(ConfigError, match=r"there is no Language-Level Prompt for language 'de'.*prompts: {languages"):
        read(toy_run)
    toy_run["prompts"]["languages"] = {"de": "Text in German."}
    data = read(toy_run)
    texts = hard_prompts(PromptChoice(languages={"de": "Text in German."}))
    assert texts(next(record for record in data.pool if record.lang == "de"))[1] == "Text in German."


def test_overlap_can_be_left_out_of_training(own_run: dict[str, Any], own_toy_data: Path) -> None:
    train_is_test(own_toy_data)
    own_run["data"]["overlap"] = "leave_out"
    data = read(own_run)
    assert "rows/train/de/topic/3" not in {record.id for record in data.pool}
    assert len(data.pool) == 95
    assert "1 training records were left out: their texts are test texts too." in data.warnings


def test_fingerprints_know_every_row(own_run: dict[str, Any], own_toy_data: Path) -> None:
    before = read(own_run).fingerprints
    assert read(own_run).fingerprints == before
    edit(own_toy_data, "train", lambda row: row | ({"text": "new"} if (row["lang"], row["key"]) == ("bg", 1) else {}))
    after = read(own_run).fingerprints
    assert after["train"] != before["train"]
    assert after["test"] == before["test"]
    assert after["prompts"] == before["prompts"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"task.languages": ["xx"]}, "run.yaml:1: task.languages: 'xx' is none of the"),
        ({"task.languages": ["en", "de"]}, "the source language 'en' cannot be a target language too"),
        ({"data.sets.0.layout": "row"}, "run.yaml:1: data.sets.0.layout: no layout 'row'; did you mean 'rows'"),
        (
            {"recipe.confidence_threshhold": 1},
            "recipe.confidence_threshhold: 'ml_ipd' has no such argument; did you mean 'confidence_threshold'",
        ),
        ({"training.source.max_length": 9}, "one length holds for all stages; set backbone.max_length"),
        ({"data.sets.0.folder": "/nowhere"}, "/nowhere has no file of the split 'train'"),
        (without_key, "Use pairing: same"),
    ],
)
def test_on_the_command_line_a_fault_is_a_line_and_exit_code_2(
    toy_run: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    change: Any,
    words: str,
) -> None:
    spoil(toy_run, change)
    file = tmp_path / "run.yaml"
    file.write_text(json.dumps(toy_run), encoding="utf-8")  # JSON is YAML
    monkeypatch.setattr(sys, "argv", ["limbeck", "distill", str(file)])
    with pytest.raises(SystemExit) as end:
        main()
    errors = capsys.readouterr().err
    assert end.value.code == 2
    assert words in errors
    assert "Traceback" not in errors
    assert not list(Path(toy_run["output"]).glob("stages/*"))


def test_a_budget_of_labels_without_any_target_label_is_refused_and_0_is_not(
    own_run: dict[str, Any], own_toy_data: Path
) -> None:
    for name in ("topic", "ads"):
        file = own_toy_data / name / "train.jsonl"
        write(file, [row if row["lang"] == "en" else row | {"label": None} for row in rows_of(file)])
    own_run["data"]["shots"] = [0, 4]
    with pytest.raises(DataError, match=r"data\.shots asks for up to 4 of each: set data\.shots: 0"):
        read(own_run)
    own_run["data"]["shots"] = 0
    assert not any(record.gold for record in read(own_run).pool)
