"""What the doctor finds before the money is spent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.tasks.generation.text_models import (
    CHATML,
    LLAMA,
    held_out_rows,
    make_model,
    make_tokenizer,
    save,
    text_sections,
    train_rows,
    write_jsonl,
)

from limbeck.formatting import share_text
from limbeck.models.load import load_language_model
from limbeck.runs.config import run_config
from limbeck.runs.examine import examine as examine_run
from limbeck.tasks.finding import Finding
from limbeck.tasks.generation.config import TextRunConfig
from limbeck.types import SilentProgress


@pytest.fixture
def sections(tmp_path: Path) -> dict[str, Any]:
    return text_sections(tmp_path)


def examine(sections: dict[str, Any]) -> dict[str, Finding]:
    """Return the findings by their check; of two on one check the graver."""
    config = run_config(sections)
    assert isinstance(config, TextRunConfig)
    order = ["ok", "note", "warning", "fault"]
    found: dict[str, Finding] = {}
    for finding in examine_run(config, SilentProgress()):
        before = found.get(finding.check)
        if before is None or order.index(finding.level) >= order.index(before.level):
            found[finding.check] = finding
    return found


def test_a_good_run_has_no_fault_and_leaves_no_trace(sections: dict[str, Any]) -> None:
    found = examine(sections)
    assert {name: finding.level for name, finding in found.items()} == {
        "data": "ok", "duplicates": "ok", "template": "ok", "layout": "ok", "padding": "ok", "vocabulary": "ok",
        "end token": "ok", "losses": "ok", "memory": "note", "time": "note",
    }  # fmt: skip
    assert found["data"].message.startswith("48 training rows (48 with completions), 12 held-out rows")
    assert "teacher 0." in found["losses"].message
    assert "the same 360 tokens" in found["vocabulary"].message
    assert found["end token"].message == "completions end with </s>; shorter rows are filled up with <pad>"
    assert found["template"].message.startswith(r"prompt, '\n\n', completion;")
    assert "0.0 % of them are cut to fit" in found["layout"].message
    assert not Path(sections["output"]).exists()


def test_counted_tokens_are_those_of_the_completions(sections: dict[str, Any]) -> None:
    tokenizer = make_tokenizer()
    learnt = sum(len(tokenizer(row["answer"])["input_ids"]) + 1 for row in train_rows())
    read = sum(len(tokenizer(row["question"] + "\n\n")["input_ids"]) for row in train_rows())
    config = run_config(sections)
    assert isinstance(config, TextRunConfig)
    layout = next(f for f in examine_run(config, SilentProgress()) if f.check == "layout")
    assert f"{learnt:,} of {learnt + read:,} tokens are learnt" in layout.message


def test_padding_is_that_of_the_log_packed_and_not(sections: dict[str, Any]) -> None:
    """Of micro-batches of 8 rows, all of them padded to the longest, or put into rows of 128 tokens."""
    sections["training"].update(batch_size=48, max_length=128)
    tokenizer = make_tokenizer()
    lengths = sorted(len(tokenizer(f"{r['question']}\n\n{r['answer']}</s>")["input_ids"]) for r in train_rows())
    padding = 1 - sum(lengths) / (48 * max(lengths))
    plain = share_text(padding, digits=0)
    assert examine(sections)["padding"].message.startswith(f"of what the student reads {plain} without packing")
    sections["training"]["packing"] = True
    message = examine(sections)["padding"].message
    assert message.endswith(f"it would be {plain} without packing")
    packed = int(message.split("reads ")[1].split(" %")[0])
    assert packed < 100 * padding


def test_the_template_is_examined(tmp_path: Path) -> None:
    found = examine(text_sections(tmp_path, "chat"))
    assert found["losses"].level == "ok"
    assert "chat template; only the assistant's tokens" in found["template"].message
    assert "<|im_end|>" in found["end token"].message
    # The teacher's own settings stop at </s>, which conversations may end with too.
    assert found["end token"].level == "ok"


def test_a_student_whose_own_settings_end_elsewhere(tmp_path: Path) -> None:
    """A base model with a chat template: by its own settings it would write on behind the turn's end."""
    sections = text_sections(tmp_path, "chat")
    tokenizer = make_tokenizer(template=CHATML)
    base = make_model(LLAMA, rows=len(tokenizer))
    base.generation_config.update(do_sample=True, temperature=0.7, repetition_penalty=1.1, use_cache=True)
    sections["student"] = {"model": save(base, tokenizer, tmp_path / "base")}
    found = examine(sections)
    assert found["end token"].level == found["own settings"].level == "note"
    assert "completions end with <|im_end|>, </s>; the student's own settings" in found["end token"].message
    assert "end with </s>, so it would continue past them" in found["end token"].message
    assert found["end token"].message.endswith("distilled student end with <|im_end|>, </s>")
    names = "the student's own do_sample, repetition_penalty, temperature (generation_config.json) are neither kept"
    assert found["own settings"].message.startswith(names)
    base.generation_config.update(eos_token_id=40, do_sample=False, temperature=None, repetition_penalty=None)
    sections["student"] = {"model": save(base, tokenizer, tmp_path / "none")}
    found = examine(sections)
    assert "end with no token of its tokenizer" in found["end token"].message
    base.generation_config.eos_token_id = [4, 2]
    sections["student"] = {"model": save(base, tokenizer, tmp_path / "both")}
    assert examine(sections)["end token"].level == "ok"


def test_a_teacher_that_stops_elsewhere(tmp_path: Path) -> None:
    sections = text_sections(tmp_path)
    model = load_language_model(sections["teacher"]["model"])
    model.generation_config.eos_token_id = [4]
    sections["teacher"]["model"] = save(model, make_tokenizer(), tmp_path / "other")
    finding = examine(sections)["end token"]
    assert finding.level == "warning"
    assert "completions end with </s>, and the teacher's own texts with <|im_end|>" in finding.message


