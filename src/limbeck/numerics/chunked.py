"""Losses per token and their gradients, without a tensor of all logits: the chunked linear divergence.

Logits are computed for a chunk of rows at a time. In that one pass the loss of each row and its gradient by the logits
are computed in closed form (`limbeck.numerics.token_losses`), the gradient overwrites the logits and is added to the
sums for hidden states and head at once. Backward only scales these sums.

After Hsu et al., "Liger Kernel: Efficient Triton Kernels for LLM Training", 2024, arXiv:2410.10989, section 3.2
(fused linear cross-entropy); here for every divergence, for sparse teachers, and with several losses in one pass.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from limbeck.errors import ConfigError
from limbeck.numerics.divergences import STUDENT_FLOOR, TEACHER_FLOOR
from limbeck.numerics.logits import (
    FullLogits,
    SourceGradient,
    all_rows,
    blocks,
    detached,
    head_slope,
    logit_chunks,
    logits_dtype,
    matmul_dtype,
    may_rule_out,
    source_tensors,
    with_tensors,
)
from limbeck.numerics.sparse import cells, take
from limbeck.numerics.token_losses import (
    ClosedForm,
    Distribution,
    LabelLoss,
    TokenDivergence,
    TokenLoss,
    divergence_form,
    label_form,
    soften,
)
from limbeck.types import LogitSource, SparseLogits

__all__ = ["TokenStatistics", "chunked_loss", "label_log_probs", "token_statistics"]


def chunked_loss(
    student: FullLogits,
    teacher: LogitSource | None,
    losses: Sequence[TokenLoss],
    weights: Sequence[Tensor],
    labels_S: Tensor | None = None,
    *,
    chunk_rows: int | None = None,
) -> tuple[Tensor, list[Tensor]]:
    """Return ``sum_i sum_s weights_i[s] loss_i[s]`` and the value of each loss in each row.

    The total is differentiable by the student's hidden states, weight and bias (or logits), if they require
    gradients; nothing flows into teacher or weights. Rows in which all weights are 0 are skipped: their values are 0.
    Without gradients (``torch.no_grad``, or a student that needs none) only values are computed. A head tied to the
    embedding needs nothing special. Autocast sets the dtype of the matrix products; softmax and sums are in float32
    (float64 for a float64 student).

    Args:
        student: dense or lazy logits; -inf is allowed.
        teacher: for the same rows and vocabulary; None if all losses are on labels. With a sparse one, divergences
            are over its K + 1 cells, at its temperature.
        losses: what to compute; at least one.
        weights: for each loss, one weight per row, float `[S]`, including the division by the number of tokens.
        labels_S: the token of each row, int64; only `LabelLoss` reads it.
        chunk_rows: rows at a time; chosen from a byte budget by default. It does not change the result.

    Returns:
        The total (float32 or float64 scalar), and for each loss its detached, unweighted values `[S]` in nats.

    Raises:
        ConfigError: a loss lacks its teacher or labels, the vocabularies differ in size, or a sparse teacher lacks
            what a loss asks for.

    Example:
        >>> from limbeck.types import DenseLogits
        >>> student, teacher = (DenseLogits(torch.tensor([z])) for z in ([1.0, 1.5, 0.2, -0.5], [2.0, 1.0, 0.1, -1.0]))
        >>> total, (kl,) = chunked_loss(student, teacher, [TokenDivergence("forward_kl")], [torch.ones(1)])
        >>> round(total.item(), 5)
        0.24628
    """
    _check(student, teacher, losses, labels_S)
    assert len(weights) == len(losses) > 0
    weights_NS = torch.stack([weight.detach() for weight in weights]).to(logits_dtype(student))
    call = _Call(student, teacher, tuple(losses), weights_NS, labels_S, chunk_rows, torch.is_grad_enabled())
    total, *values = _ChunkedLoss.apply(call, *source_tensors(student))  # type: ignore[no-untyped-call]
    return total, values


def _check(
    student: FullLogits, teacher: LogitSource | None, losses: Sequence[TokenLoss], labels_S: Tensor | None
) -> None:
    if teacher is not None and teacher.vocabulary != student.vocabulary:
        raise ConfigError(
            f"teacher and student must give logits of the same tokens, but the teacher has {teacher.vocabulary} and "
            f"the student {student.vocabulary}; cut padded ones to the size of the tokenizer"
        )
    assert teacher is None or teacher.rows == student.rows
    for loss in losses:
        if isinstance(loss, LabelLoss):
            if labels_S is None:
                raise ConfigError("a loss on labels needs labels, but none were given")
            continue
        if teacher is None:
            raise ConfigError(f"{loss.kind} needs a teacher's logits, but there is no teacher")
        if not isinstance(teacher, SparseLogits):
            continue
        if loss.needs_every_token:
            raise ConfigError(
                f"{loss.kind} is a mean over all tokens, but the teacher's signal has only the "
                f"{teacher.ids_SK.shape[1]} most likely; run the teacher live or choose a divergence"
            )
        if loss.loss_temperature != teacher.temperature:
            raise ConfigError(
                f"the teacher's most likely tokens were kept at temperature {teacher.temperature}, but {loss.kind} "
                f"asks for {loss.loss_temperature}; set loss_temperature to {teacher.temperature} or keep them again"
            )


@dataclass(frozen=True)
class _Call:
    """Arguments of one call that autograd does not see."""

    student: FullLogits
    teacher: LogitSource | None
    losses: tuple[TokenLoss, ...]
    weights_NS: Tensor
    labels_S: Tensor | None
    chunk_rows: int | None
    gradient: bool

    def chunks(self) -> Iterator[tuple[Tensor, _Rows]]:
        """Yield row numbers and everything known of these rows, skipping rows without weight."""
        rows_A = self.weights_NS.ne(0).any(dim=0).nonzero().squeeze(-1)
        for rows_R, student_RV, teacher_RV in _both_sides(self, rows_A):
            yield (
                rows_R,
                _Rows(
                    student_RV,
                    teacher_RV,
                    take(self.teacher, rows_R) if isinstance(self.teacher, SparseLogits) else None,
                    None if self.labels_S is None else self.labels_S[rows_R],
                    self.weights_NS[:, rows_R],
                ),
            )

    @cached_property
    def last_student_temperature(self) -> float | None:
        """The temperature at which the student's logits are read last; None if they are needed afterwards."""
        label = [1.0 for loss in self.losses if isinstance(loss, LabelLoss)]
        return self._last([*self._temperatures, *label])

    @cached_property
    def last_teacher_temperature(self) -> float | None:
        """The same for the teacher's logits."""
        return self._last(self._temperatures)

    @property
    def _temperatures(self) -> list[float]:
        return [loss.loss_temperature for loss in self.losses if isinstance(loss, TokenDivergence)]

    def _last(self, temperatures: list[float]) -> float | None:
        in_order = list(dict.fromkeys(temperatures))
        logits_are_read = any(isinstance(loss, TokenDivergence) and loss.kind == "logit_mse" for loss in self.losses)
        cells_are_read = bool(self._temperatures) and isinstance(self.teacher, SparseLogits)
        return None if logits_are_read or cells_are_read or not in_order else in_order[-1]

    @property
    def full_teacher(self) -> FullLogits | None:
        """The teacher, if a loss needs the logits of all tokens."""
        asked = any(isinstance(loss, TokenDivergence) for loss in self.losses)
        return self.teacher if asked and not isinstance(self.teacher, SparseLogits) else None


