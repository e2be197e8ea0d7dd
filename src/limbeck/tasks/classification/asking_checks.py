"""What asking a model for labels will take: calls, tokens, dollars and the key, and what is free to know of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from limbeck.errors import ConfigError, LimbeckError
from limbeck.tasks.classification.asked_labels import pilot_without_cost, prompt_rows
from limbeck.tasks.classification.config import RunConfig
from limbeck.tasks.classification.ensemble.ask_again import most_asked_again
from limbeck.tasks.classification.labeller import Labeller
from limbeck.tasks.classification.prompted_teacher import content_free_rows, label_requests, rationale_requests
from limbeck.tasks.classification.rows import RunRows
from limbeck.tasks.classification.second_opinion import more_requests
from limbeck.tasks.finding import Finding
from limbeck.teachers.chat.endpoint import ChatEndpoint, read_key
from limbeck.teachers.chat.estimate import estimate
from limbeck.teachers.chat.request import ChatRequest
from limbeck.types import Progress

__all__ = ["asked_findings"]


def asked_findings(config: RunConfig, rows: RunRows, progress: Progress) -> list[Finding]:
    """Report the number of requests to a prompted model, its worth if that is free to know, and its key."""
    labeller, texts = config.teacher.asked, len(rows.train) + len(rows.test)
    assert labeller is not None
    try:
        worth = pilot_without_cost(config, rows, Path(config.output), progress)
    except LimbeckError as error:
        return [Finding("fault", "pilot", str(error))]
    findings = [] if worth is None else [Finding("ok", "pilot", f"the teacher is {worth}")]
    words = f"will be asked about {texts} texts"
    words = words if config.teacher.ensemble is None else f"{labeller.asked_title} {words}"
    if labeller.api is None:
        return [*findings, Finding("note", "teacher", f"{words}; its accuracy is known after that")]
    each = len(rows.labels) if labeller.api.log_probs else labeller.samples
    why = "orders of the labels" if labeller.api.log_probs else "samples"
    words += f" in {each} {why} each, {texts * each:,} answers; its accuracy is known after that"
    findings += [Finding("note", "teacher", words), _cost_of_asking(config, rows, labeller, labeller.api)]
    findings += _asking_again(config, rows, labeller, labeller.api)
    try:
        read_key(labeller.api)
    except ConfigError as error:
        findings.append(Finding("warning", "key", str(error)))
    return findings


def _cost_of_asking(config: RunConfig, rows: RunRows, labeller: Labeller, endpoint: ChatEndpoint) -> Finding:
    """Estimate the requests to the API; answers that are already in a journal cost nothing."""
    train = prompt_rows(config, rows.train)
    assert labeller.prompt is not None
    texts = [*train, *prompt_rows(config, rows.test)]
    if "contextual" in labeller.calibration:
        texts += [dict(row) for row in content_free_rows(labeller.prompt)]
    requests = label_requests(endpoint, labeller.prompt, texts, rows.labels, labeller.samples)
    learns_rationales = any(recipe.build().needs.rationales for recipe in config.recipes().values())
    if learns_rationales and config.teacher.rationale is None:
        requests += rationale_requests(endpoint, labeller.prompt, train, rows.labels)
    words = _estimated(config, endpoint, requests)
    return Finding("note", "cost", f"{words}. Answers in the journal are not asked for again")


def _asking_again(config: RunConfig, rows: RunRows, labeller: Labeller, endpoint: ChatEndpoint) -> list[Finding]:
    """Estimate what the API may be asked again: in the worst case, the rows whose requests are longest."""
    ensemble = config.teacher.ensemble
    if ensemble is None or not ensemble.ask_again:
        return []
    assert labeller.prompt is not None
    open_rows = rows.train.take([row for row, gold in enumerate(rows.train_labels.tolist()) if gold < 0])
    most = (ensemble.rounds - 1) * most_asked_again(ensemble, len(rows.train))
    texts = sorted(prompt_rows(config, open_rows), key=lambda fields: len("".join(fields.values())), reverse=True)
    asked = texts[:most]
    requests = more_requests(endpoint, labeller.prompt, asked, rows.labels, labeller.samples)
    words = _estimated(config, endpoint, requests)
    before = "each further round" if ensemble.rounds > 2 else "the second round"
    words = f"before {before}, at most {len(asked)} rows in all that the other members contradict: {words}"
    return [Finding("note", "asked again", words)]


def _estimated(config: RunConfig, endpoint: ChatEndpoint, requests: Sequence[ChatRequest]) -> str:
    found, where = estimate(endpoint, requests), ".".join(map(str, config.teacher.asked_at))
    words = f"{found.calls:,} calls, about {found.prompt_tokens:,} tokens of prompts (by 4 bytes a token) and at most "
    words += f"{found.answer_tokens:,} of answers"
    if found.usd is None:
        return f"{words}; with {where}.api.prices also in dollars"
    return f"{words}: about ${found.usd:.2f} with the longest answers"
