"""Types that the layers exchange, and the letters that name tensor dimensions.

Dimension letters, the same everywhere, as suffixes of tensor names
(``student_logits_BC``):

    B  sequences (rows) of a micro-batch      C  classes
    T  token positions                        D  hidden width
    N  rows of a whole data set               K  candidates of a record (padded to the most in a batch),
    V  tokens of the vocabulary                  or kept tokens of a sparse distribution
    S  supervised positions of a micro-batch, row by row: where a counted token is predicted
    H  attention heads                        G  heads of keys and values, which queries may share
    E  width of a head                       A  outputs that are attributed to tokens

Torch is imported only for annotations, so that the report works without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypedDict

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

__all__ = [
    "BYTES_A_TOKEN",
    "UNLABELLED",
    "Attribution",
    "Batch",
    "CompletionSource",
    "DenseLogits",
    "Instruction",
    "LazyLogits",
    "LogitSource",
    "Mixup",
    "Needs",
    "Origin",
    "Probe",
    "Progress",
    "Rows",
    "Sequences",
    "Shapes",
    "Signal",
    "SilentProgress",
    "Site",
    "SoftLayout",
    "SparseLogits",
    "Tap",
    "Teacher",
    "Writer",
]

UNLABELLED = -100
"""Label id of a row (or position) without a label; the usual ignore index."""

BYTES_A_TOKEN = 4
"""A rule of thumb when the tokenizer is not available; about right for English, stricter for other scripts."""


class CompletionSource(IntEnum):
    """The source of a completion that is trained on."""

    DATA = 0
    TEACHER = 1
    STUDENT = 2
    """On its own, or token by token with the teacher."""
    CORPUS = 3
    """Plain text that a recipe trains on in addition to the task."""


class Origin(NamedTuple):
    """Where a row came from: a file and its line (CSV, JSONL) or row number, counted from 1."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Rows:
    """Checked rows of a text or text-pair task, column by column.

    ``label[i]`` is a label *name* (numbers become their decimal string) or ``None``.
    """

    text: list[str]
    text_pair: list[str] | None
    label: list[str | None]
    origin: list[Origin]
    teacher_label: list[str | None] | None = None
    """Label names from a teacher, read with the rows; ``None``: not requested."""
    teacher_confidence: list[float | None] | None = None
    """Its confidence in each, from 0 to 1."""
    teacher_rationale: list[str | None] | None = None
    """Its rationales, in its own words."""

    def __len__(self) -> int:
        return len(self.text)

    def take(self, indices: list[int]) -> Rows:
        """Return the rows at `indices`, in that order."""
        pair, given, sure = self.text_pair, self.teacher_label, self.teacher_confidence
        why = self.teacher_rationale
        return Rows(
            text=[self.text[i] for i in indices],
            text_pair=None if pair is None else [pair[i] for i in indices],
            label=[self.label[i] for i in indices],
            origin=[self.origin[i] for i in indices],
            teacher_label=None if given is None else [given[i] for i in indices],
            teacher_confidence=None if sure is None else [sure[i] for i in indices],
            teacher_rationale=None if why is None else [why[i] for i in indices],
        )


@dataclass(frozen=True)
class Instruction:
    """One instruction record: a question and the answers to rank, in one language.

    Classification, pair, word and translation sets all reduce to it, so they share one scorer, one loss, one
    accuracy and one mean reciprocal rank. Candidates are pairwise different, at least two, and include every
    gold answer.
    """

    id: str
    """Unique among all records of a run: ``source/split/language/key``."""
    source: str
    """The set it came from, by its name in the run file."""
    split: Literal["train", "dev", "test"]
    task: str
    """A task in the prompt registry, e.g. ``topic``; chooses the Task-Level Prompt."""
    lang: str
    """Language of the text (of the candidates in translation), ISO 639-1 if there is a code; chooses the
    Language-Level Prompt."""
    input: str
    input_pair: str | None
    """The second text of a pair task."""
    candidates: tuple[str, ...]
    gold: tuple[int, ...]
    """Indices of the right candidates; empty if the record has no label."""
    grades: tuple[float, ...] | None = None
    """A relevance grade for each candidate, if the set grades instead of choosing."""
    slots: tuple[tuple[str, str], ...] = ()
    """More slots of the Task-Level Prompt by name, e.g. ``span`` or ``src_lang``."""
    group: str | None = None
    """Key of records that a metric groups: the pages of one query, the words of one sentence."""
    parallel: str | None = None
    """Records of different languages with the same key are translations of each other, candidates included."""


