"""Commands on a cross-lingual run and its student."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from limbeck.results.read import read_results
from limbeck.types import Instruction

Records = Callable[..., list[Instruction]]
LABELS = ["health", "politics", "sports"]
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def student(multilingual_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A student as a run would leave it, untrained; its tasks are topic (one text) and nli (two)."""
    import torch

    from limbeck.data.prompts.choice import PromptChoice
    from limbeck.models.load import load_tokenizer
    from limbeck.students.scorer import make_scorer
    from limbeck.tasks.ranking.predict import RankingTask

    folder = tmp_path_factory.mktemp("student")
    torch.manual_seed(0)
    make_scorer("dual_encoder", str(multilingual_folder), None).save_pretrained(folder)
    load_tokenizer(str(multilingual_folder)).save_pretrained(folder)
    task = RankingTask(
        scorer="dual_encoder", prompts=PromptChoice(form="hard"), soft=None, languages=["en", "bg", "sk"],
        tasks=["nli", "topic", "translation"], labels={"topic": LABELS, "nli": ["yes", "no"]}, pairs=["nli"],
        max_length=100,
    )  # fmt: skip
    (folder / "task.json").write_text(task.model_dump_json(), encoding="utf-8")
    return folder


def lines(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def test_plain_lines_in_one_language(student: Path, limbeck: Command) -> None:
    words = ("predict", str(student), "--task", "topic", "--lang", "bul_Cyrl", "--top", "2")
    code, out, errors = limbeck(*words, stdin="лекарят помага\n\nотборът играе\n")
    assert code == 0, errors
    assert [(answer["text"], answer["lang"]) for answer in lines(out)] == [
        ("лекарят помага", "bg"), ("отборът играе", "bg"),
    ]  # fmt: skip
    assert all(len(answer["probabilities"]) == 2 for answer in lines(out))


def test_rows_say_their_language(student: Path, limbeck: Command) -> None:
    """One text in two languages gets two answers."""
    rows = [{"text": "tím hrá", "lang": "sk"}, {"text": "tím hrá", "lang": "eng"}]
    code, out, errors = limbeck("predict", str(student), "--task", "topic", stdin="\n".join(map(json.dumps, rows)))
    assert code == 0, errors
    slovak, english = lines(out)
    assert (slovak["lang"], english["lang"]) == ("sk", "en")
    assert slovak["probabilities"] != pytest.approx(english["probabilities"], abs=1e-4)


@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_a_file_with_its_own_name_for_the_language(
    suffix: str, student: Path, tmp_path: Path, limbeck: Command
) -> None:
    file = tmp_path / f"rows.{suffix}"
    rows = [{"text": "tím hrá", "in": "sk"}, {"text": "the team plays", "in": "en"}]
    csv = "text,in\ntím hrá,sk\nthe team plays,en\n"
    file.write_text(csv if suffix == "csv" else "\n".join(map(json.dumps, rows)), encoding="utf-8")
    output = tmp_path / "out.jsonl"
    words = ("predict", str(student), str(file), "--task", "topic", "--lang-field", "in", "--output", str(output))
    code, out, errors = limbeck(*words)
    assert (code, out) == (0, ""), errors
    assert [answer["lang"] for answer in lines(output.read_text(encoding="utf-8"))] == ["sk", "en"]


def test_pairs(student: Path, tmp_path: Path, limbeck: Command) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"text": "a", "text_pair": "b"}\n', encoding="utf-8")
    code, out, errors = limbeck("predict", str(student), str(file), "--task", "nli", "--lang", "en")
    assert code == 0, errors
    assert lines(out)[0]["text_pair"] == "b"
    code, _, errors = limbeck("predict", str(student), "--task", "nli", "--lang", "en", stdin="a\n")
    assert code == 2
    assert "this student reads pairs; give JSON objects with text and text_pair" in errors


@pytest.mark.fast_cases(3)
@pytest.mark.parametrize(
    ("words", "stdin", "message"),
    [
        ((), "a\n", "several tasks: name one of them (--task)"),
        (("--task", "translation"), "a\n", "'translation' has no fixed labels"),
        (("--task", "topic"), "a\n", "standard input:1: no language in field 'lang'; or give one"),
        (("--task", "topic"), '{"text": "a"}\n', "standard input:1: no language in field 'lang'; or give one"),
        (("--task", "topic", "--lang", "fr"), "a\n", "'fr'; it knows en (English), bg (Bulgarian), sk (Slovak)"),
        (("--task", "topic"), '{"text": "a", "lang": "fr"}\n', "it knows en (English)"),
        (("--task", "topic", "--lang", "en", "--lang-field", "lang"), "", "--lang and --lang-field"),
    ],
)
def test_what_predict_refuses(
    words: tuple[str, ...], stdin: str, message: str, student: Path, limbeck: Command
) -> None:
    code, out, errors = limbeck("predict", str(student), *words, stdin=stdin)
    assert (code, out) == (2, "")
    assert message in errors
    assert "Traceback" not in errors


