"""Ask a prompted teacher, local or an API, about rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from limbeck.data.prompts.label_answer import ParsedAnswer, parse_answer
from limbeck.data.prompts.label_prompt import RATIONALE_FORMATS, LabelPrompt
from limbeck.data.prompts.label_render import (
    RenderedPrompt,
    is_chat,
    render_chat,
    render_fitting,
    render_for_scoring,
    render_letters,
    render_plain,
)
from limbeck.data.prompts.sandbox import slots_of

if TYPE_CHECKING:
    from limbeck.data.tasks import Classification
    from limbeck.teachers.chat.client import ChatTeacher
    from limbeck.teachers.chat.endpoint import ChatEndpoint
    from limbeck.teachers.chat.request import ChatRequest
    from limbeck.teachers.labels.asked import Asked
    from limbeck.teachers.labels.label_probs import LabelProbs
    from limbeck.types import Rows, Update

__all__ = [
    "Row",
    "ask_for_rationales",
    "chat_label_probs",
    "content_free_label_probs",
    "content_free_rows",
    "label_requests",
    "local_label_probs",
    "rationale_requests",
    "rendered_prompts",
    "rows_for_prompts",
]

Row = Mapping[str, str]
"""The fields of a text to label, by their names in the prompt's input."""

_LABEL_TOKENS, _RATIONALE_TOKENS = 64, 320
"""Longest answers in tokens: a label, and a label with 120 words in any tokenizer."""
_ASKED_AGAIN_TEMPERATURE = 0.7
_MOST_UNREADABLE_OF_NOTHING = 0.67


def rows_for_prompts(rows: Rows, task: Classification) -> list[Row]:
    """Return each row's fields for prompts: by the task's own field names, and as ``text`` and ``text_pair``."""
    made: list[Row] = []
    for i, text in enumerate(rows.text):
        fields = {"text": text, task.text: text}
        if rows.text_pair is not None and task.text_pair is not None:
            fields |= {"text_pair": rows.text_pair[i], task.text_pair: rows.text_pair[i]}
        made.append(fields)
    return made


def rendered_prompts(
    prompt: LabelPrompt,
    rows: Sequence[Row],
    labels: Sequence[str],
    tokenizer: Any,
    fits: Callable[[RenderedPrompt], bool] | None = None,
) -> list[RenderedPrompt]:
    """Return the prompts of a local model before each label, with as many demonstrations as `fits` allows.

    Raises:
        ConfigError: the prompt does not fit rows or tokenizer.
    """
    from limbeck.data.generation.templates import end_tokens

    ends = end_tokens(tokenizer, chat=True) if is_chat(prompt, tokenizer) else ()
    end = tokenizer.convert_ids_to_tokens(ends[0]) if ends else ""
    if fits is None or not prompt.demonstrations:
        return [render_for_scoring(prompt, labels, row, tokenizer, end_of_turn=end) for row in rows]
    return [render_fitting(prompt, labels, row, tokenizer, fits, end_of_turn=end) for row in rows]


def content_free_rows(prompt: LabelPrompt) -> list[Row]:
    """Return content-free rows, for contextual calibration: every slot of the input holds N/A, nothing, [MASK]."""
    from limbeck.teachers.labels.calibration import CONTENT_FREE

    slots = slots_of(prompt.input) - {"labels"}
    return [dict.fromkeys(slots, nothing) for nothing in CONTENT_FREE]


