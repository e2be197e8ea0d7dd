"""Probabilities of labels from a chat teacher: by option letters' log-probabilities, or by repeated answers.

Failures are data: they are counted by kind, flag their row, and stop the run if they are more than a few.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from limbeck.errors import TeacherError
from limbeck.formatting import share_text
from limbeck.teachers.chat.answer import Answer, Failure, Outcome
from limbeck.teachers.chat.client import ChatTeacher
from limbeck.teachers.chat.request import ChatRequest, Message
from limbeck.teachers.chat.trouble import advice
from limbeck.teachers.labels.label_probs import (
    MOST_UNREADABLE,
    LabelProbs,
    TopTokens,
    from_log_probs,
    from_samples,
    has_letter,
)
from limbeck.types import Update

__all__ = [
    "CACHED_SAMPLES",
    "Asked",
    "Read",
    "letter_probs",
    "letter_requests",
    "request_of",
    "sample_probs",
    "sample_requests",
    "samples_vary",
]

Asked = str | Sequence[Mapping[str, str]]
"""A plain prompt, for completion endpoints, or messages with ``role`` and ``content``."""

_SAMPLING_TEMPERATURE = 0.7
"""Of answers in text; at 0 all samples would be equal."""

CACHED_SAMPLES = "cached_samples"
"""Flag of rows whose samples are all equal."""
_FEWEST_ALIKE, _SHARE_ALIKE = 10, 0.95
"""With at least so many rows, if so many have only equal answers, test whether the API samples at all."""
_TRIED = 4
_RANDOM = "Write twenty random digits, and behind them five words that have nothing to do with each other."

_TOKENS_NAMED, _LONGEST_TOKEN = 3, 20

Read = Callable[[str], tuple[str | None, str]]
"""Reads an answer: its label or None, and a word for the result (``conflict``, ``unknown_label``)."""


def request_of(
    asked: Asked,
    *,
    max_tokens: int,
    sampling_temperature: float = 0.0,
    sample: int = 0,
    top_log_probs: int | None = None,
    stop: tuple[str, ...] = (),
) -> ChatRequest:
    """Return the request for one answer; one with log-probabilities may end at `max_tokens`."""
    plain = asked if isinstance(asked, str) else None
    messages = () if isinstance(asked, str) else tuple(Message(m["role"], m["content"]) for m in asked)
    return ChatRequest(
        messages=messages,
        prompt=plain,
        max_tokens=max_tokens,
        sampling_temperature=sampling_temperature,
        stop=stop,
        sample=sample,
        top_log_probs=top_log_probs,
        truncated_ok=top_log_probs is not None,
    )


def letter_requests(asked_NR: Sequence[Sequence[Asked]], top: int) -> list[ChatRequest]:
    """Return the requests of `letter_probs`: one token for each order of each row, with `top` alternatives."""
    return [request_of(asked, max_tokens=1, top_log_probs=top) for asked_R in asked_NR for asked in asked_R]


def sample_requests(
    asked_N: Sequence[Asked],
    *,
    samples: int = 10,
    max_tokens: int = 64,
    stop: tuple[str, ...] = (),
) -> list[ChatRequest]:
    """Return the requests of `sample_probs`: `samples` answers for each row."""
    return [
        request_of(asked, max_tokens=max_tokens, sampling_temperature=_SAMPLING_TEMPERATURE, sample=number, stop=stop)
        for asked in asked_N
        for number in range(samples)
    ]


def letter_probs(
    teacher: ChatTeacher,
    asked_NR: Sequence[Sequence[Asked]],
    classes: int,
    *,
    most_unreadable: float = MOST_UNREADABLE,
    may_run_out: bool = False,
    update: Update | None = None,
) -> LabelProbs:
    """Ask for one token, an option letter, in every cyclic order of the labels (`from_log_probs`).

    Args:
        teacher: a chat teacher whose endpoint tells how many alternatives per token it gives.
        asked_NR: the prompts of each row's orders, in turn.
        classes: C.
        most_unreadable: maximum share of answers without an option letter.
        may_run_out: whether answers that a ceiling left no room for are no error, but missing.
        update: called for each completed request.

    Raises:
        ConfigError: the endpoint gives no log-probabilities.
        TeacherError: a ceiling was reached, or too many answers were unreadable; the message counts them by kind.
    """
    outcomes = teacher.complete(letter_requests(asked_NR, teacher.endpoint.log_probs), update)
    following = iter(outcomes)
    kinds: Counter[str] = Counter()
    instead: Counter[str] = Counter()
    top_NR: list[list[TopTokens | None]] = []
    marks: list[set[str]] = []
    for asked_R in asked_NR:
        top_R: list[TopTokens | None] = []
        of_row = set()
        for _ in asked_R:
            outcome = next(following)
            alternatives = _first_token(outcome)
            top_R.append(alternatives)
            if not has_letter(alternatives, classes):
                kind = outcome.kind if isinstance(outcome, Failure) else "no_letter"
                if alternatives and kind in ("no_letter", "empty"):
                    kind = "no_letter"  # a server may show no text of reasoning or of a space
                    instead[max(alternatives, key=lambda pair: pair[1])[0]] += 1
                kinds[kind] += 1
                of_row.add(f"failed_{kind}")
        top_NR.append(top_R)
        marks.append(of_row)
    _refuse_unreadable(kinds, outcomes, most_unreadable, _named(instead), may_run_out=may_run_out)
    return _flagged(from_log_probs(top_NR, classes, most_unreadable=1.0), marks)


def sample_probs(
    teacher: ChatTeacher,
    asked_N: Sequence[Asked],
    names: Sequence[str],
    read: Read,
    *,
    samples: int = 10,
    max_tokens: int = 64,
    stop: tuple[str, ...] = (),
    most_unreadable: float = MOST_UNREADABLE,
    may_run_out: bool = False,
    update: Update | None = None,
) -> LabelProbs:
    """Ask for several answers to each prompt and count their labels (`from_samples`).

    Args:
        teacher: any chat teacher.
        asked_N: the prompt of each row.
        names: the task's labels, in order.
        read: reads an answer.
        samples: number of answers per row.
        max_tokens: maximum length of an answer.
        stop: end of an answer; without it, a base model continues with another text.
        most_unreadable: maximum share of answers without a label.
        may_run_out: whether answers that a ceiling left no room for are no error, but missing.
        update: called for each completed request.

    Raises:
        TeacherError: a ceiling was reached, or too many answers were unreadable; the message counts them by kind.
    """
    requests = sample_requests(asked_N, samples=samples, max_tokens=max_tokens, stop=stop)
    outcomes = teacher.complete(requests, update)
    following = iter(outcomes)
    kinds: Counter[str] = Counter()
    answers: list[list[str | None]] = []
    marks: list[set[str]] = []
    for _ in asked_N:
        of_row: set[str] = set()
        given: list[str | None] = []
        for _ in range(samples):
            outcome = next(following)
            label, kind = read(outcome.text) if isinstance(outcome, Answer) else (None, outcome.kind)
            given.append(label)
            if label is None:
                kinds[kind] += 1
                of_row.add(f"failed_{kind}")
        answers.append(given)
        marks.append(of_row)
    _refuse_unreadable(kinds, outcomes, most_unreadable, may_run_out=may_run_out)
    alike = [len({_said(one) for one in outcomes[i : i + samples]}) == 1 for i in range(0, len(outcomes), samples)]
    if (
        samples > 1
        and len(alike) >= _FEWEST_ALIKE
        and sum(alike) >= _SHARE_ALIKE * len(alike)
        and not kinds["over_budget"]
        and samples_vary(teacher, plain=isinstance(asked_N[0], str)) is False
    ):
        marks = [of_row | {CACHED_SAMPLES} for of_row in marks]
    return _flagged(from_samples(answers, names, most_unreadable=1.0), marks)


def samples_vary(teacher: ChatTeacher, *, plain: bool) -> bool | None:
    """Return whether equal requests get different answers, tried on one that is never answered the same twice.

    A teacher that is sure also gives equal answers; one that writes the same random digits every time does not sample:
    a gateway answers from its cache, or the temperature is fixed. ``None``: unknown.
    """
    asked: Asked = _RANDOM if plain else [{"role": "user", "content": _RANDOM}]
    requests = sample_requests([asked], samples=_TRIED)
    try:
        said = [_said(outcome) for outcome in teacher.complete(requests) if isinstance(outcome, Answer)]
    except TeacherError:
        return None
    return len(set(said)) > 1 if len(said) > 1 else None


def _said(outcome: Outcome) -> str:
    return outcome.text.strip() if isinstance(outcome, Answer) else outcome.kind


def _first_token(outcome: Outcome) -> list[tuple[str, float]] | None:
    """Return the first token's alternatives; a white-space token gives a `Failure` that still has them.

    Two tokens may have the same spelling ("A" and " A" with its space stripped): both stay.
    """
    if not outcome.log_probs:
        return None
    first = outcome.log_probs[0]
    found = list(first.top)
    if first.log_prob is not None and all(token != first.token for token, _ in found):
        found.append((first.token, first.log_prob))
    return found


def _named(instead: Counter[str]) -> str:
    """Return the tokens found where a letter was expected, escaped: some are invisible, some look the same."""
    shown = [f"{token[:_LONGEST_TOKEN]!a} ({times})" for token, times in instead.most_common(_TOKENS_NAMED)]
    return f"Most likely first tokens if there was no letter: {', '.join(shown)}. " if shown else ""


def _refuse_unreadable(
    kinds: Counter[str], outcomes: Sequence[Outcome], most: float, instead: str = "", *, may_run_out: bool
) -> None:
    if may_run_out:
        kinds = Counter({kind: times for kind, times in kinds.items() if kind != "over_budget"})
        outcomes = [one for one in outcomes if isinstance(one, Answer) or one.kind != "over_budget"]
    lost, asked = kinds.total(), len(outcomes)
    if lost <= most * asked:
        return
    counts = ", ".join(f"{times} {kind}" for kind, times in kinds.most_common())
    ceilings = [o.detail for o in outcomes if isinstance(o, Failure) and o.kind == "over_budget"]
    if ceilings:
        others = f" ({lost} of {asked} answers have no label: {counts})" if lost > len(ceilings) else ""
        raise TeacherError(
            f"the ceiling was reached: {len(ceilings)} of {asked} requests were not sent{others}. {ceilings[0]}. "
            "Earlier answers are in the journal and are not paid for again: raise that ceiling and run again"
        )
    raise TeacherError(
        f"{lost} of {asked} answers have no label ({counts}); at most {share_text(most, digits=0)} may. "
        f"{instead}{_first_failure(outcomes)}What was paid for is in the journal and is read again without a request. "
        f"For failures of the API, run again. For answers without a label: {_advice(kinds)}"
    )


def _first_failure(outcomes: Sequence[Outcome]) -> str:
    """Return the API's words on the first failed answer, and the setting to change if it is about one."""
    failure = next((outcome for outcome in outcomes if isinstance(outcome, Failure)), None)
    if failure is None:
        return ""
    hint = advice(failure.detail) if failure.kind == "rejected" else None
    return f"The first failure: {failure.kind}, {failure.detail.rstrip('.')}. " + (f"{hint}. " if hint else "")


def _advice(kinds: Counter[str]) -> str:
    if kinds["no_letter"]:
        return (
            "a model that reasons first, or starts its answer with a mark, does not give a letter at once. Turn off "
            "its reasoning, or ask for samples of text (teacher.api.log_probs: 0)"
        )
    if kinds["only_thoughts"] or kinds["truncated"]:
        return (
            "the answers end too early, or within the model's reasoning. Allow longer ones (teacher.api.max_tokens), "
            "or turn off its reasoning"
        )
    return "describe in the prompt's format what an answer looks like, or use another teacher"


def _flagged(scored: LabelProbs, marks: Sequence[set[str]]) -> LabelProbs:
    return replace(scored, flags=tuple(flags | own for flags, own in zip(scored.flags, marks, strict=True)))