@dataclass(frozen=True)
class SoftLayout:
    """Which rows of a table of soft prompt vectors belong to which task and language.

    The table is factorised: tasks are shared by all languages and languages by all tasks, so a new pair of
    the two needs no new parameter. Row order: task by task, then language by language.
    """

    tasks: tuple[str, ...]
    languages: tuple[str, ...]
    task_vectors: int
    language_vectors: int

    @property
    def rows(self) -> int:
        """Number of vectors: ``tasks * task_vectors + languages * language_vectors``."""
        return len(self.tasks) * self.task_vectors + len(self.languages) * self.language_vectors

    def task_rows(self, task: str) -> range:
        """Rows of a task's vectors."""
        start = self.tasks.index(task) * self.task_vectors
        return range(start, start + self.task_vectors)

    def language_rows(self, lang: str) -> range:
        """Rows of a language's vectors."""
        start = len(self.tasks) * self.task_vectors + self.languages.index(lang) * self.language_vectors
        return range(start, start + self.language_vectors)


@dataclass(frozen=True)
class DenseLogits:
    """Materialised logits."""

    logits_SV: Tensor

    @property
    def rows(self) -> int:
        """Number of distributions: S."""
        return len(self.logits_SV)

    @property
    def vocabulary(self) -> int:
        """Number of tokens: V."""
        return int(self.logits_SV.shape[1])


@dataclass(frozen=True)
class LazyLogits:
    """Logits as their factors: ``scale * cap(hidden @ weight.T + bias)``, ``cap(z) = c tanh(z / c)``.

    For a model with a padded vocabulary, `weight_VD` and `bias_V` are cut to the tokenizer's real size.
    """

    hidden_SD: Tensor
    weight_VD: Tensor
    bias_V: Tensor | None = None
    softcap: float | None = None
    """The c of Gemma 2 (``final_logit_softcapping``)."""
    scale: float = 1.0
    """Cohere's ``logit_scale``; the inverse of Granite's ``logits_scaling``."""

    @property
    def rows(self) -> int:
        """Number of distributions: S."""
        return len(self.hidden_SD)

    @property
    def vocabulary(self) -> int:
        """Number of tokens: V."""
        return len(self.weight_VD)


@dataclass(frozen=True)
class SparseLogits:
    """The K most likely tokens of each distribution, and the mass of all others in one bucket."""

    ids_SK: Tensor
    """Token ids, int64, unique within a row."""
    log_probs_SK: Tensor
    """Their log-probabilities under ``softmax(logits / temperature)``; ``-inf`` pads a row with fewer tokens."""
    tail_S: Tensor
    """Log of the probability of all other tokens together; ``-inf`` if there are none."""
    vocabulary: int
    """Number of tokens: V."""
    temperature: float = 1.0

    @property
    def rows(self) -> int:
        """Number of distributions: S."""
        return len(self.ids_SK)


LogitSource = DenseLogits | LazyLogits | SparseLogits
"""Next-token distributions at the supervised positions of a micro-batch."""


Site = Literal["hidden", "first", "attention", "query", "key", "value", "embedding", "ffn"]


class Tap(NamedTuple):
    """A site inside a model that a term reads.

    ==========  ===================  ==================================================================
    hidden      ``[B, T, D]``        output of a layer
    first       ``[B, D]``           the same at each row's first token ([CLS])
    attention   ``[B, H, T, T]``     scores of self-attention as softmax reads them: queries by keys, scaled, with
                                     position bias; ``-inf`` where attention is masked
    query       ``[B, H, T, E]``     queries of self-attention, rotary positions included
    key, value  ``[B, G, T, E]``     the same for keys and values; G < H if queries share heads
    embedding   ``[B, T, D]``        input of the first layer; has no layer number
    ffn         ``[B, T, D]``        output of a layer's feed-forward block, before dropout and norm
    ==========  ===================  ==================================================================
    """

    site: Site
    layer: int = 0
    """Counted from 1."""
    half: Literal["encoder", "decoder"] | None = None
    """For a model with both; ``None``: it has one stack of layers."""


@dataclass(frozen=True)
class Mixup:
    """A probe: the logits of rows whose word embeddings are mixed with those of their partners (`Batch.mixing`).

    ``[B, C]``, or ``[B, T, C]`` of tags at the row's own positions.
    """

    concentration: float = 0.4
    """Both parameters of the Beta distribution of a row's own share."""


