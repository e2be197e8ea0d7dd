"""``limbeck augment``: its options, what it prints, and faults."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from tests.models.test_masked_words import save_masked_lm

Command = Callable[..., tuple[int, str, str]]


def test_rows_and_copies_from_the_command_line(tmp_path: Path, limbeck: Command) -> None:
    model, rows, output = save_masked_lm(tmp_path / "model"), tmp_path / "rows.jsonl", tmp_path / "more.jsonl"
    rows.write_text('{"a": "my card", "b": "the bank", "gold": 1}\n', encoding="utf-8")
    fields = ("--text", "a", "--text-pair", "b", "--label", "gold")
    code, _, said = limbeck("augment", str(rows), "--model", str(model), "--output", str(output), *fields)
    assert code == 0, said
    lines = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    assert f"1 rows and {len(lines) - 1} copies, with candidates for 2 words" in said
    assert lines[0] == {"a": "my card", "b": "the bank", "gold": 1}
    assert all(line.keys() == {"a", "b"} for line in lines[1:])
    settings = ("--copies", "1", "--candidates", "2", "--probability", "1", "--seed", "4", "--keep-labels")
    code, *_ = limbeck("augment", str(rows), "--model", str(model), "--output", str(output), *fields, *settings)
    assert code == 0
    kept = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    assert 1 <= len(kept) <= 3
    assert all(line["gold"] == 1 for line in kept)


def test_no_word_to_replace_is_said(tmp_path: Path, limbeck: Command) -> None:
    model, rows, output = save_masked_lm(tmp_path / "model"), tmp_path / "rows.jsonl", tmp_path / "more.jsonl"
    rows.write_text('{"text": "is my"}\n', encoding="utf-8")
    code, _, said = limbeck("augment", str(rows), "--model", str(model), "--output", str(output))
    assert code == 0
    assert "no word could be replaced" in said
    assert output.read_text(encoding="utf-8") == '{"text": "is my"}\n'


def test_faults_are_told_without_a_traceback(tmp_path: Path, encoder_folder: Path, limbeck: Command) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"text": "my card"}\n', encoding="utf-8")
    for model, words in ((encoder_folder, "cls.predictions"), (tmp_path / "none", "no such folder")):
        code, _, said = limbeck("augment", str(rows), "--model", str(model), "--output", str(tmp_path / "x.jsonl"))
        assert (code, "Traceback" in said) == (2, False)
        assert words in said
    assert not (tmp_path / "x.jsonl").exists()


def test_noise_in_place_of_other_words(tmp_path: Path, limbeck: Command) -> None:
    model, rows, output = save_masked_lm(tmp_path / "model"), tmp_path / "rows.jsonl", tmp_path / "more.jsonl"
    rows.write_text('{"text": "my card is lost", "label": 1, "pos": ["D", "N", "V", "A"]}\n', encoding="utf-8")
    given = ("augment", str(rows), "--model", str(model), "--output", str(output), "--method", "distilbilstm")
    code, _, said = limbeck(*given, "--copies", "30")
    assert code == 0, said
    lines = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    assert f"1 rows and {len(lines) - 1} copies" in said
    assert "no word was replaced by another" in said
    settings = ("--tags", "pos", "--probability", "0", "--cut-probability", "1", "--keep-labels", "--seed", "1")
    code, _, said = limbeck(*given, *settings)
    assert code == 0, said
    assert "no word was replaced" not in said
    first, *cut = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    assert all(line["text"] in first["text"] and line["label"] == 1 for line in cut)


def test_options_of_the_other_method_are_refused(tmp_path: Path, limbeck: Command) -> None:
    given = ("augment", str(tmp_path / "rows.jsonl"), "--model", "none", "--output", str(tmp_path / "more.jsonl"))
    for options, said in [
        (("--tags", "pos"), "--tags does nothing with --method tinybert"),
        (("--cut-probability", "0.5"), "--cut-probability does nothing with --method tinybert"),
        (("--method", "distilbilstm", "--candidates", "3"), "--candidates does nothing with --method distilbilstm"),
        (("--method", "distilbilstm", "--tags-pair", "pos"), "--tags-pair is for pairs"),
    ]:
        code, _, told = limbeck(*given, *options)
        assert code == 2
        assert said in told
