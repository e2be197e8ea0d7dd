"""A saved cross-lingual student answers as it did in its run."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limbeck.errors import ConfigError, DataError, ModelError
from limbeck.evaluation.predict import softmax
from limbeck.runs.config import run_config
from limbeck.runs.flow import run
from limbeck.tasks.ranking.measure import _fixed_labels
from limbeck.tasks.ranking.predict import Ranker, RankingTask
from limbeck.tasks.ranking.rows import read_language_data
from limbeck.types import Instruction, SilentProgress

Records = Callable[..., list[Instruction]]
LABELS = ["health", "politics", "sports"]


def write_rows(folder: Path, make_topic_records: Records) -> Path:
    """Write train.jsonl and test.jsonl: parallel rows in English, Bulgarian and Slovak."""
    folder.mkdir()
    for split, part in (("train", slice(0, 24)), ("test", slice(24, 36))):
        rows = [
            {"lang": lang, "key": i, "text": record.input, "label": record.candidates[record.gold[0]]}
            for lang in ("en", "bg", "sk")
            for i, record in enumerate(make_topic_records(lang)[part])
        ]
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def run_sections(model: Path, rows: Path, output: Path, recipe: str, **backbone: Any) -> dict[str, Any]:
    one = {"max_steps": 1, "batch_size": 4, "learning_rate": 1e-2, "checkpoints": 1}
    own = {"layout": "rows", "folder": str(rows), "task": "topic", "labels": LABELS, "key": "key"}
    return {
        "task": {"kind": "ranking", "languages": ["bg", "sk"]},
        "data": {"sets": [own], "shots": 2},
        "backbone": {"model": str(model), "scorer": "dual_encoder", "max_length": 110, **backbone},
        "prompts": {"languages": {"bg": "Български текст."}},
        "recipe": {"name": recipe, **({"confidence_threshold": 0.0} if recipe == "ml_ipd" else {})},
        "baselines": [],
        "training": {"source": one, "distillation": one, "target": one},
        "output": str(output),
    }


def student(
    model: Path, rows: Path, output: Path, recipe: str, **backbone: Any
) -> tuple[Path, np.ndarray[Any, Any], list[Instruction]]:
    """Run, and return the student folder, the run's own scores of the test records, and these records."""
    config = run_config(run_sections(model, rows, output, recipe, **backbone))
    run(config, progress=SilentProgress())
    scores = np.load(output / "predictions" / f"{recipe}-n2-seed0.npy")
    return output / "student", scores, read_language_data(config).test  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory, make_topic_records: Records) -> Path:
    return write_rows(tmp_path_factory.mktemp("data") / "rows", make_topic_records)


@pytest.fixture(scope="module")
def trained(
    multilingual_folder: Path, rows: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, np.ndarray[Any, Any], list[Instruction]]:
    return student(multilingual_folder, rows, tmp_path_factory.mktemp("run") / "run", "ml_ipd")


@pytest.fixture(scope="module")
def ranker(trained: tuple[Path, np.ndarray[Any, Any], list[Instruction]]) -> Ranker:
    return Ranker(trained[0])


@pytest.mark.slow
def test_the_saved_student_ranks_as_it_did_in_the_run(
    trained: tuple[Path, np.ndarray[Any, Any], list[Instruction]], ranker: Ranker
) -> None:
    _, scores, records = trained
    np.testing.assert_allclose(ranker.scores(records), scores, rtol=0, atol=1e-5)
    answers = ranker.predict([r.input for r in records], [r.lang for r in records])
    for record, row, answer in zip(records, softmax(scores), answers, strict=True):
        by_run = dict(zip(record.candidates, row, strict=True))
        assert answer["probabilities"] == pytest.approx(by_run, abs=1e-4)
        assert list(answer["probabilities"].values()) == sorted(answer["probabilities"].values(), reverse=True)
        assert answer["confidence"] == max(answer["probabilities"].values())
        assert answer["probabilities"][answer["label"]] == answer["confidence"]
        assert answer["lang"] == record.lang


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipe", "backbone", "expected"),
    [
        ("pl_bl", {}, {"scorer": "verbaliser", "reads": "hard", "critic": False}),
        ("ml_dft", {"scorer": "cross_encoder"}, {"scorer": "cross_encoder", "reads": "task_name", "critic": False}),
        ("rl_ia", {}, {"scorer": "dual_encoder", "reads": "run", "critic": True}),
    ],
)
def test_students_of_recipes_with_scorer_prompts_or_critic_of_their_own(
    recipe: str,
    backbone: dict[str, Any],
    expected: dict[str, Any],
    multilingual_folder: Path,
    rows: Path,
    tmp_path: Path,
) -> None:
    folder, scores, records = student(multilingual_folder, rows, tmp_path / "run", recipe, **backbone)
    saved = json.loads((folder / "task.json").read_text(encoding="utf-8"))
    assert {name: saved[name] for name in expected} == expected
    np.testing.assert_allclose(Ranker(folder).scores(records), scores, rtol=0, atol=1e-5)


def test_the_language_is_read(ranker: Ranker) -> None:
    """The same text under another language's prompts gets other probabilities, under another code of it the same."""
    texts = ["the team plays in the city today"]
    (bulgarian,), (slovak,) = ranker.predict(texts, "bg"), ranker.predict(texts, "sk")
    assert slovak["probabilities"] != pytest.approx(bulgarian["probabilities"], abs=1e-4)
    assert ranker.predict(texts, "bul_Cyrl") == [bulgarian]
    both = ranker.predict(texts * 2, ["bg", "sk"])
    for together, alone in zip(both, (bulgarian, slovak), strict=True):
        assert together["probabilities"] == pytest.approx(alone["probabilities"], abs=1e-5)


