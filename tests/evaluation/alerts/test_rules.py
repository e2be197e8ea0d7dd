"""Rules: which labels have which severity, and what is said where one has none."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from limbeck.errors import ConfigError
from limbeck.evaluation.alerts.rules import AlertRules, severities_of


@pytest.mark.parametrize(
    "labels",
    [
        ["risk_and_warning", "caution_and_advice", "safe_and_harmless"],
        ["Risk & Warning", "Caution & Advice", "Safe & Harmless"],
        ["risk", "caution", "safe"],
        ["Risks and Warnings", "caution-advice", "harmless"],
    ],
)
def test_the_three_classes_of_the_paper_have_severities(labels: list[str]) -> None:
    assert severities_of(labels, None, "m") == [1, 0.5, 0]


def test_other_labels_need_a_file_and_the_message_shows_it() -> None:
    with pytest.raises(ConfigError) as error:
        severities_of(["risk", "sympathy", "donation", "other"], None, "runs/x/student")
    message = str(error.value)
    assert message.startswith("runs/x/student: no severity is known for 'sympathy', 'donation', 'other'")
    assert "--rules" in message
    assert "severities: {risk: 1.0, sympathy: 0.0, donation: 0.0, ...}" in message


def test_given_severities_are_taken_in_the_order_of_the_labels() -> None:
    assert severities_of(["a", "b"], {"b": 0.2, "a": 1}, "m") == [1, 0.2]


def test_a_severity_of_no_label_is_named() -> None:
    with pytest.raises(ConfigError, match="has no label 'rsik'; did you mean 'risk'"):
        severities_of(["risk", "safe"], {"rsik": 1, "safe": 0}, "m")


def test_a_label_without_severity_is_named() -> None:
    with pytest.raises(ConfigError, match="no severity for 'b' of m"):
        severities_of(["a", "b"], {"a": 1}, "m")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"severities": {"a": 0.5, "b": 0.5}}, "same severity"),
        ({"severities": {"a": 0.5, "b": 1.5}}, "less than or equal to 1"),
        ({"bands": {"medium": 0.8, "high": 0.7}}, "must not be above high"),
        ({"near_duplicate": 0}, "greater than 0"),
        ({"articles_for_high": 0}, "greater than or equal to 1"),
        ({"confidense": 0.5}, "Extra inputs"),
    ],
)
def test_what_cannot_be_is_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        AlertRules.model_validate(values)
