from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limbeck.errors import ConfigError, DataError
from limbeck.language_results import LanguageSystem
from limbeck.runs.evaluate_languages import evaluate_languages
from limbeck.runs.ranker import RankingTask
from limbeck.types import Instruction, SilentProgress

Records = Callable[..., list[Instruction]]
LABELS = ["health", "politics", "sports"]


@pytest.fixture(scope="module")
def student(multilingual_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A student as a run would leave it, untrained."""
    import torch

    from limbeck.data.prompts.choice import PromptChoice
    from limbeck.models.load import load_tokenizer
    from limbeck.students.scorer import make_scorer
    from limbeck.types import SoftLayout

    folder = tmp_path_factory.mktemp("student")
    soft = SoftLayout(("topic",), ("en", "bg", "sk"), 2, 2)
    torch.manual_seed(0)
    make_scorer("dual_encoder", str(multilingual_folder), soft).save_pretrained(folder)
    load_tokenizer(str(multilingual_folder)).save_pretrained(folder)
    task = RankingTask(
        scorer="dual_encoder", prompts=PromptChoice(form="soft"), soft=soft, languages=["en", "bg", "sk"],
        tasks=["topic"], labels={"topic": LABELS}, max_length=100,
    )  # fmt: skip
    (folder / "task.json").write_text(task.model_dump_json(), encoding="utf-8")
    return folder


@pytest.fixture
def rows(tmp_path: Path, make_topic_records: Records) -> Path:
    """36 labelled test rows in each language, and one in Bulgarian without a label."""
    found = [
        {"lang": lang, "text": record.input, "label": record.candidates[record.gold[0]]}
        for lang in ("en", "bg", "sk")
        for record in make_topic_records(lang)
    ]
    found.append({"lang": "bg", "text": "лекарят"})
    text = "".join(json.dumps(row) + "\n" for row in found)
    (tmp_path / "test.jsonl").write_text(text, encoding="utf-8")
    return tmp_path


def measure(student: Path, rows: Path, **values: Any) -> LanguageSystem:
    given: dict[str, Any] = {"layout": "rows", "split": "test", "languages": None, "task": None, "options": ()}
    return evaluate_languages(str(student), str(rows), progress=SilentProgress(), **(given | values))


def test_accuracy_and_reciprocal_rank_are_those_of_the_predictions(
    student: Path, rows: Path, make_topic_records: Records
) -> None:
    from limbeck.runs.ranker import Ranker

    system = measure(student, rows)
    assert [(cell.lang, cell.records, cell.candidates) for cell in system.cells] == [
        ("en", 36, 3), ("bg", 36, 3), ("sk", 36, 3),
    ]  # fmt: skip
    ranker = Ranker(student)
    for cell in system.cells:
        records = make_topic_records(cell.lang)
        golds = [record.candidates[record.gold[0]] for record in records]
        answers = ranker.predict([record.input for record in records], cell.lang)
        ranks = [list(a["probabilities"]).index(gold) + 1 for a, gold in zip(answers, golds, strict=True)]
        assert cell.accuracy.value == pytest.approx(np.mean([rank == 1 for rank in ranks]))
        assert cell.mrr.value == pytest.approx(np.mean([1 / rank for rank in ranks]))
        assert cell.accuracy.low <= cell.accuracy.value <= cell.accuracy.high
    targets = [cell.accuracy.value for cell in system.cells if cell.lang != "en"]
    assert system.macro_accuracy.value == pytest.approx(np.mean(targets))


@pytest.mark.parametrize("languages", [["bul"], ["en"]])
def test_one_language_alone(languages: list[str], student: Path, rows: Path) -> None:
    system = measure(student, rows, languages=languages)
    assert [cell.lang for cell in system.cells] == [{"bul": "bg", "en": "en"}[languages[0]]]
    assert system.macro_accuracy == system.cells[0].accuracy


def test_options_reach_the_layout(student: Path, rows: Path) -> None:
    renamed = (
        (rows / "test.jsonl").read_text(encoding="utf-8").replace('"label"', '"mood"').replace('"text"', '"said"')
    )
    (rows / "dev.jsonl").write_text(renamed, encoding="utf-8")
    expected = measure(student, rows)
    assert measure(student, rows, split="dev", options=("label=mood", "text=said")).cells == expected.cells


def test_rows_with_labels_in_the_words_of_the_language(student: Path, rows: Path) -> None:
    """A task whose labels differ by language is no task with fixed labels: its labels are given."""
    words = {label: label for label in LABELS}
    same = ("task=topic", f"labels={LABELS}", f"label_words={{bg: {words}}}")
    assert measure(student, rows, options=same).cells == measure(student, rows).cells
    words["sports"] = "политика"
    other = measure(student, rows, options=(*same[:2], f"label_words={{bg: {words}}}"))
    changed = [a.lang for a, b in zip(other.cells, measure(student, rows).cells, strict=True) if a.mrr != b.mrr]
    assert changed == ["bg"]


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ({"layout": "row"}, ConfigError, "no layout 'row'; did you mean 'rows'"),
        ({"split": "tset"}, ConfigError, "no split 'tset'"),
        ({"languages": ["fr"]}, DataError, "it knows en (English), bg (Bulgarian), sk (Slovak)"),
        ({"task": "nli"}, ConfigError, "no task 'nli'"),
        ({"layout": "candidates", "task": "topic"}, ConfigError, "--task goes with the layout rows"),
        ({"options": ("labels",)}, ConfigError, "--option takes name=value"),
        ({"options": ("labels=[",)}, ConfigError, "--option labels: not valid YAML"),
        ({"options": ("moods=x",)}, ConfigError, "has no option 'moods'"),
        ({"options": ("task=nli",)}, DataError, "was not trained on nli; its tasks: topic"),
        ({"languages": ["bg"], "options": ("label=mood",)}, DataError, "no labelled record"),
    ],
)
def test_what_is_refused(
    values: dict[str, Any], error: type[Exception], message: str, student: Path, rows: Path
) -> None:
    with pytest.raises(error) as raised:
        measure(student, rows, **values)
    assert message in str(raised.value)