def test_a_stream_is_answered_in_order_and_in_any_batches(ranker: Ranker, make_topic_records: Records) -> None:
    rows = [(record.input, None, lang) for lang in ("en", "sk") for record in make_topic_records(lang)[:5]]
    answers = list(ranker.predict_stream(iter(rows), batch_rows=3))
    assert [(answer["text"], answer["lang"]) for answer in answers] == [(text, lang) for text, _, lang in rows]
    for (text, _, lang), answer in zip(rows, answers, strict=True):
        (alone,) = ranker.predict([text], lang)
        assert answer["probabilities"] == pytest.approx(alone["probabilities"], abs=1e-5)


def test_no_texts_no_answers(ranker: Ranker) -> None:
    assert ranker.predict([], "en") == []
    assert list(ranker.predict_stream(iter([]))) == []


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"lang": "fr"}, DataError, "'fr'; it knows en (English), bg (Bulgarian), sk (Slovak)"),
        ({"lang": "Klingon"}, DataError, "'Klingon'; it knows en"),
        ({"lang": "en", "task": "topics"}, ConfigError, "no task 'topics'; did you mean 'topic'?"),
        ({"lang": "en", "pairs": ["b"]}, DataError, "'topic' reads one text"),
    ],
)
def test_what_is_refused(ranker: Ranker, arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as raised:
        ranker.predict(["a"], **arguments)
    assert message in str(raised.value)


def test_an_empty_text_is_refused_by_its_row(ranker: Ranker) -> None:
    with pytest.raises(DataError, match="row 2: an input text is empty"):
        ranker.predict(["a", " "], "en")


def with_task(ranker: Ranker, **values: Any) -> Ranker:
    """The same student with another task file."""
    other = object.__new__(Ranker)
    other.__dict__ = {**ranker.__dict__, "task": ranker.task.model_copy(update=values)}
    return other


def test_a_task_must_be_named_where_there_are_several(ranker: Ranker) -> None:
    several = with_task(ranker, labels={"topic": LABELS, "topic/news": LABELS[:2]}, tasks=["topic", "ner"])
    with pytest.raises(ConfigError, match=r"several tasks.*topic, topic/news"):
        several.predict(["a"], "en")
    (answer,) = several.predict(["a"], "en", task="topic/news")
    assert set(answer["probabilities"]) == set(LABELS[:2])
    with pytest.raises(ConfigError, match=r"'ner' has no fixed labels.*limbeck evaluate --layout.*topic, topic/news"):
        several.predict(["a"], "en", task="ner")


def test_a_student_without_any_fixed_labels_says_so(ranker: Ranker) -> None:
    with pytest.raises(ConfigError, match=r"\(translation\) have no fixed labels"):
        with_task(ranker, labels={}, tasks=["translation"]).predict(["a"], "en")


def test_pairs_are_read_and_asked_for(ranker: Ranker) -> None:
    paired = with_task(ranker, pairs=["topic"])
    with pytest.raises(DataError, match="'topic' reads two texts"):
        paired.predict(["a"], "en")
    first, second = (paired.predict(["a"], "en", [pair]) for pair in ("the team plays", "the patient sleeps"))
    assert first != second
    (streamed,) = paired.predict_stream(iter([("a", "the team plays", "en")]))
    assert (streamed["text_pair"], streamed["label"]) == ("the team plays", first[0]["label"])


def test_task_files_are_told_apart_and_checked(ranker: Ranker, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no such folder"):  # rather than that it is no such student
        Ranker(tmp_path / "none")
    for content, said in ((None, "it has no task.json"), ('{"kind": "classification"}', "says classification")):
        if content:
            (tmp_path / "task.json").write_text(content, encoding="utf-8")
        with pytest.raises(ModelError, match=f"is not a student of the kind ranking: .*{said}"):
            Ranker(tmp_path)
    (tmp_path / "task.json").write_text('{"kind": "ranking", "scorer": "psychic"}', encoding="utf-8")
    with pytest.raises(ModelError, match=r"task\.json is damaged.*Write the student again"):
        Ranker(tmp_path)
    (tmp_path / "task.json").write_text("{", encoding="utf-8")
    with pytest.raises(ModelError, match="is damaged"):
        Ranker(tmp_path)
    assert RankingTask.model_validate_json(ranker.task.model_dump_json()) == ranker.task


def test_which_tasks_have_fixed_labels(make_topic_records: Records) -> None:
    topic = make_topic_records("bg", "test")
    news = [replace(record, source="news", candidates=record.candidates[:2], gold=(0,)) for record in topic]
    nli = [replace(record, task="nli", input_pair="b") for record in topic]
    tagged = [replace(record, task="pos", slots=(("word", "a"),)) for record in topic]
    ranked = [replace(record, task="web_pages", grades=(0.0, 1.0, 2.0)) for record in topic]
    own = [replace(r, task="translation", candidates=(r.input, f"not {r.input}"), gold=(0,)) for r in topic]
    assert _fixed_labels([*topic, *nli, *tagged, *ranked, *own]) == ({"topic": LABELS, "nli": LABELS}, ["nli"])
    assert _fixed_labels([*topic, *news]) == ({"topic/toy": LABELS, "topic/news": LABELS[:2]}, [])
    # The order of candidates differs from record to record and makes no other labels.
    turned = [replace(topic[0], candidates=topic[0].candidates[::-1]), topic[1]]
    assert _fixed_labels(turned) == ({"topic": LABELS}, [])
