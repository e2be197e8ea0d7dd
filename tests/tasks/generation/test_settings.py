"""A student's folder ends where its texts end, whoever lets it write."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.tasks.generation.text_models import (
    CHATML,
    LLAMA,
    T5,
    as_messages,
    held_out_rows,
    make_model,
    make_tokenizer,
    save,
    text_sections,
    train_rows,
    trained,
    write_jsonl,
)

import limbeck
from limbeck.data.generation.encode import encode_examples
from limbeck.data.generation.records import Example, Examples, Message
from limbeck.data.generation.task import Generation
from limbeck.errors import ModelError
from limbeck.models.load import load_language_model, load_tokenizer, save_model
from limbeck.tasks.generation.predict import WritingStudent
from limbeck.tasks.generation.rows import decoder_start
from limbeck.tasks.generation.settings import end_tokens_of, own_end_tokens, set_padding, set_writing
from limbeck.types import Origin

STALE = {"do_sample": False, "temperature": 0.0, "top_p": 0.8, "top_k": 20, "repetition_penalty": 1.3}
"""Settings that transformers loads with a warning, and writes only as long as nothing is changed in them."""


pytestmark = pytest.mark.usefixtures("light")


def settings(folder: str | Path) -> dict[str, Any]:
    found = json.loads((Path(folder) / "generation_config.json").read_text(encoding="utf-8"))
    assert found.pop("do_sample") is False  # pipelines sample where it is not said
    return {name: value for name, value in found.items() if name != "transformers_version"}


def base_model(folder: Path, **own: Any) -> str:
    """Write a model with a chat template that its own settings do not know."""
    tokenizer = make_tokenizer(template=CHATML)
    save(make_model(LLAMA, rows=len(tokenizer)), tokenizer, folder)
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": 2, "pad_token_id": 0, **own}))
    return str(folder)


def texts(tokenizer: Any, answers: list[str], template: str = "auto") -> Any:
    rows = [Example((Message("user", "q"), Message("assistant", a)), None, Origin("rows", 1)) for a in answers]
    task = Generation(prompt="q", completion="a", template=template)  # type: ignore[arg-type]
    return encode_examples(Examples(task, rows, 0, 0, "", ()), tokenizer, 64)


@pytest.mark.slow
def test_a_base_model_taught_a_chat_stops_where_its_turns_end(tmp_path: Path) -> None:
    sections = text_sections(tmp_path, "chat", student={"model": base_model(tmp_path / "base", **STALE)})
    sections["training"] = {"max_steps": 120, "batch_size": 16, "learning_rate": 1e-2, "max_length": 96}
    limbeck.distill(**sections)
    folder = Path(sections["output"]) / "student"
    assert settings(folder) == {"bos_token_id": 1, "eos_token_id": [4, 2], "pad_token_id": 0}
    (stage,) = (folder.parent / "stages").iterdir()
    assert settings(stage / "model") == settings(folder)

    from transformers import AutoModelForCausalLM, AutoTokenizer, pipeline

    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    asked = [row["messages"][:1] for row in as_messages(train_rows()[:6])]
    prompts = tokenizer.apply_chat_template(
        asked, add_generation_prompt=True, return_dict=True, return_tensors="pt", padding=True
    )
    written = model.generate(**prompts, max_new_tokens=40)[:, prompts["input_ids"].shape[1] :].tolist()
    assert all(4 in row for row in written)
    assert all(set(row[row.index(4) + 1 :]) <= {0} for row in written)
    # As `limbeck predict` has it, and so the report's figures.
    student = WritingStudent(folder)
    examples = [Example((Message("user", turns[0]["content"]),), None, Origin("rows", 1)) for turns in asked]
    ours = list(student.write_stream(iter(examples), max_new_tokens=40))
    assert [one["answer"] for one in ours] == tokenizer.batch_decode(written, skip_special_tokens=True)
    answers = pipeline("text-generation", model=str(folder), device="cpu")(
        asked, max_new_tokens=40, batch_size=3, return_full_text=False
    )
    assert [one[0]["generated_text"] for one in answers] == [one["answer"] for one in ours]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "student", "expected"),
    [
        ("llama", {"config": LLAMA}, {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}),
        ("chat", {"from_teacher": {"layers": [1]}}, {"bos_token_id": 1, "eos_token_id": [4, 2], "pad_token_id": 0}),
        (
            "t5",
            {"config": T5},
            {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, "decoder_start_token_id": 0},
        ),
    ],
    ids=["plain", "copied", "t5"],
)
def test_every_kind_of_student(tmp_path: Path, kind: str, student: Any, expected: Any) -> None:
    sections = text_sections(tmp_path, kind, student=student)
    sections["training"]["max_steps"] = 1
    limbeck.distill(**sections)
    folder = Path(sections["output"]) / "student"
    assert settings(folder) == expected
    tokenizer = load_tokenizer(str(folder))
    assert tokenizer.padding_side == ("right" if kind == "t5" else "left")
    assert load_language_model(str(folder)).generation_config.eos_token_id == expected["eos_token_id"]


@pytest.mark.slow
def test_a_fine_tuned_teachers_folder_ends_too(tmp_path: Path) -> None:
    """It is what vLLM loads."""
    folder = base_model(tmp_path / "base", **STALE)
    sections = text_sections(tmp_path, "chat", teacher={"model": folder})
    sections["teacher"] |= {"fine_tune": {"max_steps": 60, "batch_size": 16, "learning_rate": 1e-2}}
    sections["training"]["max_steps"] = 1
    limbeck.distill(**sections)
    stage = Path(sections["output"]) / "stages" / "teacher-fine_tune-seed0" / "model"
    assert settings(stage)["eos_token_id"] == [4, 2]


def test_own_end_tokens_stay_that_are_special_and_end_texts(tmp_path: Path) -> None:
    """Id 40 is a letter here; a token that completions go on after ends none."""
    model, tokenizer = make_model(LLAMA, rows=360), make_tokenizer(template=CHATML)
    model.generation_config.eos_token_id = [3, 40, "</s>", None, 9999]
    assert own_end_tokens(model, tokenizer) == (3,)
    assert end_tokens_of(model, tokenizer, texts(tokenizer, ["yes"])) == (4, 2, 3)
    assert end_tokens_of(model, tokenizer, texts(tokenizer, ["yes <|im_start|> no"])) == (4, 2)
    model.generation_config.eos_token_id = None
    assert end_tokens_of(model, tokenizer, texts(tokenizer, ["yes"], "plain")) == (2,)


def test_a_tokenizer_without_padding_fills_up_with_its_end(tmp_path: Path) -> None:
    model, tokenizer = make_model(LLAMA, rows=360), make_tokenizer()
    tokenizer.pad_token = None
    encoded = texts(tokenizer, ["yes"])
    set_writing(model, tokenizer, encoded)
    set_padding(tokenizer, model)
    save_model(model, tokenizer, tmp_path)
    saved = load_tokenizer(str(tmp_path))
    assert (settings(tmp_path)["pad_token_id"], saved.pad_token, saved.padding_side) == (2, "</s>", "left")


@pytest.mark.slow
def test_plain_text_without_an_end_token_ends_nowhere(tmp_path: Path) -> None:
    model, tokenizer = trained("llama")
    endless = copy.deepcopy(tokenizer)
    endless.eos_token = None
    teacher = save(model, endless, tmp_path / "endless")
    (tmp_path / "endless" / "generation_config.json").write_text("{}")
    rows = [{"text": f"{row['question']} {row['answer']}"} for row in train_rows()]
    fine_tune = {"max_steps": 60, "batch_size": 16, "learning_rate": 1e-2}
    sections = text_sections(
        tmp_path, teacher={"model": teacher, "fine_tune": fine_tune}, task={"kind": "generation", "text": "text"}
    )
    sections["data"] = {"train": write_jsonl(tmp_path / "rows.jsonl", rows)}
    sections["training"]["max_steps"] = 1
    limbeck.distill(**sections)
    folder = Path(sections["output"]) / "student"
    assert "eos_token_id" not in settings(folder)
    assert settings(folder)["pad_token_id"] == 0
    assert load_tokenizer(str(folder)).pad_token == "<pad>"


def test_settings_that_forbid_a_short_answer_go(tmp_path: Path) -> None:
    """A summariser's least length would keep a student from ever ending."""
    model, tokenizer = make_model(T5 | {"decoder_start_token_id": 0}, rows=360), make_tokenizer()
    model.generation_config.update(min_length=56, num_beams=4, no_repeat_ngram_size=3, forced_bos_token_id=3)
    rows = [Example((Message("user", "q"), Message("assistant", "a")), None, Origin("rows", 1))]
    task = Generation(prompt="q", completion="a")
    encoded = encode_examples(Examples(task, rows, 0, 0, "", ()), tokenizer, 64, decoder_start=decoder_start(model))
    set_writing(model, tokenizer, encoded)
    save_model(model, tokenizer, tmp_path)
    assert settings(tmp_path) == {
        "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, "decoder_start_token_id": 0,
    }  # fmt: skip


