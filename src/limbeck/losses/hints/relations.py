"""Terms on relations between queries, keys and values."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import gcd
from typing import Literal

from torch import Tensor

from limbeck.errors import ConfigError
from limbeck.losses.hints.hidden import Hint
from limbeck.numerics.masking import read_positions
from limbeck.numerics.relations import Relation, regrouped, relation_kl
from limbeck.types import Batch, Needs, Shapes, Signal, Tap

__all__ = ["AttentionRelation", "Vectors"]

Vectors = Literal["query", "key", "value"]

_MOST_HEADS, _LEAST_WIDTH = 48, 8


@dataclass(frozen=True)
class AttentionRelation(Hint):
    """``KL(softmax(A_T B_T^T / sqrt(d)) || softmax(A_S B_S^T / sqrt(d')))`` at each token, mean over heads and tokens.

    A and B are queries, keys or values of one layer of the teacher and one of the student. All non-padding tokens of a
    row count, including those of prompts; in a decoder each looks at itself and earlier ones. Queries and keys are
    those that attention reads, rotary positions included; position bias, scales other than ``1 / sqrt(d)`` and windows
    are left out. Each row counts once, whatever its length.

    Reference: Wang et al. 2020, "MiniLM", arXiv:2002.10957, equations 6 to 9; with a number of heads Wang et al. 2021,
    "MiniLMv2", arXiv:2012.15828, equations 4 to 6. Neither has decoders or shared heads.
    """

    first: Vectors
    """A."""
    second: Vectors
    """B."""
    heads: int | Literal["own", "auto"] = "own"
    """Number of heads that the vectors of all heads, joined, are split into. ``own``: the models' own heads, which
    must be equally many; those of keys and values that queries share count once for each query head. ``auto``: the
    largest number up to 48 that divides the widths of queries, keys and values of both models and leaves heads at
    least 8 wide, as those of the paper's smallest student."""
    teacher_layer: int | None = None
    """Counted from 1; ``None``: the last."""
    student_layer: int | None = None
    """The same of the student."""
    own_heads: int = field(default=0, kw_only=True)
    """Attention heads of both models, if those are compared, set by `bind`."""
    causal: bool = field(default=False, kw_only=True)
    """Whether tokens look only at earlier ones, set by `bind`."""

    @property
    def needs(self) -> Needs:
        """The two sides of the relation, from models that read the same tokens."""
        student, teacher = (self.pairs or [(1, 1)])[0]
        sides = (self.first, self.second)
        return Needs(
            student_taps=frozenset(Tap(side, student) for side in sides) if self.pairs else frozenset(),
            teacher_taps=frozenset(Tap(side, teacher) for side in sides),
            same_tokens=True,
            same_heads=self.heads == "own",
        )

    def bind(self, shapes: Shapes) -> AttentionRelation:
        layer = _layer("teacher_layer", self.teacher_layer, shapes.teacher_layers)
        of_student = _layer("student_layer", self.student_layer, shapes.student_layers)
        if not (shapes.teacher_heads and shapes.student_heads):
            raise ConfigError(
                "relations of queries, keys and values need a number of attention heads, and the configuration of the "
                f"{'teacher' if not shapes.teacher_heads else 'student'} does not give one. Use another recipe"
            )
        if self.heads == "own" and shapes.teacher_heads != shapes.student_heads:
            raise ConfigError(
                f"relations are compared head by head, but the teacher has {shapes.teacher_heads} in each layer and "
                f"the student {shapes.student_heads}. Use a student with as many, or minilm_v2, which splits the "
                "vectors of both models into equally many"
            )
        heads = self.heads if self.heads == "own" else self._number_of_heads(shapes)
        bound = replace(self, heads=heads, pairs=((of_student, layer),), causal=shapes.causal)
        return replace(bound, own_heads=shapes.student_heads) if heads == "own" else bound

    def _number_of_heads(self, shapes: Shapes) -> int:
        """Return the number of heads that the vectors of both models are split into."""
        widths = {
            "the teacher's queries": shapes.teacher_heads * shapes.teacher_head_width,
            "the teacher's keys and values": shapes.teacher_groups * shapes.teacher_head_width,
            "the student's queries": shapes.student_heads * shapes.student_head_width,
            "the student's keys and values": shapes.student_groups * shapes.student_head_width,
        }
        common = gcd(*widths.values())
        if self.heads == "auto":
            most = max(1, min(_MOST_HEADS, common // _LEAST_WIDTH))
            return next(number for number in range(most, 0, -1) if common % number == 0)
        assert self.heads != "own"
        if wrong := [f"{width} ({whose})" for whose, width in widths.items() if width % self.heads]:
            raise ConfigError(
                f"relation_heads {self.heads} does not divide the width {', '.join(wrong)}. Choose a divisor of "
                f"{common}, or leave it out"
            )
        return self.heads

    def values(self, student: Signal, teacher: Signal, batch: Batch) -> Tensor:
        ((own, of_teacher),) = self.pairs
        sides = {"student": self._relation(student, own), "teacher": self._relation(teacher, of_teacher)}
        return relation_kl(**sides, read_BT=read_positions(batch), causal=self.causal)

    def _relation(self, signal: Signal, layer: int) -> Relation:
        return Relation(*(self._split(signal["states"][Tap(side, layer)]) for side in (self.first, self.second)))

    def _split(self, vectors: Tensor) -> Tensor:
        """Return vectors with the number of heads that is compared."""
        if self.heads == "own":
            return vectors.repeat_interleave(self.own_heads // vectors.shape[1], dim=1)
        assert self.heads != "auto", "bind first"
        return regrouped(vectors, self.heads)


def _layer(name: str, wanted: int | None, layers: int) -> int:
    """Return a layer of a model, the last if none is wanted. Raises `ConfigError`: it has no such layer."""
    layer = layers if wanted is None else wanted
    if not 1 <= layer <= layers:
        raise ConfigError(f"{name} must be between 1 and {layers}, not {layer}")
    return layer
