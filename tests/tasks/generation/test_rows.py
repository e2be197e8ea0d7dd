"""The rows of a generation run, before any model is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.tasks.generation.text_models import (
    LLAMA,
    held_out_rows,
    make_model,
    make_tokenizer,
    train_rows,
    write_jsonl,
)

from limbeck.errors import ConfigError, DataError
from limbeck.runs.config import run_config
from limbeck.tasks.generation.config import TextRunConfig
from limbeck.tasks.generation.rows import completion_budget, encode_texts, leaked_texts, read_texts, text_limit


def config_of(folder: Path, train: list[dict[str, Any]], **changes: Any) -> TextRunConfig:
    sections: dict[str, Any] = {
        "task": {"kind": "generation", "prompt": "question", "completion": "answer"},
        "data": {"train": write_jsonl(folder / "train.jsonl", train)},
        "teacher": {"model": "large"},
        "student": {"model": "small"},
        "recipe": "kd",
        "output": str(folder / "run"),
    }
    sections["data"] |= changes.pop("data", {})
    config = run_config({**sections, **changes})
    assert isinstance(config, TextRunConfig)
    return config


def test_rows_are_held_out_where_no_test_data_are_given(tmp_path: Path) -> None:
    config = config_of(tmp_path, train_rows(), data={"test_size": 0.25})
    rows = read_texts(config)
    assert (len(rows.train), len(rows.test), rows.completed) == (36, 12, 36)
    assert {row.messages for row in rows.train.rows}.isdisjoint(row.messages for row in rows.test.rows)
    again = read_texts(config)
    assert [row.origin for row in again.test.rows] == [row.origin for row in rows.test.rows]
    assert set(rows.fingerprints) == {"train"}


def test_prompts_without_a_completion_are_never_held_out(tmp_path: Path) -> None:
    """Figures need references."""
    bare = [{"question": f"{row['question']} {i}"} for i, row in enumerate(train_rows())]
    recipe = {"name": "gkd", "on_policy_fraction": 1, "fine_tune_fraction": 0}
    rows = read_texts(config_of(tmp_path, [*train_rows()[:20], *bare], recipe=recipe, data={"test_size": 0.2}))
    assert len(rows.test) == 4
    assert all(row.completion for row in rows.test.rows)
    assert (len(rows.train), rows.completed) == (64, 16)
    with pytest.raises(DataError, match=r"cannot hold out 10 % of 0 rows with completions.*give data\.test"):
        read_texts(config_of(tmp_path, bare, recipe=recipe))


def test_completions_are_needed_where_they_are_read(tmp_path: Path) -> None:
    bare = [{"question": row["question"]} for row in train_rows()]
    test = write_jsonl(tmp_path / "test.jsonl", held_out_rows())
    for recipe in ("kd", "fine_tune", "gkd", "distillm"):
        with pytest.raises(DataError, match="no row has the field 'answer'"):
            read_texts(config_of(tmp_path, bare, recipe=recipe, data={"test": test}))
    for name in ("seqkd", "f_distill", "minillm"):
        share = {"f_distill": {"pre_distillation_fraction": 0}, "minillm": {"fine_tune_fraction": 0}}.get(name, {})
        rows = read_texts(config_of(tmp_path, bare, recipe={"name": name, **share}, data={"test": test}))
        assert (len(rows.train), rows.completed) == (48, 0)
    # A teacher that is fine-tuned first reads them, whatever the recipe.
    tuned = {"model": "large", "fine_tune": {"num_train_epochs": 1}}
    with pytest.raises(DataError, match="no row has the field 'answer'"):
        read_texts(config_of(tmp_path, bare, recipe="seqkd", teacher=tuned, data={"test": test}))
    with pytest.raises(ConfigError, match=r"task\.completion is missing"):
        read_texts(config_of(tmp_path, bare, task={"kind": "generation", "prompt": "question"}))


def test_rows_that_are_in_both_sets_are_found(tmp_path: Path) -> None:
    test = write_jsonl(tmp_path / "test.jsonl", [*held_out_rows(), train_rows()[3]])
    (leak,) = leaked_texts(read_texts(config_of(tmp_path, train_rows(), data={"test": test})))
    assert leak.endswith("test.jsonl:13") or "line 13" in leak


def test_bad_rows_are_set_aside_and_counted(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    test = write_jsonl(tmp_path / "test.jsonl", [*held_out_rows(), {"question": 7, "answer": "a"}])
    corpus = write_jsonl(tmp_path / "corpus.jsonl", [{"text": "a text"}, {"text": "another text"}, {"text": None}])
    train = [*train_rows(), {"question": "", "answer": "a"}]
    recipe = {"name": "minillm", "corpus_weight": 1.0}
    data = {"test": test, "corpus": corpus, "on_bad_row": "quarantine"}
    rows = read_texts(config_of(tmp_path, train, recipe=recipe, data=data), folder)
    assert rows.left_out == 3
    assert rows.corpus is not None
    assert len(rows.corpus) == 2
    assert set(rows.fingerprints) == {"train", "test", "corpus"}
    assert {path.name for path in folder.iterdir()} == {f"quarantine-{n}.jsonl" for n in ("train", "test", "corpus")}


def test_the_limit_is_what_every_model_can_read(tmp_path: Path) -> None:
    tokenizer = make_tokenizer()
    short, long = (make_model({**LLAMA, "max_position_embeddings": n}, rows=len(tokenizer)) for n in (40, 80))
    config = config_of(tmp_path, train_rows())
    assert text_limit(config, tokenizer, long, short) == 40
    asked = config_of(tmp_path, train_rows(), training={"max_length": 24})
    assert text_limit(asked, tokenizer, long, short) == 24


@pytest.mark.parametrize(
    ("recipe", "answers", "budget"),
    [
        ("kd", {"rows": 5, "max_new_tokens": 9}, 9),
        ("kd", {"rows": 0, "max_new_tokens": 9}, 1),
        ({"name": "gkd", "max_new_tokens": 20}, {"max_new_tokens": 9}, 20),
        ({"name": "seqkd", "max_new_tokens": 21}, {"max_new_tokens": 9}, 21),
        ({"name": "minillm", "max_new_tokens": 4}, {"max_new_tokens": 9}, 9),
        ({"name": "distillm", "max_new_tokens": 500}, {"max_new_tokens": 9}, 32),
    ],
    ids=["answers", "no_answers", "gkd", "seqkd", "minillm", "half"],
)
def test_there_is_room_behind_a_prompt_for_the_longest_text_of_the_run(
    recipe: Any, answers: dict[str, int], budget: int, tmp_path: Path
) -> None:
    config = config_of(tmp_path, train_rows(), recipe=recipe, answers=answers)
    assert completion_budget(config, 64) == budget
    long = [{"question": "where is my card " * 20, "answer": "card"}, train_rows()[0]]
    rows = read_texts(config_of(tmp_path, long, data={"test": write_jsonl(tmp_path / "t.jsonl", held_out_rows())}))
    tokenizer = make_tokenizer()
    encoded = encode_texts(config, rows.train, tokenizer, make_model(LLAMA, rows=len(tokenizer)), 64)
    assert len(encoded.prompt_ids(0)) <= 64 - budget
    assert encoded.truncated == 1
    if budget > 5:  # the completion itself needs less
        assert len(encoded.prompt_ids(0)) == 64 - budget
