"""Losses per predicted token: their names, and their values and gradients in closed form.

The gradients are with respect to the student's *softened* logits ``z / T``, so that one pass over the vocabulary
gives both value and gradient, without a graph. `limbeck.numerics.divergences` has the same values as plain
differentiable formulas; the tests compare the two.

With q the student's distribution and h the derivative of the value by q, the gradient by the softened logits is
``q (h - sum q h)``. Most forms below compute this.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import torch
from torch import Tensor

from limbeck.errors import ConfigError, near_misses
from limbeck.numerics.divergences import head_weight

__all__ = [
    "ClosedForm",
    "Distribution",
    "DivergenceKind",
    "LabelLoss",
    "TokenDivergence",
    "TokenLoss",
    "divergence_form",
    "label_form",
    "soften",
]

DivergenceKind = Literal[
    "forward_kl",
    "reverse_kl",
    "jensen_shannon",
    "interpolated_kl",
    "total_variation",
    "skew_forward_kl",
    "skew_reverse_kl",
    "alpha_beta",
    "adaptive_kl",
    "soft_cross_entropy",
    "reverse_cross_entropy",
    "logit_mse",
    "probability_mse",
]
"""The functions of `limbeck.numerics.divergences`."""

_OPTIONS: Final[Mapping[str, frozenset[str]]] = {
    "jensen_shannon": frozenset({"beta"}),
    "interpolated_kl": frozenset({"beta"}),
    "skew_forward_kl": frozenset({"alpha"}),
    "skew_reverse_kl": frozenset({"alpha"}),
    "alpha_beta": frozenset({"alpha", "beta"}),
    "adaptive_kl": frozenset({"head_mass"}),
}
_DEFAULTS: Final = {"jensen_shannon": 0.5, "skew_forward_kl": 0.1, "skew_reverse_kl": 0.1, "adaptive_kl": 0.5}


@dataclass(frozen=True)
class TokenDivergence:
    """A divergence between teacher and student at one token; the kind selects formula, direction and reference."""

    kind: DivergenceKind
    loss_temperature: float = 1.0
    temperature_squared: bool = True
    """Multiply by T^2, so that the size of the gradient hardly depends on T."""
    beta: float | None = None
    """For `jensen_shannon` (default 0.5) and `interpolated_kl`: the teacher's weight, from 0 to 1. For `alpha_beta`:
    above 0."""
    alpha: float | None = None
    """For skew divergences: the share of the distribution itself in the mixture, between 0 and 1 (default 0.1).
    For `alpha_beta`: above 0."""
    head_mass: float | None = None
    """For `adaptive_kl`: the share of the teacher's probability that its head holds, between 0 and 1 (default 0.5)."""
    normalise: bool = False
    """For `jensen_shannon`: divide by ``beta (1 - beta)``."""

    def __post_init__(self) -> None:
        if self.kind not in _FORMS:
            raise ConfigError(f"unknown divergence '{self.kind}'; {near_misses(self.kind, _FORMS)}")
        if not 0 < self.loss_temperature < math.inf:
            raise ConfigError(f"loss_temperature must be a number above 0, not {self.loss_temperature}")
        for name in ("alpha", "beta", "head_mass"):
            self._check_option(name)
        if self.normalise and self.kind != "jensen_shannon":
            raise ConfigError(f"normalise is an option of jensen_shannon; remove it from {self.kind}")

    def _check_option(self, name: str) -> None:
        value, allowed = getattr(self, name), _OPTIONS.get(self.kind, frozenset())
        if name not in allowed:
            if value is not None:
                raise ConfigError(f"{self.kind} has no option {name}, but it is set to {value}; remove it")
            return
        if value is None:
            if self.kind not in _DEFAULTS:
                raise ConfigError(f"{self.kind} needs {name}, a number above 0")
            object.__setattr__(self, name, value := _DEFAULTS[self.kind])
        if self.kind in ("jensen_shannon", "interpolated_kl"):
            right, range_ = 0 <= value <= 1, "from 0 to 1"
        elif self.kind == "alpha_beta":
            right, range_ = 0 < value < math.inf, "above 0 (the limits at 0 are forward_kl and reverse_kl)"
        elif self.kind == "adaptive_kl":
            right, range_ = 0 < value < 1, "between 0 and 1"
        else:
            right, range_ = 0 < value < 1, "between 0 and 1 (the limits at 0 are forward_kl and reverse_kl)"
        if not right:
            raise ConfigError(f"{name} of {self.kind} must be {range_}, not {value}")

    @property
    def needs_every_token(self) -> bool:
        """Whether it is a mean over the vocabulary, which a teacher's K most likely tokens cannot give."""
        return self.kind in ("logit_mse", "probability_mse")

    @property
    def factor(self) -> float:
        """T^2, or 1 without `temperature_squared`."""
        return self.loss_temperature**2 if self.temperature_squared else 1.0


@dataclass(frozen=True)
class LabelLoss:
    """Cross-entropy on the label, ``-log q(label)``, at temperature 1."""


