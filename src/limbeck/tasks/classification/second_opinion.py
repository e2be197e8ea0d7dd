"""Ask an API again about rows that it has labelled already: what more it can say about them, all answers together.

An API that gives samples of text is asked for twice as many new ones as at first. The rows were chosen because others
contradict the first ones, which are therefore wrong more often than elsewhere: new ones must be able to outvote them,
even if all first ones agree. One that gives log-probabilities would repeat itself: it is asked with the labels in
reverse, in the instruction and in all cyclic orders of the options, where each label has other neighbours. If that is
the same request, as with two labels that the instruction does not name, there is nothing new to ask.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from limbeck.data.prompts.label_prompt import LabelPrompt
from limbeck.tasks.classification.prompted_teacher import (
    Row,
    chat_label_probs,
    content_free_label_probs,
    label_requests,
)

if TYPE_CHECKING:
    from limbeck.teachers.chat.client import ChatTeacher
    from limbeck.teachers.chat.endpoint import ChatEndpoint
    from limbeck.teachers.chat.request import ChatRequest
    from limbeck.teachers.labels.label_probs import LabelProbs
    from limbeck.types import Update

__all__ = ["answers_per_row", "more_requests", "second_opinion"]

_TIMES = 3
"""Samples of both times together, in those of the first time; odd, so that an odd number stays one."""


def answers_per_row(endpoint: ChatEndpoint, labels: int, samples: int) -> int:
    """Return how many answers a row has after a second opinion.

    Args:
        endpoint: the API.
        labels: number of labels of the task.
        samples: answers per row at first, without log-probabilities.
    """
    return 2 * labels if endpoint.log_probs > 0 else _TIMES * samples


def more_requests(
    endpoint: ChatEndpoint, prompt: LabelPrompt, rows: Sequence[Row], labels: Sequence[str], samples: int
) -> list[ChatRequest]:
    """Return the requests of `second_opinion` that were not made before, without sending them."""
    if endpoint.log_probs > 0:
        return label_requests(endpoint, prompt, rows, labels[::-1], samples)
    requests = label_requests(endpoint, prompt, rows, labels, _TIMES * samples)
    return [request for request in requests if request.sample >= samples]


def second_opinion(
    teacher: ChatTeacher,
    prompt: LabelPrompt,
    rows: Sequence[Row],
    labels: Sequence[str],
    *,
    samples: int = 10,
    contextual: bool = False,
    most_unreadable: float | None = None,
    update: Update | None = None,
) -> LabelProbs:
    """Return an API's probabilities of labels from its first answers to rows and as many new ones as it is asked for.

    The first answers are read from the journal. Rows that the budget left no room for have the flag
    ``failed_over_budget``; that is no error.

    Args:
        teacher: the API, and the journal with its first answers.
        prompt: the prompt.
        rows: rows that were labelled before.
        labels: the labels of the task.
        samples: answers per row at first.
        contextual: divide by the mean answer to content-free inputs, as at first.
        most_unreadable: largest share of answers without a label; ``None``: 2 %.
        update: called for each request that is done.

    Raises:
        TeacherError: the API cannot be used, or more than `most_unreadable` of its answers have no label.
    """
    if teacher.endpoint.log_probs > 0:
        first, second = (
            chat_label_probs(
                teacher, prompt, rows, order, most_unreadable=most_unreadable, may_run_out=True, update=update
            )
            for order in (labels, labels[::-1])
        )
        scored = _mean(first, second)
    else:
        scored = chat_label_probs(
            teacher, prompt, rows, labels, samples=_TIMES * samples, most_unreadable=most_unreadable,
            may_run_out=True, update=update,
        )  # fmt: skip
    if not contextual:
        return scored
    from limbeck.teachers.labels import calibration

    return calibration.contextual(scored, content_free_label_probs(teacher, prompt, labels, samples=samples))


def _mean(first: LabelProbs, second: LabelProbs) -> LabelProbs:
    """Return the mean of answers in the orders of the labels, and of those in the orders of the labels reversed."""
    probs_KNC = np.stack([first.probs_NC, second.probs_NC[:, ::-1]])
    kept_KN = np.stack([first.kept_N, second.kept_N])
    times_N = np.maximum(kept_KN.sum(axis=0), 1)
    probs_NC = np.where(kept_KN[:, :, None], probs_KNC, 0).sum(axis=0) / times_N[:, None]
    kept_N: NDArray[np.bool_] = np.any(kept_KN, axis=0)
    probs_NC = np.where(kept_N[:, None], probs_NC, 1 / probs_NC.shape[1])
    differ_N = kept_KN.all(axis=0) & (probs_KNC[0].argmax(axis=-1) != probs_KNC[1].argmax(axis=-1))
    flags = tuple(
        one | other | (frozenset({"orders_disagree"}) if differ else frozenset())
        for one, other, differ in zip(first.flags, second.flags, differ_N.tolist(), strict=True)
    )
    return replace(first, probs_NC=probs_NC, raw_NC=probs_NC.copy(), kept_N=kept_N, flags=flags)