def local_label_probs(
    model: Any,
    tokenizer: Any,
    prompt: LabelPrompt,
    rows: Sequence[Row],
    labels: Sequence[str],
    *,
    length_power: float = 1.0,
    temperature: float = 1.0,
    contextual: bool = False,
    update: Update | None = None,
) -> LabelProbs:
    """Return a local causal model's probabilities of labels (`limbeck.teachers.labels.local.score_labels`).

    Args:
        model: the teacher.
        tokenizer: the teacher's.
        prompt: the prompt.
        rows: rows to label; a row whose body was cut has the flag ``cut``. If a prompt is too long for the model,
            demonstrations are dropped from the last on (``demonstrations_dropped``); a row that is too long without
            them is not kept (``prompt_too_long``).
        labels: the labels of the task.
        length_power: b of ``s = l / |v|^b``.
        temperature: tau; applied before contextual calibration.
        contextual: divide by the mean answer to content-free inputs.
        update: called for each row that is done.

    Raises:
        ConfigError: the prompt does not fit model or tokenizer, or more than 2 % of the rows.
        ModelError: the model cannot score labels.
    """
    from limbeck.models.verbaliser import label_tokens
    from limbeck.teachers.labels.label_probs import MOST_UNREADABLE
    from limbeck.teachers.labels.local import most_tokens, score_labels

    most = most_tokens(model)

    def fits(one: RenderedPrompt) -> bool:
        if most is None:
            return True
        made = label_tokens(tokenizer, one.text, labels, lead=one.lead, end=one.end, special_tokens=one.special_tokens)
        return max(len(label.ids) for label in made) <= most

    def score(of: Sequence[Row], told: Update | None) -> tuple[LabelProbs, list[RenderedPrompt]]:
        prompts = rendered_prompts(prompt, of, labels, tokenizer, fits)
        first = prompts[0] if prompts else RenderedPrompt("", " ", "\n", True, False)
        readable = [i for i, one in enumerate(prompts) if fits(one)]
        if len(prompts) - len(readable) > MOST_UNREADABLE * len(prompts):
            readable = list(range(len(prompts)))  # the first that is too long is reported below
        scored = score_labels(
            model, tokenizer, [prompts[i].text for i in readable], labels, lead=first.lead, end=first.end,
            special_tokens=first.special_tokens, length_power=length_power, temperature=temperature, update=told,
        )  # fmt: skip
        return scored.among(readable, len(prompts), "prompt_too_long"), prompts

    scored, prompts = score(rows, update)
    scored = _flagged(scored, "cut", [one.cut for one in prompts])
    scored = _flagged(scored, "demonstrations_dropped", [one.dropped > 0 for one in prompts])
    return _contextual(scored, score(content_free_rows(prompt), None)[0]) if contextual else scored


def chat_label_probs(
    teacher: ChatTeacher,
    prompt: LabelPrompt,
    rows: Sequence[Row],
    labels: Sequence[str],
    *,
    samples: int = 10,
    contextual: bool = False,
    most_unreadable: float | None = None,
    may_run_out: bool = False,
    update: Update | None = None,
) -> LabelProbs:
    """Return an API's probabilities of labels.

    If the endpoint gives log-probabilities: by option letters, averaged over the cyclic orders of the labels, with one
    token per request and as many requests per row as there are labels. Else by `samples` answers per row.

    Args:
        teacher: the API and its journal.
        prompt: the prompt; a completion endpoint gets the plain layout.
        rows: rows to label; a row whose body was cut has the flag ``cut``.
        labels: the labels of the task.
        samples: answers per row.
        contextual: divide by the mean answer to content-free inputs.
        most_unreadable: largest share of answers without a label; ``None``: 2 %.
        may_run_out: answers that a ceiling left no room for are no error; their rows have the flag
            ``failed_over_budget``.
        update: called for each request that is done.

    Raises:
        ConfigError: the prompt does not fit the rows, or there are more than 26 labels for letters.
        TeacherError: the API cannot be used, or more than `most_unreadable` of its answers have no label.
    """
    from limbeck.teachers.labels.asked import letter_probs, sample_probs
    from limbeck.teachers.labels.label_probs import MOST_UNREADABLE

    chat, most = teacher.endpoint.kind == "chat", MOST_UNREADABLE if most_unreadable is None else most_unreadable
    if teacher.endpoint.log_probs > 0:
        asked_NR, cuts = _asked_in_every_order(prompt, rows, labels, chat)
        found = letter_probs(
            teacher, asked_NR, len(labels), most_unreadable=most, may_run_out=may_run_out, update=update
        )
    else:
        asked_N, cuts = _asked(prompt, rows, labels, chat)
        found = sample_probs(
            teacher, asked_N, labels, _reader(prompt, labels), samples=samples, max_tokens=_longest(prompt),
            update=update, stop=_stop(prompt, chat), most_unreadable=most, may_run_out=may_run_out,
        )  # fmt: skip
    scored = _flagged(found, "cut", cuts)
    if not contextual:
        return scored
    return _contextual(scored, content_free_label_probs(teacher, prompt, labels, samples=samples))


def content_free_label_probs(
    teacher: ChatTeacher, prompt: LabelPrompt, labels: Sequence[str], *, samples: int = 10
) -> LabelProbs:
    """Return an API's probabilities of labels for content-free inputs. Raises as `chat_label_probs`."""
    # For some of them a model answers that there is nothing to label: not a fault of the prompt.
    return chat_label_probs(
        teacher,
        prompt,
        content_free_rows(prompt),
        labels,
        samples=samples,
        most_unreadable=_MOST_UNREADABLE_OF_NOTHING,
    )


def label_requests(
    endpoint: ChatEndpoint, prompt: LabelPrompt, rows: Sequence[Row], labels: Sequence[str], samples: int
) -> list[ChatRequest]:
    """Return the requests of `chat_label_probs` for rows, without sending them."""
    from limbeck.teachers.labels.asked import letter_requests, sample_requests

    chat = endpoint.kind == "chat"
    if endpoint.log_probs > 0:
        return letter_requests(_asked_in_every_order(prompt, rows, labels, chat)[0], endpoint.log_probs)
    asked_N, _ = _asked(prompt, rows, labels, chat)
    return sample_requests(asked_N, samples=samples, max_tokens=_longest(prompt), stop=_stop(prompt, chat))


