"""The members of an ensemble teacher."""

from __future__ import annotations

from limbeck.formatting import ABSENT, count_text, duration_text, share_text
from limbeck.report.block import Block, Cell, Column, Row, Table
from limbeck.results.record import Results
from limbeck.results.sections import AskedAgain, Ensemble, EnsembleMember

__all__ = ["render"]


_SOURCES = {"field": "field", "api": "API", "model": "prompted model"}
_REFIT = " Other rows were answered by models that were trained on all of them."


def render(section: Ensemble, results: Results) -> Block:
    """Show each member with its weight, its accuracy and what it took."""
    gold = section.labels == "gold"
    compared = "gold labels, out of fold" if gold else "labels learned, out of fold"
    columns = [
        Column("Member", kind="words"),
        Column("Weight"),
        Column("Accuracy", "held-out rows"),
        Column("Agreement" if not gold else "Accuracy", compared),
        Column("Time", "all folds"),
    ]
    table = Table("Members of the teacher", columns, [_row(member) for member in section.members], brief=True)
    return Block("The teacher's members", _lead(section), tables=[table])


def _row(member: EnsembleMember) -> Row:
    shares = [ABSENT if one is None else share_text(one) for one in (member.right, member.right_out_of_fold)]
    time = duration_text(member.seconds) if member.seconds else ABSENT
    return Row([Cell(member.title), Cell(f"{member.weight:.2f}"), *map(Cell, shares), Cell(time)])


def _lead(section: Ensemble) -> str:
    labels = "gold labels"
    if section.labels != "gold":
        labels = f"the labels of {_article(section)}, which no gold label confirms"
    mean = "" if section.temperature is None else f", and the mean a temperature of {section.temperature:.2f}"
    return (
        f"The members learned {count_text(section.learned_rows)} training rows in {section.folds} folds: each was "
        "trained on all folds but one and answered the fold left out, so that none answers a row that it learned. "
        f"The weights of their mean were fitted on these answers to {count_text(section.fitted_rows)} rows with "
        f"{labels}{mean}." + (_REFIT if section.refit else "") + _of_labels(section)
    )


def _source(section: Ensemble) -> str:
    """Return whose labels the members learned where there was no gold one."""
    return _SOURCES[next((one.labels_from for one in section.members if one.labels_from is not None), "field")]


def _article(section: Ensemble) -> str:
    source = _source(section)
    return f"{'an' if source == 'API' else 'a'} {source}"


def _of_labels(section: Ensemble) -> str:
    words = ""
    if section.confidence is not None:
        words += f" Labels of the field that came without a confidence count as {share_text(section.confidence)} sure."
    if section.rounds > 1:
        words += (
            f" All were trained in {section.rounds} rounds; in the last one {count_text(section.relabelled_rows)} "
            f"rows had the ensemble's label in place of the {_source(section)}'s. Accuracy out of fold is that of the "
            "last round."
        )
    return words + ("" if section.asked_again is None else _again(section.asked_again))


def _again(asked: AskedAgain) -> str:
    words = (
        f" Between rounds the API was asked again about {count_text(asked.rows)} rows whose label the other members "
    )
    words += f"contradicted, and changed it for {count_text(asked.changed)}"
    if asked.left_out:
        words += f"; its budget left no room for {count_text(asked.left_out)} more, which keep their first label"
    return f"{words}."