def _both_sides(call: _Call, rows_A: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
    teacher, dtype = call.full_teacher, call.weights_NS.dtype
    own = logit_chunks(call.student, rows_A, dtype=dtype, chunk_rows=call.chunk_rows)
    if teacher is None:
        yield from ((rows_R, student_RV, None) for rows_R, student_RV in own)
        return
    others = logit_chunks(detached(teacher, matmul_dtype(teacher)), rows_A, dtype=dtype, chunk_rows=call.chunk_rows)
    for (rows_R, student_RV), (_, teacher_RV) in zip(own, others, strict=True):
        yield rows_R, student_RV, teacher_RV


class _Rows(NamedTuple):
    student_RV: Tensor
    teacher_RV: Tensor | None
    sparse: SparseLogits | None
    labels_R: Tensor | None
    weights_NR: Tensor

    def part(self, rows: slice) -> _Rows:
        """Return some of the rows; their logits are views."""
        return _Rows(
            self.student_RV[rows],
            None if self.teacher_RV is None else self.teacher_RV[rows],
            None if self.sparse is None else take(self.sparse, rows),
            None if self.labels_R is None else self.labels_R[rows],
            self.weights_NR[:, rows],
        )


class _ChunkedLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, call: _Call, *tensors: Tensor | None) -> tuple[Tensor, ...]:
        call = replace(call, student=detached(call.student, matmul_dtype(call.student)))
        gradients = SourceGradient(call.student, [call.gradient and need for need in ctx.needs_input_grad[1:]])
        values_NS = torch.zeros_like(call.weights_NS)
        for rows_R, chunk in call.chunks():
            parts = (_Block(call, chunk.part(block)) for block in blocks(chunk.student_RV))
            values_NS[:, rows_R] = torch.cat([part.work(gradient=gradients.needed) for part in parts], dim=1)
            if gradients.needed:
                gradients.add(rows_R, chunk.student_RV)
        ctx.save_for_backward(*gradients.tensors)
        ctx.dtypes = [None if tensor is None else tensor.dtype for tensor in tensors]
        values = [values_S.clone() for values_S in values_NS]
        ctx.mark_non_differentiable(*values)
        return (call.weights_NS * values_NS).sum(), *values

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, scale: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        # Waiting for the device is cheaper than copying the head's gradient, the largest tensor here.
        plain = scale.item() == 1
        return None, *(
            None if tensor is None else (tensor if plain else tensor * scale).to(dtype)
            for tensor, dtype in zip(ctx.saved_tensors, ctx.dtypes, strict=True)
        )


