"""What can be said about an ensemble before any of its members is trained."""

from __future__ import annotations

from limbeck.numerics.cross_fitting import answered_rows, learned_rows, smallest_class
from limbeck.tasks.classification.ensemble.config import Ensemble, Member
from limbeck.tasks.classification.ensemble.lesson import Lesson
from limbeck.tasks.classification.ensemble.members import only_probes
from limbeck.tasks.finding import Finding
from limbeck.tasks.planned_stages import split_budget

__all__ = ["lesson_findings", "rows_read"]


def lesson_findings(lesson: Lesson, ensemble: Ensemble, labels: list[str]) -> list[Finding]:
    """Return findings on the rows that members learn: how many, and whether the folds share out every label."""
    learned, gold, folds = int((lesson.class_N >= 0).sum()), int(lesson.gold_N.sum()), ensemble.folds
    words = f"{len(ensemble.members)} members learn {learned} rows ({gold} with a gold label) in {folds} folds"
    if lesson.judged_by == "teacher":
        words += ". No training row has a gold label, so their weights follow another model's labels"
    findings = [Finding("ok", "ensemble", words)]
    keys = list(zip(lesson.rows.text, lesson.rows.text_pair or lesson.rows.text, strict=True))
    rarest, different = smallest_class(lesson.class_N, keys)
    if different < folds:
        words = f"'{labels[rarest]}' has {different} different labelled rows, fewer than the {folds} folds"
        words += ": no member that answers its row has seen one" if different == 1 else ""
        findings.append(Finding("warning", "folds", f"{words}. Label more rows, or use fewer folds"))
    return findings


def rows_read(lesson: Lesson, ensemble: Ensemble, member: Member) -> int:
    """Return how many rows the models of a member read in all folds; a row that is trained on counts three times."""
    stages, training, read = member.recipe.build().stages, member.training, 0
    assert training is not None
    if only_probes(member):
        return len(lesson.rows)
    fits_head = training.fit_head or any(stage.fit_head for stage in stages)
    for fold in range(lesson.models):
        learned = len(learned_rows(lesson.class_N, lesson.fold_N, fold))
        steps = sum(split_budget(stages, training.total_steps(learned)))
        read += 3 * steps * training.batch_size + fits_head * learned + len(answered_rows(lesson.fold_N, fold))
    return read * ensemble.rounds