def test_a_decoders_start_may_stand_in_the_generation_settings_alone() -> None:
    """Training and writing start with the same token, wherever it is said."""
    model = make_model(T5, rows=360)
    with pytest.raises(ModelError, match="decoder_start_token_id"):
        decoder_start(model)
    model.generation_config.decoder_start_token_id = 3
    assert decoder_start(model) == 3
    model.config.decoder_start_token_id = 1
    assert decoder_start(model) == 1

    from limbeck.models.generate import Decoding, write_completions

    seen: list[Any] = []
    model.get_decoder().register_forward_pre_hook(
        lambda _, __, named: seen.append(named["input_ids"]), with_kwargs=True
    )
    write_completions(model, [[5, 6]], Decoding(1, 0.0), end_ids=[2], pad_id=0, seed=0)
    assert torch.equal(seen[0], torch.tensor([[1]]))


def test_adapters_saved_beside_the_model_keep_where_it_ends(tmp_path: Path) -> None:
    from limbeck.students.adapters import Adapter, add_adapter, merged_for_export

    model, tokenizer = trained("llama")
    model = add_adapter(make_model(LLAMA, rows=len(tokenizer)), Adapter(kind="houlsby", width=4))
    merged_for_export(model)
    set_writing(model, tokenizer, texts(tokenizer, [row["answer"] for row in held_out_rows()]))
    model.generation_config.eos_token_id = [2, 4]
    save_model(model, tokenizer, tmp_path)
    assert (tmp_path / "adapter.json").exists()
    assert load_language_model(str(tmp_path)).generation_config.eos_token_id == [2, 4]