class _Block:
    """A few rows, softened once per temperature."""

    def __init__(self, call: _Call, rows: _Rows) -> None:
        self._call, self._rows = call, rows
        self._student: dict[float, Distribution] = {}
        self._teacher: dict[float, Distribution] = {}

    def work(self, *, gradient: bool) -> Tensor:
        """Return the values of all losses, `[N, r]`.

        With `gradient`, the gradient of their weighted sum by the output of the head's product and bias overwrites the
        student's logits.
        """
        logits_rV, losses = self._rows.student_RV, self._call.losses
        slope = head_slope(self._call.student, logits_rV) if gradient else 1.0
        total_rV: Tensor | None = None
        values: list[Tensor] = []
        for loss, weight_r in zip(losses, self._rows.weights_NR, strict=True):
            last = len(values) == len(losses) - 1
            factor, temperature = (loss.factor, loss.loss_temperature) if isinstance(loss, TokenDivergence) else (1, 1)
            value_r, part = self._form(loss, use_up=last)
            values.append(factor * value_r)
            if not gradient:
                continue
            scale_r1 = weight_r[:, None] * (factor / temperature * (1.0 if isinstance(slope, Tensor) else slope))
            out = logits_rV if last else None  # nothing reads them after the last loss
            if total_rV is None:
                total_rV = torch.mul(part(), scale_r1, out=out)
            else:
                total_rV = torch.addcmul(total_rV, part(), scale_r1, out=out)
        if isinstance(slope, Tensor):
            logits_rV.mul_(slope)
        return torch.stack(values)

    def statistics(self) -> Tensor:
        """Return the values of all losses, with a teacher its negative log-likelihood of the label and agreement, and
        whether the student's likeliest token is the label."""
        values, labels_r, sparse = self.work(gradient=False), self._rows.labels_R, self._rows.sparse
        assert labels_r is not None
        own_r = self._rows.student_RV.argmax(dim=-1)
        right_r = (own_r == labels_r).to(values.dtype)
        if self._call.teacher is None:
            return torch.stack([*values, right_r])
        if sparse is None:
            teacher = self._teacher_at(1.0)
            nll_r, likeliest_r = label_form(labels_r, teacher)[0], teacher.log_probs.argmax(dim=-1)
        else:
            found_rK = (sparse.ids_SK == labels_r[:, None]) & (sparse.log_probs_SK > -math.inf)
            nll_r = -sparse.log_probs_SK.masked_fill(~found_rK, -math.inf).amax(dim=-1).to(values.dtype)
            nll_r.masked_fill_(~found_rK.any(dim=-1), math.nan)
            likeliest_r = sparse.ids_SK.gather(-1, sparse.log_probs_SK.argmax(dim=-1, keepdim=True)).squeeze(-1)
        agreement_r = own_r == likeliest_r
        return torch.stack([*values, nll_r, agreement_r.to(values.dtype), right_r])

    def _form(self, loss: TokenLoss, *, use_up: bool) -> ClosedForm:
        if isinstance(loss, LabelLoss):
            assert self._rows.labels_R is not None
            return label_form(self._rows.labels_R, self._student_at(1.0), use_up=use_up)
        temperature = loss.loss_temperature
        if self._rows.sparse is None:
            return divergence_form(loss, self._teacher_at(temperature), self._student_at(temperature))
        logits_rV = self._rows.student_RV
        both = cells(self._rows.sparse, logits_rV if temperature == 1 else logits_rV / temperature)
        value_r, part = divergence_form(loss, both.teacher, both.student)
        return value_r, lambda: both.spread(part())

    def _student_at(self, temperature: float) -> Distribution:
        if temperature not in self._student:
            floor = STUDENT_FLOOR if may_rule_out(self._call.student) else None
            in_place = temperature == self._call.last_student_temperature
            self._student[temperature] = soften(self._rows.student_RV, temperature, floor, in_place=in_place)
        return self._student[temperature]

    def _teacher_at(self, temperature: float) -> Distribution:
        if temperature not in self._teacher:
            assert self._rows.teacher_RV is not None
            assert self._call.full_teacher is not None
            floor = TEACHER_FLOOR if may_rule_out(self._call.full_teacher) else None
            in_place = temperature == self._call.last_teacher_temperature
            self._teacher[temperature] = soften(self._rows.teacher_RV, temperature, floor, in_place=in_place)
        return self._teacher[temperature]


