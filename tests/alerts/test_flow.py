"""A student folder at work: calibration, notes, and refused labels."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limbeck.alerts.flow import load_alert_rules, make_alerts, sweep_alerts
from limbeck.data.articles.read import file_records
from limbeck.errors import ConfigError, DataError
from limbeck.evaluation.alerts.rules import AlertRules
from limbeck.results.alerts import Alert, AlertRun
from limbeck.tasks.classification.predict import Predictor
from limbeck.types import SilentProgress

RULES = AlertRules()
LABELS = ["risk", "caution", "safe"]
TEXTS = ["the cat is running .", "a dog runs ?", "cats is dogs .", "the the the", "a cat ? a dog ?"]


@pytest.fixture
def student(risk_student: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(risk_student, tmp_path / "student"))


def write(folder: Path, rows: list[dict[str, Any]]) -> Path:
    file = folder / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def alerts_of(student: Path, file: Path, rules: AlertRules = RULES) -> AlertRun:
    def read(_text: str) -> Iterator[Any]:
        return file_records(file)

    return make_alerts(str(student), read, rules, name="rows", progress=SilentProgress())


def test_probabilities_are_those_of_the_student_and_said_not_to_be_calibrated(student: Path, tmp_path: Path) -> None:
    run = alerts_of(student, write(tmp_path, [{"text": text} for text in TEXTS]))
    expected = Predictor(str(student)).predict(TEXTS)
    assert [alert.text for alert in run.alerts] == TEXTS
    for alert, answer in zip(run.alerts, expected, strict=True):
        assert alert.label == answer["label"]
        assert alert.probabilities == pytest.approx(answer["probabilities"], abs=1e-5)
        assert alert.confidence == pytest.approx(answer["confidence"], abs=1e-5)
        p = answer["probabilities"]
        assert alert.severity == pytest.approx(p["risk"] + 0.5 * p["caution"], abs=1e-5)
        assert not alert.calibrated
        assert alert.prompt_hash is None
    notes = " ".join(run.notes)
    for words in ("no calibration (calibration.json)", "has a crisis", "has a date", "has a justification"):
        assert words in notes
    assert len({alert.model_hash for alert in run.alerts}) == 1


def test_the_temperature_of_the_student_divides_its_logits(student: Path, tmp_path: Path) -> None:
    (student / "calibration.json").write_text('{"temperature": 2.5, "rows": 100}', encoding="utf-8")
    file = write(tmp_path, [{"text": text, "date": "2020-02-02", "crisis": "c", "reason": "a cat"} for text in TEXTS])
    run = alerts_of(student, file)
    predictor = Predictor(str(student))
    from limbeck.data.load import Fields, load_rows

    logits = predictor.logits(load_rows(file, Fields("text")).rows) / 2.5
    probs = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    for alert, row in zip(run.alerts, probs, strict=True):
        assert alert.calibrated
        assert [alert.probabilities[label] for label in LABELS] == pytest.approx(row.tolist(), abs=1e-5)
    assert run.notes == []


def test_labels_without_severities_are_refused_before_rows_are_read(
    student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Predictor, "logits", lambda *_: pytest.fail("labelled before the rules were checked"))
    with pytest.raises(ConfigError, match="no severity for 'caution', 'safe' of"):
        alerts_of(
            student,
            tmp_path / "not-there.jsonl",
            AlertRules(severities={"risk": 1.0, "safety": 0.0}).model_copy(update={"severities": {"risk": 1.0}}),
        )


def test_an_alert_reads_itself_back(student: Path, tmp_path: Path) -> None:
    for alert in alerts_of(student, write(tmp_path, [{"text": text} for text in TEXTS])).alerts:
        assert Alert.model_validate_json(alert.model_dump_json()) == alert


def test_a_student_that_reads_a_prompt_gives_its_hash(
    make_causal_tokenizer: Callable[..., Any], tmp_path: Path
) -> None:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from limbeck.data.prompts.label_prompt import LabelPrompt
    from limbeck.data.prompts.scored import make_verbaliser
    from limbeck.models.label_scorer import LabelScorer
    from limbeck.models.load import save_model

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=420, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        initializer_range=0.6, bos_token_id=1, eos_token_id=2, pad_token_id=0,
    )  # fmt: skip
    tokenizer, prompt = make_causal_tokenizer(chat=False), LabelPrompt(instruction="One of {{ labels }}.")
    verbaliser = make_verbaliser(prompt, LABELS, ["text"], tokenizer)
    save_model(LabelScorer(LlamaForCausalLM(config), verbaliser), tokenizer, tmp_path / "prompted")
    run = alerts_of(tmp_path / "prompted", write(tmp_path, [{"text": text} for text in TEXTS]))
    assert {alert.prompt_hash for alert in run.alerts} == {prompt.hash}
    assert {tuple(sorted(alert.probabilities)) for alert in run.alerts} == {tuple(sorted(LABELS))}


def test_the_sweep_is_about_the_labels_of_the_highest_severity(student: Path, tmp_path: Path) -> None:
    rows = [
        {"text": f"{text} {other}", "label": LABELS[(i + j) % 3]}
        for i, text in enumerate(TEXTS)
        for j, other in enumerate(TEXTS)
    ]
    file = write(tmp_path, [*rows, {"text": "the"}])
    found = sweep_alerts(str(student), str(file), AlertRules(), fields=None, progress=SilentProgress())
    assert (found.risk_labels, found.rows, found.risk_rows) == (["risk"], 25, sum(r["label"] == "risk" for r in rows))
    risk = np.array([row["label"] == "risk" for row in rows])
    probs = np.array(
        [answer["probabilities"]["risk"] for answer in Predictor(str(student)).predict([r["text"] for r in rows])]
    )
    for point in found.points:
        alarms = probs >= point.threshold - 1e-5
        assert point.reached_sensitivity == pytest.approx((alarms & risk).sum() / risk.sum())
        assert point.false_alarms_per_1000.value == pytest.approx(1000 * (alarms & ~risk).mean())
    notes = " ".join(found.notes)
    assert "1 articles have no label" in notes
    assert "articles are risks" in notes
    both = sweep_alerts(
        str(student),
        str(file),
        AlertRules(severities={"risk": 1, "caution": 1, "safe": 0}),
        fields=None,
        progress=SilentProgress(),
    )
    assert both.risk_labels == ["risk", "caution"]


def test_a_sweep_needs_articles_with_risk_and_without(student: Path, tmp_path: Path) -> None:
    file = write(tmp_path, [{"text": "a cat", "label": "safe"}, {"text": "a dog", "label": "caution"}])
    with pytest.raises(DataError, match=r"with risk \(risk\) and without, got 0 with and 2 without, in field 'label'"):
        sweep_alerts(str(student), str(file), AlertRules(), fields=None, progress=SilentProgress())


def test_rules_are_read_with_all_faults_and_their_lines(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text("severities:\n  risk: 1\n  safe: 2\nconfidense: 0.5\nfields: {id: tweet_id}\n", encoding="utf-8")
    with pytest.raises(ConfigError) as error:
        load_alert_rules(file)
    message = str(error.value)
    assert message.startswith("2 faults in the file of alert rules:")
    assert f"{file}:3: severities.safe: Input should be less than or equal to 1 (got 2)" in message
    assert f"{file}:4: unknown key 'confidense'; did you mean 'confidence'?" in message


def test_rules_may_say_little(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text("fields: {id: tweet_id, crisis: event}\n", encoding="utf-8")
    rules = load_alert_rules(file)
    assert (rules.fields.id, rules.fields.crisis, rules.fields.date) == ("tweet_id", "event", "date")
    assert rules.confidence == AlertRules().confidence == load_alert_rules(None).confidence == 0.6


def test_the_rules_in_the_documentation_are_the_defaults(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "alerts.md").read_text(encoding="utf-8")
    file = tmp_path / "rules.yaml"
    file.write_text(page.split("```yaml\n")[1].split("```")[0], encoding="utf-8")
    written = load_alert_rules(file)
    assert written.severities == {"risk": 1, "caution": 0.5, "safe": 0}
    assert written.model_copy(update={"severities": None}) == AlertRules()