def test_faults_that_end_the_examination(sections: dict[str, Any], tmp_path: Path) -> None:
    other = make_tokenizer(size=300)
    student = {"model": save(make_model(LLAMA, rows=len(other)), other, tmp_path / "other")}
    found = examine({**sections, "student": student})
    assert found["models and layout"].level == "fault"
    assert "What would work: seqkd" in found["models and layout"].message
    assert "losses" not in found
    found = examine({**sections, "data": {"train": str(tmp_path / "nowhere.jsonl")}})
    assert [finding.level for finding in found.values()] == ["fault"]


def test_another_tokenizer_with_text_alone_is_a_note(sections: dict[str, Any], tmp_path: Path) -> None:
    other = make_tokenizer(size=300)
    student = {"model": save(make_model(LLAMA, rows=len(other)), other, tmp_path / "other")}
    found = examine({**sections, "student": student, "recipe": "seqkd"})
    assert found["vocabulary"].level == "note"
    assert found["losses"].level == "ok"


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("factor", [0.0, 0.3])
def test_a_teacher_with_nothing_to_teach(factor: float, sections: dict[str, Any], tmp_path: Path) -> None:
    good = sections["teacher"]["model"]
    model = load_language_model(good)
    with torch.no_grad():
        model.lm_head.weight.mul_(factor)
    teacher = {"model": save(model, make_tokenizer(), tmp_path / "worse")}
    finding = examine({**sections, "teacher": teacher, "student": {"model": good}})["losses"]
    assert finding.level == "fault"
    words = "the teacher has learnt nothing" if factor == 0 else "the teacher is worse than the student"
    assert words in finding.message
    # Not yet a fault where it is fine-tuned first.
    tuned = {**teacher, "fine_tune": {"num_train_epochs": 1}}
    assert examine({**sections, "teacher": tuned, "student": {"model": good}})["losses"].level == "note"


def test_repeated_rows_and_leaks(sections: dict[str, Any], tmp_path: Path) -> None:
    sections["data"] = {
        "train": write_jsonl(tmp_path / "t.jsonl", [*train_rows(), train_rows()[0]]),
        "test": write_jsonl(tmp_path / "h.jsonl", [*held_out_rows(), train_rows()[1]]),
    }
    found = examine(sections)
    assert "1 training rows repeat another" in found["duplicates"].message
    assert found["leaks"].level == "warning"
    assert "1 held-out rows are training rows too" in found["leaks"].message


def test_development_rows_that_are_training_rows_are_found(sections: dict[str, Any], tmp_path: Path) -> None:
    sections["data"]["dev"] = write_jsonl(tmp_path / "dev.jsonl", [*held_out_rows(), train_rows()[1]])
    sections["search"] = {"learning_rate": [1e-3, 1e-4]}
    found = examine(sections)["leaks"]
    assert found.level == "warning"
    assert found.message.startswith("1 text of data.dev also occurs in the training rows")


def test_prompts_that_lose_their_beginning(sections: dict[str, Any]) -> None:
    sections["training"]["max_length"] = 16
    sections["answers"] = {"rows": 4, "max_new_tokens": 8}
    finding = examine(sections)["layout"]
    assert finding.level == "warning"
    assert "lose their beginning" in finding.message


def test_a_store_that_is_missing_or_not_whole(sections: dict[str, Any], tmp_path: Path) -> None:
    sections["teacher"]["store"] = str(tmp_path / "store")
    finding = examine(sections)["store"]
    assert finding.level == "fault"
    assert "Create one with limbeck store" in finding.message


def test_rounds_that_are_longer_than_their_stage(sections: dict[str, Any]) -> None:
    sections["recipe"] = {"name": "minillm", "prompts": 256, "max_new_tokens": 4}
    finding = examine(sections)["rounds"]
    assert finding.level == "warning"
    assert "the stage has 3 steps, and one round of texts is trained on for 128" in finding.message
    sections["recipe"]["prompts"], sections["recipe"]["inner_epochs"] = 8, 2
    assert "rounds" not in examine(sections)


@pytest.mark.slow
def test_an_encoder_and_a_decoder_and_plain_text(tmp_path: Path, sections: dict[str, Any]) -> None:
    assert examine(text_sections(tmp_path, "t5"))["losses"].level == "ok"
    texts = [{"text": f"{row['question']}\n\n{row['answer']}"} for row in train_rows()]
    sections["task"] = {"kind": "generation", "text": "text"}
    sections["data"] = {"train": write_jsonl(tmp_path / "texts.jsonl", texts)}
    sections["teacher"]["fine_tune"] = {"max_steps": 1}  # it knows answers, and nothing of how questions begin
    found = examine(sections)
    assert found["losses"].level == "note"
    assert "fault" not in {finding.level for finding in found.values()}


def test_an_output_that_is_no_folder_is_a_fault(tmp_path: Path) -> None:
    found = examine(text_sections(tmp_path) | {"output": "/dev/null"})
    assert found["output"] == Finding("fault", "output", "/dev/null is not a folder. Choose another output")


def test_the_expected_time_counts_the_trials_of_a_search(sections: dict[str, Any]) -> None:
    found = examine({**sections, "seeds": [0, 1], "search": {"learning_rate": [1e-5, 1e-4, 1e-3]}})
    students = 1 + len(sections.get("baselines", ["fine_tune"]))
    assert f"for each of {students * 4} students" in found["time"].message
    assert "on 20 development rows" in found["search"].message
