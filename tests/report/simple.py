"""A record with simple baselines, as runs of today have them: the old record of a classifier and two systems more."""

from __future__ import annotations

from tests.report.conftest import changed

from limbeck.results.figures import Comparison, Figure, Test
from limbeck.results.record import Results, System
from limbeck.results.sections import SimpleBaselines, SimpleFit

TFIDF = System(name="tfidf", title="TF-IDF + logistic regression", role="simple", detail="words and parts of words")
FROZEN = System(name="frozen_embeddings", title="Frozen embeddings + logistic regression", role="simple", layers=6)
FITS = SimpleBaselines(
    fits=[
        SimpleFit(system="tfidf", reads="words and parts of words", labels="gold", rows=1234, cpu_seconds=7.5,
                  inverse_strength=1000.0),
        SimpleFit(system="frozen_embeddings", reads="mean state", labels="teacher", rows=20_000, cpu_seconds=125.0,
                  inverse_strength=0.1),
    ]
)  # fmt: skip


def with_simple(results: Results, tfidf: float = 0.75, frozen: float = 0.85, p_value: float = 0.001) -> Results:
    """The record with both, of these accuracies; the student, with 90.3 %, differs from both with this p-value."""
    accuracy = {"tfidf": tfidf, "frozen_embeddings": frozen}
    ours = results.figure("distilled", "accuracy")
    assert ours is not None
    figures = [
        Figure(system=name, metric=metric, value=value, low=value - 0.02, high=value + 0.02)
        for name, of in accuracy.items()
        for metric, value in (("accuracy", of), ("kl", 4.0))
    ]
    comparisons = [
        Comparison(
            first="distilled", second=name, metric="accuracy", value=ours.value - of, low=ours.value - of - 0.02,
            high=ours.value - of + 0.02, tests=[Test(name="bootstrap", p_value=p_value)],
        )
        for name, of in accuracy.items()
    ]  # fmt: skip
    constant = [system for system in results.systems if system.role == "constant"]
    models = [system for system in results.systems if system.role != "constant"]
    return changed(
        results,
        systems=[*models, TFIDF, FROZEN, *constant],
        figures=[*results.figures, *figures],
        comparisons=[*results.comparisons, *comparisons],
        sections=[FITS, *results.sections],
    )