@dataclass(frozen=True)
class Attribution:
    """A probe: how much each token adds to each of A outputs, ``[B, A, T]``, at least 0, and 0 at padding.

    The norm over the width of its integrated gradients at the input of the first layer, from 0 embeddings. Each row
    and output has a scale of its own, which means nothing.
    """

    of: Literal["classes", "labels", "values"] = "classes"
    """What is attributed: minus the log-probability of each class (of two only the first, which says the same) or of
    each label, or the squared error of each value."""
    steps: int = 1
    """Points on the way from 0 to the embeddings, the last of which are the embeddings themselves."""
    top: int | None = None
    """How many components of a token count, the largest ones; ``None``: all."""


Probe = Mixup | Attribution
"""What a term reads of a model that runs on changed embeddings."""


class Signal(TypedDict, total=False):
    """A model's output for a batch; holds only what was asked for."""

    logits: Tensor
    """``[B, C]``: logits of classes or labels, real values, or scores of candidates, ``-inf`` where a row has fewer
    than C; ``[B, T, C]``: logits of tags."""
    states: Mapping[Tap, Tensor]
    """The tensor at each tap."""
    probes: Mapping[Probe, Tensor]
    """The tensor of each probe."""
    features_BD: Tensor
    """What a classifier's last linear layer reads of each row."""
    value_B: Tensor
    """A critic's estimate of each record's reward."""
    rationale_log_probs_B: Tensor
    """For a student that explains: mean log-probability of each row's rationale tokens; 0 without a rationale."""
    tokens: LogitSource
    """Distributions over tokens at the supervised positions, row by row: of the next token in text generation, of the
    token itself in masked language modelling; at all positions read if `Needs.everywhere`."""
    log_probs_S: Tensor
    """In text generation: log-probability of the token that each supervised position predicts."""


class Batch(TypedDict, total=False):
    """One micro-batch. Nested dictionaries of tensors, so that any library can move it to a device."""

    student: dict[str, Tensor]
    """The student's input ids and masks, padded to the longest row, each `[B, T]`."""
    teacher: dict[str, Tensor]
    """The teacher's own encoding of the same rows; only where the teacher runs live."""
    labels_B: Tensor
    """Label ids, `UNLABELLED` where a row has none."""
    targets_BC: Tensor
    """Gold values in regression; 1 or 0 in multi-label classification; float, NaN where a row has none."""
    labels_BT: Tensor
    """In text generation: the token id that each position predicts, `UNLABELLED` where none counts. Already shifted:
    in a causal model ``labels_BT[b, t]`` is the token at ``t + 1``. Positions are those of the student's
    ``input_ids``, or of its ``decoder_input_ids`` if it has an encoder. In masked language modelling: the token that
    was there before masking, not shifted."""
    words_BT: Tensor
    """In token classification: which positions represent a word, bool. ``labels_BT`` then holds the tags of words, not
    shifted, `UNLABELLED` everywhere else."""
    read_BT: Tensor
    """In text generation with packed rows, which have no attention mask: which positions hold a token of a sequence
    and not padding, bool."""
    behaviour_log_probs_BT: Tensor
    """In text generation: log-probability of each generated token under the distribution it was drawn from."""
    rewards_B: Tensor
    """In text generation: the user's reward function's value for each text that the student generated."""
    returns_BT: Tensor
    """In text generation: the weight of each generated token in a policy gradient."""
    source_B: Tensor
    """In text generation: the source of each row's completion (`CompletionSource`)."""
    candidates_BK: Tensor
    """In candidate ranking: which positions of a row hold a candidate, bool; scores elsewhere are ``-inf``."""
    gold_BK: Tensor
    """In candidate ranking: the distribution over candidates to learn, float; all 0 where a row has no label."""
    rationales: dict[str, Tensor]
    """A teacher's rationales: ``explained_B``, which rows have one (bool), and for each of these R rows
    ``input_ids`` and ``attention_mask`` ``[R, T]`` of a prompt with the rationale, from token ``starts`` on."""
    mixing: dict[str, Tensor]
    """For `Mixup`: ``partner_B``, the place in this micro-batch of the row that each row is mixed with, and
    ``share_B``, its own share of the mixture."""
    rows_B: Tensor
    """Row numbers in the training set: the key that joins a row with its teacher signal."""
    signal: Signal