TokenLoss = TokenDivergence | LabelLoss


class Distribution(NamedTuple):
    """A few softened rows of one side."""

    logits: Tensor
    """``z / T``, `[r, V]`; for a sparse teacher, its log-probabilities."""
    log_probs: Tensor
    """Their log-softmax; never -inf."""
    probs: Tensor


ClosedForm = tuple[Tensor, Callable[[], Tensor]]
"""The value of each row `[r]`, and a function that returns the gradient by the student's softened logits `[r, V]` in
its own buffer. Call it at most once: it may overwrite the tensors that the value was computed from."""


def soften(logits: Tensor, temperature: float, floor: float | None, *, in_place: bool = False) -> Distribution:
    """Return ``softmax(logits / temperature)`` in three forms.

    Args:
        logits: `[r, V]`.
        temperature: above 0.
        floor: lowest log-probability if logits may be -inf, else None.
        in_place: write the log-probabilities over the logits, which are not read again. (Elementwise work is bound
            by memory: this saves a fifth of it.) Not for `logit_mse`.
    """
    softened = logits if temperature == 1 else logits / temperature
    log_probs = torch.log_softmax(softened, dim=-1, out=logits if in_place else None)
    if floor is not None:
        log_probs.clamp_(min=floor)
    return Distribution(softened, log_probs, log_probs.exp())


def label_form(labels: Tensor, student: Distribution, *, use_up: bool = False) -> ClosedForm:
    """Return the closed form of `LabelLoss` for labels `[r]`; the gradient is q minus the label's one-hot vector.

    With `use_up`, the gradient overwrites the student's probabilities.
    """
    index = labels[:, None]

    def gradient() -> Tensor:
        probs = student.probs if use_up else student.probs.clone()
        return probs.scatter_add_(-1, index, probs.new_tensor(-1.0).expand_as(index))

    return -student.log_probs.gather(-1, index).squeeze(-1), gradient


def divergence_form(loss: TokenDivergence, teacher: Distribution, student: Distribution) -> ClosedForm:
    """Return the closed form of `loss`, without the factor T^2 in value and gradient."""
    return _FORMS[loss.kind](loss, teacher, student)


def _forward_kl(loss: TokenDivergence, teacher: Distribution, student: Distribution) -> ClosedForm:
    terms = torch.sub(teacher.log_probs, student.log_probs).mul_(teacher.probs)
    return terms.sum(dim=-1), lambda: torch.sub(student.probs, teacher.probs, out=terms)


def _reverse_kl(loss: TokenDivergence, teacher: Distribution, student: Distribution) -> ClosedForm:
    ratio = student.log_probs - teacher.log_probs
    value = (ratio * student.probs).sum(dim=-1)
    return value, lambda: ratio.sub_(value[:, None]).mul_(student.probs)


def _jensen_shannon(loss: TokenDivergence, teacher: Distribution, student: Distribution) -> ClosedForm:
    beta = loss.beta
    assert beta is not None
    if beta == 0:
        return _forward_kl(loss, teacher, student)
    if beta == 1:
        return _reverse_kl(loss, teacher, student)
    scale = 1 / (beta * (1 - beta)) if loss.normalise else 1.0
    log_m = _mixture(teacher, student, beta).log_()
    student_ratio = student.log_probs - log_m
    student_kl = (student_ratio * student.probs).sum(dim=-1)
    teacher_kl = torch.sub(teacher.log_probs, log_m, out=log_m).mul_(teacher.probs).sum(dim=-1)
    value = scale * (beta * teacher_kl + (1 - beta) * student_kl)
    return value, lambda: _centred(student_ratio, student_kl, student).mul_(scale * (1 - beta))


def _interpolated_kl(loss: TokenDivergence, teacher: Distribution, student: Distribution) -> ClosedForm:
    assert loss.beta is not None
    log_between = torch.log_softmax(torch.lerp(student.log_probs, teacher.log_probs, loss.beta), dim=-1)
    between = log_between.exp()
    value = log_between.sub_(student.log_probs).mul_(between).sum(dim=-1)
    return value, lambda: torch.sub(student.probs, between, out=between)


def _total_variation(loss: TokenDivergence, teacher: Distribution, student: Distribution) -> ClosedForm:
    difference = student.probs - teacher.probs
    value = difference.abs().sum(dim=-1) / 2

    def gradient() -> Tensor:
        sign = difference.sign_()
        return _centred(sign, (sign * student.probs).sum(dim=-1), student).div_(2)

    return value, gradient


def _skew_forward_kl(loss: TokenDivergence, teacher: Distribution, student: Distribution) -> ClosedForm:
    assert loss.alpha is not None
    alpha = loss.alpha
    mixture = _mixture(teacher, student, alpha)
    value = torch.sub(teacher.log_probs, mixture.log()).mul_(teacher.probs).sum(dim=-1)

    def gradient() -> Tensor:
        share = torch.div(teacher.probs, mixture, out=mixture)
        return _centred(share, (share * student.probs).sum(dim=-1), student).mul_(alpha - 1)

    return value, gradient