def test_a_row_of_a_file_without_language_is_named(student: Path, tmp_path: Path, limbeck: Command) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"text": "a", "lang": "en"}\n{"text": "b"}\n', encoding="utf-8")
    code, _, errors = limbeck("predict", str(student), str(file), "--task", "topic")
    assert code == 2
    assert "rows.jsonl:2: no language in field 'lang'; or give one for all rows with --lang" in errors


def test_evaluate_shows_each_language_and_writes_figures(
    student: Path, tmp_path: Path, make_topic_records: Records, limbeck: Command
) -> None:
    rows = [
        {"lang": lang, "text": record.input, "label": record.candidates[record.gold[0]]}
        for lang in ("en", "bg", "sk")
        for record in make_topic_records(lang)
    ]
    (tmp_path / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    figures = tmp_path / "figures.json"
    words = ("evaluate", str(student), str(tmp_path), "--layout", "rows", "--task", "topic", "--output", str(figures))
    code, _, errors = limbeck(*words)
    assert code == 0, errors
    for name in ("English", "Bulgarian", "Slovak", "Accuracy", "MRR"):
        assert name in errors
    cells = [f for f in read_results(figures).figures if f.metric == "accuracy" and len(f.slice) == 2]
    assert [(cell.slice["lang"], cell.rows) for cell in cells] == [("en", 36), ("bg", 36), ("sk", 36)]
    code, _, errors = limbeck(*words, "--lang", "sk, bg")
    assert code == 0, errors
    assert "English" not in errors


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "is a cross-lingual student: say how the data set is laid out"),
        (("--layout", "sib"), "no layout 'sib'"),
        (("--layout", "rows", "--against", "m"), "--against is not for cross-lingual students"),
        (("--layout", "rows", "--text", "t"), "--text is not for cross-lingual students"),
    ],
)
def test_what_evaluate_refuses(words: tuple[str, ...], message: str, student: Path, limbeck: Command) -> None:
    code, _, errors = limbeck("evaluate", str(student), "/nowhere", *words)
    assert code == 2
    assert message in errors


def test_options_of_cross_lingual_students_are_refused_for_others(tmp_path: Path, limbeck: Command) -> None:
    code, _, errors = limbeck("predict", str(tmp_path), "--lang", "bg", "--task", "nli")
    assert (code, errors) == (2, "limbeck: error: --lang and --task are not for students that label texts")
    code, _, errors = limbeck("evaluate", str(tmp_path), "d", "--layout", "rows")
    assert (code, errors) == (2, "limbeck: error: --layout is not for students that label texts")


def test_doctor_examines_a_cross_lingual_run(
    multilingual_folder: Path, tmp_path: Path, make_topic_records: Records, limbeck: Command
) -> None:
    for split, part in (("train", slice(0, 24)), ("test", slice(24, 36))):
        rows = [
            {"lang": lang, "key": i, "text": record.input, "label": record.candidates[record.gold[0]]}
            for lang in ("en", "bg")
            for i, record in enumerate(make_topic_records(lang)[part])
        ]
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    own = {"layout": "rows", "folder": str(tmp_path), "task": "topic", "labels": LABELS, "key": "key"}
    values = {
        "task": {"kind": "ranking", "languages": ["bg"]},
        "data": {"sets": [own], "shots": 2},
        "backbone": {"model": str(multilingual_folder), "scorer": "dual_encoder"},
        "prompts": {"form": "soft"},
        "baselines": [],
        "output": str(tmp_path / "run"),
    }
    run_file = tmp_path / "run.yaml"
    run_file.write_text(yaml.safe_dump(values), encoding="utf-8")
    code, _, errors = limbeck("doctor", str(run_file))
    assert code == 0, errors
    for check in ("data:", "labels:", "script:", "pairing:", "gate:", "prompts:", "length:", "tokenizer:", "steps:",
                  "models:", "time:"):  # fmt: skip
        assert check in errors
    code, _, errors = limbeck("doctor", str(run_file), "--set", "backbone.model=/nowhere/model")
    assert code == 2
    assert re.search(r"fault models: .*no such folder", errors)


def test_recipes_of_both_kinds_are_told_apart(limbeck: Command) -> None:
    code, out, _ = limbeck("recipes")
    assert code == 0
    classification, cross_lingual = out.split("Cross-lingual runs (task.kind: ranking)")
    assert classification.startswith("Classification\nauto\n")
    assert "\nEvery kind of task\nfine_tune\n" in classification
    assert "pkd" in classification
    assert "ml_ipd" not in classification
    for words in ("ml_ipd", "ml_dft", "pl_bl", "rl_ia", "transfer", "the English model, which every run trains first",
                  "Distillation\", doi 10.5281/zenodo.15232962", "their translations (pairing: same needs none)",
                  "with its masked-language head"):  # fmt: skip
        assert words in cross_lingual
    _, one, _ = limbeck("recipes", "ml_ipd")
    assert one.startswith("Cross-lingual runs")
