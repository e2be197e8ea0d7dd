from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.evaluation.measured import figure, interval, section, value

from limbeck.errors import ConfigError, DataError
from limbeck.results.figures import Figure
from limbeck.results.record import Results
from limbeck.results.sections import Languages
from limbeck.tasks.ranking.evaluate import EvaluateOptions, evaluate_languages
from limbeck.tasks.ranking.predict import RankingTask
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


def measure(student: Path, rows: Path, **values: Any) -> Results:
    options = EvaluateOptions(**{"layout": "rows", **values})
    return evaluate_languages(str(student), str(rows), options, SilentProgress())


def cells(results: Results, metric: str = "accuracy") -> list[Figure]:
    return [f for f in results.figures if f.metric == metric and f.slice.keys() == {"lang", "task"}]


def test_accuracy_and_reciprocal_rank_are_those_of_the_predictions(
    student: Path, rows: Path, make_topic_records: Records
) -> None:
    from limbeck.tasks.ranking.predict import Ranker

    results = measure(student, rows)
    assert [(cell.slice["lang"], cell.rows) for cell in cells(results)] == [("en", 36), ("bg", 36), ("sk", 36)]
    assert section(results, Languages).candidates == {lang: {"topic": 3} for lang in ("en", "bg", "sk")}
    ranker = Ranker(student)
    for cell in cells(results):
        records = make_topic_records(cell.slice["lang"])
        golds = [record.candidates[record.gold[0]] for record in records]
        answers = ranker.predict([record.input for record in records], cell.slice["lang"])
        ranks = [list(a["probabilities"]).index(gold) + 1 for a, gold in zip(answers, golds, strict=True)]
        assert cell.value == pytest.approx(np.mean([rank == 1 for rank in ranks]))
        assert value(results, "student", "mrr", 0, **cell.slice) == pytest.approx(np.mean([1 / r for r in ranks]))
        assert interval(cell).low <= cell.value <= interval(cell).high
    targets = [cell.value for cell in cells(results) if cell.slice["lang"] != "en"]
    assert value(results, "student", "accuracy", 0) == pytest.approx(np.mean(targets))


@pytest.mark.parametrize("languages", ["bul", "en"])
def test_one_language_alone(languages: str, student: Path, rows: Path) -> None:
    results = measure(student, rows, lang=languages)
    (cell,) = cells(results)
    assert cell.slice["lang"] == {"bul": "bg", "en": "en"}[languages]
    assert interval(figure(results, "student", "accuracy", 0)) == interval(cell)


def test_options_reach_the_layout(student: Path, rows: Path) -> None:
    renamed = (
        (rows / "test.jsonl").read_text(encoding="utf-8").replace('"label"', '"mood"').replace('"text"', '"said"')
    )
    (rows / "dev.jsonl").write_text(renamed, encoding="utf-8")
    expected = measure(student, rows)
    assert measure(student, rows, split="dev", option=("label=mood", "text=said")).figures == expected.figures


def test_rows_with_labels_in_the_words_of_the_language(student: Path, rows: Path) -> None:
    """A task whose labels differ by language is no task with fixed labels: its labels are given."""
    words = {label: label for label in LABELS}
    same = ("task=topic", f"labels={LABELS}", f"label_words={{bg: {words}}}")
    assert measure(student, rows, option=same).figures == measure(student, rows).figures
    words["sports"] = "политика"
    other = measure(student, rows, option=(*same[:2], f"label_words={{bg: {words}}}"))
    pairs = zip(cells(other, "mrr"), cells(measure(student, rows), "mrr"), strict=True)
    changed = [a.slice["lang"] for a, b in pairs if a.value != b.value]
    assert changed == ["bg"]


@pytest.mark.fast_cases(4)
@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ({"layout": "row"}, ConfigError, "no layout 'row'; did you mean 'rows'"),
        ({"split": "tset"}, ConfigError, "unknown split 'tset'"),
        ({"lang": "fr"}, DataError, "it knows en (English), bg (Bulgarian), sk (Slovak)"),
        ({"task": "nli"}, ConfigError, "no task 'nli'"),
        ({"layout": "candidates", "task": "topic"}, ConfigError, "--task goes with the layout rows"),
        ({"option": ("labels",)}, ConfigError, "--option takes name=value"),
        ({"option": ("labels=[",)}, ConfigError, "--option labels: not valid YAML"),
        ({"option": ("moods=x",)}, ConfigError, "has no option 'moods'"),
        ({"option": ("task=nli",)}, DataError, "was not trained on nli; its tasks: topic"),
        ({"lang": "bg", "option": ("label=mood",)}, DataError, "no labelled record"),
    ],
)
def test_what_is_refused(
    values: dict[str, Any], error: type[Exception], message: str, student: Path, rows: Path
) -> None:
    with pytest.raises(error) as raised:
        measure(student, rows, **values)
    assert message in str(raised.value)