def rationale_requests(
    endpoint: ChatEndpoint, prompt: LabelPrompt, rows: Sequence[Row], labels: Sequence[str]
) -> list[ChatRequest]:
    """Return the first requests of `ask_for_rationales` for rows, without sending them."""
    chat = endpoint.kind == "chat"
    asked_N, _ = _asked(prompt, rows, labels, chat)
    return [_rationale_request(asked, prompt, chat) for asked in asked_N]


def ask_for_rationales(
    teacher: ChatTeacher,
    prompt: LabelPrompt,
    rows: Sequence[Row],
    labels: Sequence[str],
    *,
    update: Update | None = None,
) -> list[ParsedAnswer | None]:
    """Return a label with its rationale in English for each row; ``None`` if the request failed.

    If the rationale of an answer cannot be used, another sample is asked for once. If that has the same fault, or
    another label, the first label stays and has no rationale.

    Raises:
        ConfigError: the prompt's format has no rationale.
        TeacherError: the API cannot be used.
    """
    from limbeck.errors import ConfigError
    from limbeck.teachers.chat.answer import Answer

    if prompt.format not in RATIONALE_FORMATS:
        raise ConfigError(f"prompt.format: {prompt.format} has no rationale; use {' or '.join(RATIONALE_FORMATS)}")
    chat = teacher.endpoint.kind == "chat"
    asked_N, _ = _asked(prompt, rows, labels, chat)

    def ask(which: Sequence[int], temperature: float, sample: int) -> list[ParsedAnswer | None]:
        requests = [_rationale_request(asked_N[row], prompt, chat, temperature, sample) for row in which]
        outcomes = teacher.complete(requests, update)
        return [parse_answer(o.text, prompt, labels) if isinstance(o, Answer) else None for o in outcomes]

    found = ask(range(len(rows)), 0.0, 0)
    again = [row for row, answer in enumerate(found) if answer is not None and answer.ask_again]
    for row, answer in zip(again, ask(again, _ASKED_AGAIN_TEMPERATURE, 1), strict=True):
        first = found[row]
        if answer is not None and first is not None and answer.rationale and answer.label == first.label:
            found[row] = answer
    return found


def _asked(
    prompt: LabelPrompt, rows: Sequence[Row], labels: Sequence[str], chat: bool
) -> tuple[list[Asked], list[bool]]:
    made = [render_chat(prompt, labels, row) if chat else render_plain(prompt, labels, row) for row in rows]
    return [asked for asked, _ in made], [cut for _, cut in made]


def _asked_in_every_order(
    prompt: LabelPrompt, rows: Sequence[Row], labels: Sequence[str], chat: bool
) -> tuple[list[list[Asked]], list[bool]]:
    turned = [
        [render_letters(prompt, labels, row, turn=turn, chat=chat) for turn in range(len(labels))] for row in rows
    ]
    return [[asked for asked, _ in orders] for orders in turned], [orders[0][1] for orders in turned]


def _rationale_request(
    asked: Asked, prompt: LabelPrompt, chat: bool, temperature: float = 0.0, sample: int = 0
) -> ChatRequest:
    from limbeck.teachers.labels.asked import request_of

    return request_of(
        asked, max_tokens=_RATIONALE_TOKENS, sampling_temperature=temperature, sample=sample, stop=_stop(prompt, chat)
    )


def _longest(prompt: LabelPrompt) -> int:
    return _LABEL_TOKENS if prompt.format in ("none", "label") else _RATIONALE_TOKENS


def _stop(prompt: LabelPrompt, chat: bool) -> tuple[str, ...]:
    """Return stop strings: a base model continues with more text, so its answer ends at a line break or blank line."""
    if chat or prompt.format == "json":
        return ()
    return ("\n\n",) if prompt.format == "label_and_rationale" else ("\n",)


def _reader(prompt: LabelPrompt, labels: Sequence[str]) -> Callable[[str], tuple[str | None, str]]:
    def read(text: str) -> tuple[str | None, str]:
        answer = parse_answer(text, prompt, labels)
        return answer.label, answer.outcome

    return read


def _flagged(scored: LabelProbs, flag: str, which_N: Sequence[bool]) -> LabelProbs:
    flags = tuple(own | {flag} if has else own for own, has in zip(scored.flags, which_N, strict=True))
    return replace(scored, flags=flags)


def _contextual(scored: LabelProbs, free: LabelProbs) -> LabelProbs:
    from limbeck.teachers.labels.calibration import contextual

    return contextual(scored, free)
