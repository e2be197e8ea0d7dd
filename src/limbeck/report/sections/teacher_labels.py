"""The origin and calibration of a black-box teacher's labels."""

from __future__ import annotations

from limbeck.formatting import count_text
from limbeck.report.block import Block
from limbeck.results.record import Results
from limbeck.results.sections import TeacherLabels

__all__ = ["render"]

_ROUTES = {
    "column": "the confidence of the given label, and equal shares of the rest for all others",
    "local": "a causal model's scores of the labels",
    "log_probs": "the log-probabilities of an API's answers",
    "samples": "the shares of repeated answers",
    "ensemble": "the weighted mean of its members' probabilities",
}


def render(section: TeacherLabels, results: Results) -> Block:
    """Describe the labels in one line."""
    done = f", calibrated ({', '.join(section.calibration)})" if section.calibration else ", not calibrated"
    flags = "".join(f"; {count_text(rows)} rows: {name.replace('_', ' ')}" for name, rows in section.flags.items())
    fact = (
        f"Teacher: {section.source}. Its probabilities are {_ROUTES[section.route]}{done}; "
        f"{count_text(section.train_rows)} training rows have an answer{flags}."
    )
    return Block(facts=[fact])