@dataclass(frozen=True)
class Needs:
    """What terms need, so that nothing else is computed."""

    student_taps: frozenset[Tap] = frozenset()
    teacher_taps: frozenset[Tap] = frozenset()
    student_probes: frozenset[Probe] = frozenset()
    teacher_probes: frozenset[Probe] = frozenset()
    labels: bool = False
    logits: bool = False
    """The teacher's."""
    everywhere: bool = False
    """Distributions over tokens at every position that is read, not only at supervised ones."""
    same_tokens: bool = False
    """Teacher and student must read the same token ids."""
    same_width: bool = False
    """Their hidden states must have the same width."""
    same_heads: bool = False
    """Their layers must have the same number of attention heads."""
    rationales: bool = False
    """The text of a teacher's rationales."""
    log_probs: bool = False
    """The student's log-probability of each supervised token."""
    features: bool = False
    """What the last linear layer of the student reads."""
    similarity: bool = False
    """How alike the layers of both models are, measured before the students train."""

    def __or__(self, other: Needs) -> Needs:
        return Needs(*(getattr(self, field.name) | getattr(other, field.name) for field in fields(self)))

    @property
    def teacher(self) -> bool:
        """Whether a teacher is needed at all."""
        return self.logits or self.teacher_inside

    @property
    def teacher_inside(self) -> bool:
        """Whether more of the teacher is read than its outputs: states, or what it says of changed embeddings."""
        return bool(self.teacher_taps or self.teacher_probes)

    @property
    def teacher_hidden(self) -> bool:
        """Whether the teacher's states are read at every position, which is too much to keep."""
        return any(tap.site != "first" for tap in self.teacher_taps)

    @property
    def teacher_first(self) -> list[int]:
        """Teacher layers that are read at their first position, in order."""
        return sorted(tap.layer for tap in self.teacher_taps if tap.site == "first")


class Shapes(NamedTuple):
    """Depth, width and attention of both models: input of `Term.bind`."""

    teacher_layers: int
    teacher_width: int
    student_layers: int
    student_width: int
    teacher_heads: int = 0
    """Attention heads; 0: unknown."""
    student_heads: int = 0
    teacher_groups: int = 0
    """Heads of keys and values, which queries may share; 0: unknown."""
    student_groups: int = 0
    teacher_head_width: int = 0
    student_head_width: int = 0
    causal: bool = False
    """Whether tokens of one of the models see only earlier ones."""
    outputs: int = 0
    """Outputs of the student's head: classes, labels, values or tags; 0: unknown."""
    similarity: tuple[tuple[float, ...], ...] = ()
    """How alike each student layer is to each teacher layer, on rows of the run; empty: not measured."""

    def unpruned(self) -> Shapes:
        """Return the shapes with a student whose layers are those of the teacher, as before it is pruned."""
        return self._replace(
            student_width=self.teacher_width,
            student_heads=self.teacher_heads,
            student_groups=self.teacher_groups,
            student_head_width=self.teacher_head_width,
        )


class Writer(Protocol):
    """Replaces texts of an optimiser step with newly generated ones, before anything is counted."""

    def write(self, step: int, batches: list[Batch]) -> list[Batch]:
        """Return equally many micro-batches to train on after `step` steps, in place of this rank's."""

    def state(self) -> dict[str, Any]:
        """Return what later steps depend on, as JSON can hold it; it goes into checkpoints."""

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a state."""


class Sequences(Protocol):
    """The rows of each optimiser step, decided before anything is counted."""

    @property
    def batch_size(self) -> int:
        """Rows per step."""

    @property
    def steps(self) -> int:
        """Optimiser steps."""

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of every row, indexed by row number."""

    def micro_batches(self, per_step: int, *, rank: int = 0, ranks: int = 1) -> Iterator[NDArray[np.int64]]:
        """Yield this rank's micro-batches, ``per_step / ranks`` for each step; all ranks' are the step's rows."""


class Teacher(Protocol):
    """Gives signals for batches, in evaluation mode and without gradients."""

    def signal(self, batch: Batch, needs: Needs) -> Signal:
        """Return the signals named in `needs` for the rows of `batch`."""


Update = Callable[..., None]
"""``update(n, note="")``: n more items are done; the note is shown next to the bar."""


class Progress(Protocol):
    """Shows the progress of long work: bars on the command line; a library call may show nothing."""

    def track(self, title: str, total: int, done: int = 0) -> AbstractContextManager[Update]:
        """Open one bar and yield its `Update`."""

    def log(self, message: str) -> None:
        """Show one line."""


class SilentProgress:
    """A progress display that shows nothing."""

    def track(self, title: str, total: int, done: int = 0) -> AbstractContextManager[Update]:
        import contextlib

        def update(n: int, note: str = "") -> None:
            pass

        return contextlib.nullcontext(update)

    def log(self, message: str) -> None:
        pass
