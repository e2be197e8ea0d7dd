"""The importance of the units of a teacher with a head, by its loss on gold answers."""

from __future__ import annotations

import copy
from functools import partial

from limbeck.recipes.catalogue import build_recipe
from limbeck.students.pruning.importance import Importance
from limbeck.tasks.head_context import HeadContext
from limbeck.tasks.head_systems import sequences_of
from limbeck.tasks.importance import importance_on, kept_importance
from limbeck.types import Progress

__all__ = ["head_importance"]


def head_importance(context: HeadContext, progress: Progress) -> Importance | None:
    """Return the importance of the trained teacher's units, kept in the run folder, if the student is pruned."""
    pruned, teacher = context.config.student.pruned, context.teacher
    if pruned is None:
        return None
    assert teacher is not None
    model = copy.deepcopy(teacher.model)
    context.coder.begin(model, teacher.model)  # as the student starts: gold numbers are standardised
    kind = context.config.recipe.kind
    labelled = build_recipe("fine_tune", {}, kind).stages[0]
    rows = sequences_of(context, labelled, teacher.train, taught=False)
    measure = partial(
        importance_on, model, rows, pruned.rows, teacher.train.batch,
        kind=kind, readout=context.coder.readout, progress=progress,
    )  # fmt: skip
    mark = f"{teacher.train.inputs.fingerprint()} rows={pruned.rows}"
    return kept_importance(context.folder, teacher.model, mark, measure, progress)