def label_log_probs(student: FullLogits, labels_S: Tensor, *, chunk_rows: int | None = None) -> Tensor:
    """Return ``log q(label)`` of each row at temperature 1, `[S]` nats, float32 (float64 for a float64 student).

    Differentiable by the student's tensors, with any gradient per row: backward recomputes the logits of each chunk.

    Args:
        student: dense or lazy logits.
        labels_S: the token of each row, int64.
        chunk_rows: rows at a time; chosen from a byte budget by default.
    """
    call = _LabelCall(student, labels_S, matmul_dtype(student), chunk_rows)
    log_probs_S: Tensor = _LabelLogProbs.apply(call, *source_tensors(student))  # type: ignore[no-untyped-call]
    return log_probs_S


class _LabelCall(NamedTuple):
    student: FullLogits
    labels_S: Tensor
    matmul_dtype: torch.dtype
    """The state of autocast is recorded here, since it is off in backward."""
    chunk_rows: int | None

    def chunks(self, student: FullLogits) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield row numbers, logits and labels."""
        rows_S, dtype = all_rows(student), logits_dtype(student)
        for rows_R, logits_RV in logit_chunks(student, rows_S, dtype=dtype, chunk_rows=self.chunk_rows):
            yield rows_R, logits_RV, self.labels_S[rows_R]


class _LabelLogProbs(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, call: _LabelCall, *tensors: Tensor | None) -> Tensor:
        ctx.call = call
        ctx.save_for_backward(*tensors)
        student = detached(call.student, call.matmul_dtype)
        log_probs_S = torch.empty(student.rows, dtype=logits_dtype(student), device=call.labels_S.device)
        for rows_R, logits_RV, labels_R in call.chunks(student):
            for block in blocks(logits_RV):
                log_probs_S[rows_R[block]] = -_label_form(student, logits_RV[block], labels_R[block])[0]
        return log_probs_S

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient_S: Tensor) -> tuple[Tensor | None, ...]:
        call: _LabelCall = ctx.call
        student = detached(with_tensors(call.student, ctx.saved_tensors), call.matmul_dtype)
        gradients = SourceGradient(student, ctx.needs_input_grad[1:])
        for rows_R, logits_RV, labels_R in call.chunks(student):
            weight_R1 = -gradient_S[rows_R, None]
            for block in blocks(logits_RV):
                slope = head_slope(student, logits_RV[block])
                _, part = _label_form(student, logits_RV[block], labels_R[block])
                torch.mul(part(), weight_R1[block] * slope, out=logits_RV[block])
            gradients.add(rows_R, logits_RV)
        return None, *(
            None if gradient is None else gradient.to(tensor.dtype)
            for gradient, tensor in zip(gradients.tensors, ctx.saved_tensors, strict=True)
        )


def _label_form(student: FullLogits, logits_rV: Tensor, labels_r: Tensor) -> ClosedForm:
    floor = STUDENT_FLOOR if may_rule_out(student) else None
    return label_form(labels_r, soften(logits_rV, 1.0, floor, in_place=True), use_up=True)


class TokenStatistics(NamedTuple):
    """How likely student and teacher find the label of each row, and how far they agree; no gradient.

    The teacher's entries are None without a teacher.
    """

    student_nll_S: Tensor
    """``-log q(label)`` in nats."""
    teacher_nll_S: Tensor | None
    """``-log p(label)``; for a sparse teacher, NaN where the label is not among its tokens."""
    forward_kl_S: Tensor | None
    """``KL(p || q)`` in nats; for a sparse teacher, over its K + 1 cells."""
    agreement_S: Tensor | None
    """Whether both have the same most likely token, bool."""
    right_S: Tensor
    """Whether the label is the student's most likely token, bool."""


