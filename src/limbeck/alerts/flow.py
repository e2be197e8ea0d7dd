"""Run a student on a stream of articles: alerts, and the false alarms of each threshold on labelled ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limbeck.data.articles.article import Article
from limbeck.data.articles.read import ArticleRows, file_records, read_articles
from limbeck.data.prompts.label_prompt import student_prompt
from limbeck.data.records import BadRow, Fields, Record
from limbeck.errors import DataError
from limbeck.evaluation.alerts.decide import AlertMaker, decide
from limbeck.evaluation.alerts.rules import AlertRules, severities_of
from limbeck.evaluation.alerts.sweep import sweep, sweep_curve
from limbeck.models.label_scorer import LabelScorer
from limbeck.models.load import weights_fingerprint
from limbeck.results.alerts import NO_REASON, AlertRun, AlertSweep
from limbeck.tasks.checked_yaml import load_checked
from limbeck.tasks.classification.predict import Predictor
from limbeck.types import Progress

__all__ = ["load_alert_rules", "make_alerts", "sweep_alerts"]

_FEW_RISKS = 50
_UNCALIBRATED = (
    "The student has no calibration (calibration.json), so its confidence is the raw softmax and may be too high. "
    "`limbeck calibrate STUDENT ROWS` fits one on labelled rows."
)

ReadRows = Callable[[str], Iterable[tuple[str, Record | BadRow]]]
"""Yields each row with the name of its file; plain lines become rows with the given text field."""


def load_alert_rules(path: Path | None) -> AlertRules:
    """Read the rules, or return the defaults without a file. Raises `ConfigError` with all faults and their lines."""
    return AlertRules() if path is None else load_checked(path, AlertRules, "file of alert rules")


def make_alerts(model: str, read: ReadRows, rules: AlertRules, *, name: str, progress: Progress) -> AlertRun:
    """Read articles, label them and decide on each.

    Args:
        model: a student folder, or any fine-tuned classifier.
        read: yields the rows; all are read before anything is decided.
        rules: severities, thresholds and field names.
        name: title of the page.
        progress: shows the progress.

    Raises:
        ConfigError: a label has no severity.
        ModelError: the student cannot be loaded.
        DataError: rows cannot be used.
    """
    predictor = Predictor(model)
    severities = severities_of(predictor.labels, rules.severities, model)
    fields = Fields(predictor.task.text, predictor.task.text_pair)
    found = read_articles(read(predictor.task.text), fields, rules.fields)
    temperature = predictor.temperature
    now = datetime.now(UTC).isoformat(timespec="seconds")
    maker = AlertMaker(
        labels=predictor.labels,
        severities=severities,
        calibrated=temperature is not None,
        model_hash=weights_fingerprint(predictor.model),
        prompt_hash=_prompt_hash(predictor.model),
    )
    probs_NC = _probs(predictor, found, progress)
    articles = _explained(predictor, found, np.array(severities)[probs_NC.argmax(axis=-1)] > 0, progress)
    alerts = decide(articles, probs_NC, maker, rules, time=now)
    return AlertRun(
        name=name,
        model=model,
        limbeck_version=version("limbeck"),
        created=now,
        alerts=alerts,
        notes=_notes(articles, rules, temperature, student_explains=predictor.explains),
    )


def sweep_alerts(model: str, data: str, rules: AlertRules, *, fields: Fields | None, progress: Progress) -> AlertSweep:
    """Measure the false alarms at each sensitivity for risk on labelled articles.

    Args:
        model: as for `make_alerts`.
        data: files of articles, or a folder of them; rows without a label are left out.
        rules: severities and field names; risk is the label of the highest severity.
        fields: the fields of text and label; ``None``: as in the student's task file.
        progress: shows the progress.

    Raises:
        ConfigError, ModelError, DataError: as for `make_alerts`, and if none or all of the rows are risks.
    """
    predictor = Predictor(model)
    severities = np.array(severities_of(predictor.labels, rules.severities, model))
    task = predictor.task
    fields = fields or Fields(task.text, task.text_pair, task.label)
    found = read_articles(file_records(data), fields, rules.fields, predictor.labels)
    labelled = [i for i, label in enumerate(found.rows.label) if label is not None]
    is_risk_C = severities == severities.max()
    risk_labels = [label for label, risk in zip(predictor.labels, is_risk_C, strict=True) if risk]
    risk_N = np.array([found.rows.label[i] in risk_labels for i in labelled], dtype=bool)
    if not risk_N.any() or risk_N.all():
        raise DataError(
            f"{data}: expected labelled articles with risk ({', '.join(risk_labels)}) and without, got "
            f"{int(risk_N.sum())} with and {int((~risk_N).sum())} without, in field '{fields.label}'"
        )
    temperature = predictor.temperature
    kept = ArticleRows([found.articles[i] for i in labelled], found.rows.take(labelled))
    risk_probs_N = _probs(predictor, kept, progress)[:, is_risk_C].sum(-1)
    false_alarms, sensitivity = sweep_curve(risk_probs_N, risk_N)
    notes = [] if temperature is not None else [_UNCALIBRATED]
    if len(labelled) < len(found.articles):
        notes.append(f"{len(found.articles) - len(labelled):,} articles have no label and are left out.")
    if risk_N.sum() < _FEW_RISKS:
        notes.append(f"Only {int(risk_N.sum())} articles are risks: finding one more or fewer moves the thresholds.")
    return AlertSweep(
        model=model,
        data=data,
        limbeck_version=version("limbeck"),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        risk_labels=risk_labels,
        rows=len(labelled),
        risk_rows=int(risk_N.sum()),
        calibrated=temperature is not None,
        points=sweep(risk_probs_N, risk_N),
        curve_false_alarms_per_1000=false_alarms,
        curve_sensitivity=sensitivity,
        notes=notes,
    )


def _probs(predictor: Predictor, found: ArticleRows, progress: Progress) -> NDArray[np.float64]:
    with progress.track("labelling", len(found.rows)) as update:
        return predictor.probs(found.rows, update)


def _explained(
    predictor: Predictor, found: ArticleRows, harmful_N: NDArray[np.bool_], progress: Progress
) -> list[Article]:
    """Add the student's justification to articles whose label has a severity, unless they came with one."""
    articles = list(found.articles)
    wanted = [i for i in np.flatnonzero(harmful_N).tolist() if articles[i].reason is None]
    if predictor.explains and wanted:
        with progress.track("justifications", len(wanted)) as update:
            rationales = predictor.rationales(found.rows.take(wanted), update)
        for i, reason in zip(wanted, rationales, strict=True):
            articles[i] = replace(articles[i], reason=reason)
    return articles


def _prompt_hash(model: Any) -> str | None:
    """Return the hash of a student's prompt; ``None`` for a student that reads the text alone."""
    return student_prompt(model.verbaliser.prompt).hash if isinstance(model, LabelScorer) else None


def _notes(
    articles: Sequence[Article], rules: AlertRules, temperature: float | None, *, student_explains: bool
) -> list[str]:
    fields = rules.fields
    notes = [] if temperature is not None else [_UNCALIBRATED]
    if rules.articles_for_high > 1:
        if not any(article.crisis for article in articles):
            notes.append(f"No article has a crisis (field '{fields.crisis}'), so all count as one crisis.")
        if not any(article.date for article in articles):
            notes.append(f"No article has a date (field '{fields.date}'), so all count as one week.")
    if student_explains:
        notes.append(
            "Articles that came without a justification have the student's own if their label has a severity. "
            "A justification with a number that is not in the article, or a long quotation, is left out."
        )
    elif not any(article.reason for article in articles):
        notes.append(f"No article has a justification (field '{fields.reason}'): each says '{NO_REASON}'.")
    return notes