def _skew_reverse_kl(loss: TokenDivergence, teacher: Distribution, student: Distribution) -> ClosedForm:
    assert loss.alpha is not None
    alpha = loss.alpha
    mixture = _mixture(student, teacher, alpha)
    ratio = student.log_probs - mixture.log()
    value = (ratio * student.probs).sum(dim=-1)

    def gradient() -> Tensor:
        slope = ratio.sub_(torch.div(student.probs, mixture, out=mixture), alpha=alpha)
        return _centred(slope, (slope * student.probs).sum(dim=-1), student)

    return value, gradient


def _alpha_beta(loss: TokenDivergence, teacher: Distribution, student: Distribution) -> ClosedForm:
    assert loss.alpha is not None
    assert loss.beta is not None
    alpha, beta = loss.alpha, loss.beta
    both = alpha + beta
    cross = (alpha * teacher.log_probs).add_(student.log_probs, alpha=beta).exp_()
    student_power = (both * student.log_probs).exp_()
    value = (beta / both) * student_power.sum(dim=-1) - cross.sum(dim=-1)
    value += (alpha / both) * (both * teacher.log_probs).exp_().sum(dim=-1)

    def gradient() -> Tensor:
        slope = student_power.sub_(cross)  # q h, not h: powers below 1 of q have no finite h at q = 0
        return slope.addcmul_(student.probs, slope.sum(dim=-1, keepdim=True), value=-1).div_(alpha)

    return value / (alpha * beta), gradient


def _adaptive_kl(loss: TokenDivergence, teacher: Distribution, student: Distribution) -> ClosedForm:
    assert loss.head_mass is not None
    weight = head_weight(teacher.probs, student.probs, loss.head_mass)[:, None]
    forward_kl, forward_gradient = _forward_kl(loss, teacher, student)
    reverse_kl, reverse_gradient = _reverse_kl(loss, teacher, student)
    value = torch.lerp(reverse_kl, forward_kl, weight.squeeze(-1))
    return value, lambda: reverse_gradient().lerp_(forward_gradient(), weight)


def _soft_cross_entropy(loss: TokenDivergence, teacher: Distribution, student: Distribution) -> ClosedForm:
    terms = teacher.probs * student.log_probs
    return -terms.sum(dim=-1), lambda: torch.sub(student.probs, teacher.probs, out=terms)


def _reverse_cross_entropy(loss: TokenDivergence, teacher: Distribution, student: Distribution) -> ClosedForm:
    cost = -teacher.log_probs
    value = (cost * student.probs).sum(dim=-1)
    return value, lambda: _centred(cost, value, student)


def _logit_mse(loss: TokenDivergence, teacher: Distribution, student: Distribution) -> ClosedForm:
    ruled_out = (student.logits == -math.inf) | (teacher.logits == -math.inf)
    difference = torch.sub(student.logits, teacher.logits).masked_fill_(ruled_out, 0.0)
    return difference.square().mean(dim=-1), lambda: difference.mul_(2 / difference.shape[-1])


def _probability_mse(loss: TokenDivergence, teacher: Distribution, student: Distribution) -> ClosedForm:
    difference = student.probs - teacher.probs

    def gradient() -> Tensor:
        inner = (difference * student.probs).sum(dim=-1)
        return _centred(difference, inner, student).mul_(2 / difference.shape[-1])

    return difference.square().mean(dim=-1), gradient


def _mixture(one: Distribution, other: Distribution, share: float) -> Tensor:
    """Return ``share one + (1 - share) other``.

    Mixing probabilities is safe here, unlike in general: a token that underflows on both sides is raised to the least
    normal number, and since it is multiplied by probabilities of 0 everywhere, its finite logarithm adds nothing.
    """
    return torch.lerp(other.probs, one.probs, share).clamp_(min=torch.finfo(one.probs.dtype).tiny)


def _centred(slope: Tensor, mean: Tensor, student: Distribution) -> Tensor:
    """Return ``q (slope - mean)`` in place; `mean` is ``sum q slope``, `[r]`."""
    return slope.sub_(mean[:, None]).mul_(student.probs)


_FORMS: Final[Mapping[str, Callable[[TokenDivergence, Distribution, Distribution], ClosedForm]]] = {
    "forward_kl": _forward_kl,
    "reverse_kl": _reverse_kl,
    "jensen_shannon": _jensen_shannon,
    "interpolated_kl": _interpolated_kl,
    "total_variation": _total_variation,
    "skew_forward_kl": _skew_forward_kl,
    "skew_reverse_kl": _skew_reverse_kl,
    "alpha_beta": _alpha_beta,
    "adaptive_kl": _adaptive_kl,
    "soft_cross_entropy": _soft_cross_entropy,
    "reverse_cross_entropy": _reverse_cross_entropy,
    "logit_mse": _logit_mse,
    "probability_mse": _probability_mse,
}