@torch.no_grad()
def token_statistics(
    student: FullLogits, teacher: LogitSource | None, labels_S: Tensor, *, chunk_rows: int | None = None
) -> TokenStatistics:
    """Return how well both predict the labels and how far they agree, at temperature 1, chunk by chunk.

    Args:
        student: dense or lazy logits.
        teacher: for the same rows and vocabulary, or None. A sparse one must have been kept at temperature 1.
        labels_S: the token of each row, int64.
        chunk_rows: rows at a time; chosen from a byte budget by default.

    Raises:
        ConfigError: the vocabularies differ in size, or a sparse teacher has another temperature.
    """
    losses = (LabelLoss(),) if teacher is None else (TokenDivergence("forward_kl"), LabelLoss())
    _check(student, teacher, losses, labels_S)
    weights_NS = torch.ones(len(losses), student.rows, dtype=logits_dtype(student), device=labels_S.device)
    student = detached(student, matmul_dtype(student))
    call = _Call(student, teacher, losses, weights_NS, labels_S, chunk_rows, gradient=False)
    table = torch.full((5, student.rows), torch.nan, dtype=weights_NS.dtype, device=labels_S.device)
    for rows_R, chunk in call.chunks():
        for block in blocks(chunk.student_RV):
            rows = _Block(call, chunk.part(block)).statistics()
            table[: len(rows), rows_R[block]] = rows
    if teacher is None:
        return TokenStatistics(table[0], None, None, None, table[1] == 1)
    forward_kl_S, student_nll_S, teacher_nll_S, agreement_S, right_S = table
    return TokenStatistics(student_nll_S, teacher_nll_S, forward_kl_S, agreement_S == 1, right_S == 1)
