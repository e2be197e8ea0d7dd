"""Whole data sets of token sequences: batches, keys, findings and refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from limbeck.data.generation.collate import collate, with_completion
from limbeck.data.generation.encode import encode_examples
from limbeck.data.generation.task import Generation
from limbeck.errors import ConfigError, DataError, ModelError
from limbeck.types import UNLABELLED

Make = Callable[..., Any]
PAIRS = Generation(prompt="q", completion="a", template="plain")
CHAT = Generation(messages="m")
TEXT = Generation(text="t")
ROWS = [
    ("What is the capital of France?", "Paris."),
    ("Колко е часът?", "Седем."),
    ("Add one and two, and three and four.", "One and two make three. 🙂"),
    ("フランスの首都は?", "パリです。"),
]
LONG = ("one", "The river runs through the old city and down to the sea. " * 4)


@pytest.fixture
def encode(make_bpe: Make, examples_of: Make) -> Make:
    def encoded(rows: list[Any], task: Generation = PAIRS, max_length: int = 48, **options: Any) -> Any:
        tokenizer = options.pop("tokenizer", None) or make_bpe(bos=True)
        return encode_examples(examples_of(task, rows), tokenizer, max_length, **options)

    return encoded


def test_counts_and_pieces_of_rows(encode: Make, make_bpe: Make) -> None:
    tokenizer = make_bpe()
    rows = encode(ROWS)
    assert len(rows) == 4
    assert (rows.lengths.dtype, rows.supervised.dtype) == (np.int64, np.int64)
    for i, (prompt, completion) in enumerate(ROWS):
        assert tokenizer.decode(rows.prompt_ids(i)) == f"<s>{prompt}\n\n"
        assert tokenizer.decode(rows.completion_ids(i)) == f"{completion}</s>"
        assert rows.lengths[i] == len(rows.prompt_ids(i)) + len(rows.completion_ids(i))
        assert rows.supervised[i] == len(rows.completion_ids(i))
    assert rows.example.tolist() == [0, 1, 2, 3]
    assert (rows.truncated, rows.left_out, rows.findings) == (0, (), ())
    assert rows.end_ids == (2,)


@pytest.mark.parametrize("picked", [[0, 1, 2, 3], [3, 0], [2], [1, 1]], ids=str)
@pytest.mark.parametrize("options", [{}, {"pad_left": True}, {"pack": True}], ids=["right", "left", "packed"])
def test_batches_hold_the_supervised_tokens_of_their_rows(
    encode: Make, picked: list[int], options: dict[str, bool]
) -> None:
    rows = encode(ROWS)
    labels = rows.batch(picked, **options)["labels_BT"]
    tokens = [int(token) for row in picked for token in rows.completion_ids(row)]
    assert labels[labels != UNLABELLED].tolist() == tokens
    assert len(tokens) == rows.supervised[picked].sum()


def test_padding_with_the_end_token_keeps_the_first_end_token(encode: Make, make_bpe: Make) -> None:
    own, padded = encode(ROWS), encode(ROWS, tokenizer=make_bpe(bos=True, pad_token=None))
    assert (own.pad_id, padded.pad_id) == (0, 2)
    assert torch.equal(own.batch([0, 1, 2])["labels_BT"], padded.batch([0, 1, 2])["labels_BT"])
    assert own.keys == padded.keys
    assert any("padded with the end token" in finding for finding in padded.findings)


def test_written_and_data_batches_of_the_same_tokens_are_equal(encode: Make) -> None:
    rows = encode(ROWS)
    of_data = rows.batch([0, 2])
    # As generation gives them: padded, here with the end token.
    sequences = [with_completion(rows.prompt_ids(i), [*rows.completion_ids(i), 2, 2], rows.end_ids) for i in (0, 2)]
    of_writing = collate(sequences, rows.pad_id)
    assert torch.equal(of_data["labels_BT"], of_writing["labels_BT"])
    for name, tensor in of_data["student"].items():
        assert torch.equal(tensor, of_writing["student"][name])
    assert [sequence.key for sequence in sequences] == [rows.keys[0], rows.keys[2]]


def test_a_chat_that_was_written_equals_the_chat_of_the_data(encode: Make, make_bpe: Make, chatml: str) -> None:
    rows = encode([[("user", "one"), ("assistant", "two")]], CHAT, tokenizer=make_bpe(chatml))
    assert rows.end_ids == (4, 2)
    assert with_completion(rows.prompt_ids(0), [*rows.completion_ids(0), 0], rows.end_ids).key == rows.keys[0]


def test_keys_do_not_depend_on_other_rows_and_change_with_the_template(encode: Make) -> None:
    rows = encode(ROWS)
    assert len(set(rows.keys)) == 4
    assert encode(ROWS[::-1]).keys == rows.keys[::-1]
    assert encode(ROWS, PAIRS.model_copy(update={"separator": " "})).keys[0] != rows.keys[0]


def test_fingerprints(encode: Make) -> None:
    one = encode(ROWS).fingerprint()
    assert one == encode(ROWS).fingerprint()
    others = [encode(ROWS[::-1]), encode(ROWS, decoder_start=0), encode(ROWS, decoder_start=1)]
    assert len({one, *(rows.fingerprint() for rows in others)}) == 4


def test_an_encoder_and_a_decoder(encode: Make) -> None:
    rows = encode(ROWS, decoder_start=0)
    batch = rows.batch([0, 2])
    assert batch["student"]["decoder_input_ids"][:, 0].tolist() == [0, 0]
    labels = batch["labels_BT"]
    assert torch.equal(batch["student"]["decoder_input_ids"][1, 1:], labels[1, :-1])
    assert labels[1].tolist() == rows.completion_ids(2).tolist()
    assert rows.supervised.tolist() == [len(rows.completion_ids(i)) for i in range(4)]
    with pytest.raises(ConfigError, match="packing is for causal models"):
        rows.batch([0], pack=True)
    with pytest.raises(ConfigError, match="plain text is for causal models"):
        encode(["one"], TEXT, decoder_start=0)


@pytest.mark.parametrize("pad", ["pad", "end"])
def test_the_loss_of_a_t5_batch_is_the_sum_of_its_rows(encode: Make, make_bpe: Make, pad: str) -> None:
    from transformers import T5Config, T5ForConditionalGeneration

    torch.manual_seed(0)
    sizes = {"vocab_size": 420, "d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2}
    model = T5ForConditionalGeneration(T5Config(**sizes, decoder_start_token_id=0)).eval()
    tokenizer = make_bpe(bos=True, pad_token=None if pad == "end" else "<pad>")
    rows = encode(ROWS, decoder_start=0, tokenizer=tokenizer)

    def loss(picked: list[int]) -> torch.Tensor:
        batch = rows.batch(picked)
        logits, labels = model(**batch["student"]).logits, batch["labels_BT"]
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="sum")

    with torch.no_grad():
        torch.testing.assert_close(loss([0, 1, 2, 3]), sum(loss([i]) for i in range(4)), rtol=1e-5, atol=1e-4)


def test_texts_are_blocks_that_name_their_example(encode: Make) -> None:
    rows = encode([LONG[1], "one"], TEXT, max_length=16)
    assert rows.example.tolist() == [0] * (len(rows) - 1) + [1]
    assert rows.lengths.max() == 16
    assert (rows.supervised == rows.lengths - 1).all()
    labels = rows.batch(range(len(rows)))["labels_BT"]
    assert (labels != UNLABELLED).sum(dim=1).tolist() == rows.supervised.tolist()
    assert rows.findings == ()


def test_a_completion_that_does_not_fit_is_refused_with_file_and_line(encode: Make) -> None:
    with pytest.raises(DataError, match=r"1 of 5 rows .*\n  rows\.jsonl:5: its completion has \d+ tokens"):
        encode([*ROWS, LONG])


def test_rows_that_do_not_fit_are_set_aside(encode: Make, tmp_path: Path) -> None:
    aside = tmp_path / "quarantine.jsonl"
    rows = encode([LONG, *ROWS], on_bad_row="quarantine", quarantine=aside)
    assert rows.example.tolist() == [1, 2, 3, 4]
    assert [str(row.origin) for row in rows.left_out] == ["rows.jsonl:1"]
    line = json.loads(aside.read_text("utf-8"))
    assert (line["line"], line["row"][0]) == (1, {"role": "user", "content": "one"})
    assert "1 of 5 rows (20.0 %) cannot be encoded and are left out." in rows.findings
    with pytest.raises(DataError, match="more than half"):
        encode([LONG, LONG, ROWS[0]], on_bad_row="quarantine")


def test_cut_prompts_are_counted(encode: Make) -> None:
    rows = encode([*ROWS, LONG[::-1]])
    assert rows.truncated == 1
    assert rows.lengths[4] == 48
    assert rows.findings == ("1 of 5 prompts (20.0 %) are longer than the limit and lose their beginning.",)
    assert encode(ROWS, max_prompt=4).truncated == 4
    assert max(len(encode(ROWS, max_prompt=4).prompt_ids(i)) for i in range(4)) == 4


def test_prompts_without_completions(encode: Make) -> None:
    rows = encode([*ROWS, ("one", None)])
    assert rows.supervised[4] == 0
    assert (rows.batch([4])["labels_BT"] == UNLABELLED).all()
    assert rows.findings == ("1 of 5 rows are prompts without a completion.",)
    assert (
        with_completion(rows.prompt_ids(4), [7, 2], rows.end_ids).prompt_ids.tolist() == rows.sequence(4).ids.tolist()
    )


def test_missing_and_stray_end_tokens_are_found(encode: Make, make_bpe: Make, chatml: str) -> None:
    turns = [("user", "one"), ("assistant", "two")]
    endless = encode([turns], CHAT, tokenizer=make_bpe(chatml.replace("<|im_end|>", "")))
    assert any("1 of 1 completions have no end token" in finding for finding in endless.findings)
    inner = encode([turns, [turns[0], ("assistant", "two<|im_end|>three")]], CHAT, tokenizer=make_bpe(chatml))
    assert inner.findings == ("1 completions contain an end token in their text; the part after it is not learnt.",)
    closed = encode([("one", "two</s>")])
    assert closed.findings == ()


@pytest.mark.parametrize(("answer", "inner"), [("two", 0), ("two||", 0), ("two|||", 1), ("||", 0), ("||||", 1)])
def test_an_end_token_that_overlaps_itself_is_found(encode: Make, make_bpe: Make, answer: str, inner: int) -> None:
    """Of "|||" the end token is the first two strokes, and the third is not learnt."""
    tokenizer = make_bpe(eos_token="||")
    rows = encode([("one", answer)], tokenizer=tokenizer)
    learnt = tokenizer.decode(rows.completion_ids(0))
    assert learnt == answer[: answer.find("||")] + "||" if "||" in answer else answer + "||"
    assert sum("contain an end token in their text" in finding for finding in rows.findings) == inner


def test_answers_that_begin_unlike_the_generation_prompt_are_found(encode: Make, make_bpe: Make, marked: str) -> None:
    odd = marked.replace("<|im_start|>assistant\n", "<|im_start|>assistant\n<think>")
    rows = encode([[("user", "one"), ("assistant", "two")]], CHAT, tokenizer=make_bpe(odd))
    assert any("1 conversations do not begin as the chat template begins" in finding for finding in rows.findings)


def test_chat_data_without_a_template(encode: Make) -> None:
    with pytest.raises(ModelError, match="needs a chat template"):
        encode([[("user", "one"), ("assistant", "two")]], CHAT)


def test_limits_that_leave_no_token(encode: Make) -> None:
    with pytest.raises(ConfigError, match="at least 2 tokens"):
        encode(ROWS, max_length=1)
    with pytest.raises(ConfigError, match="at least 2 tokens"):
        encode(ROWS, max_prompt=1)
