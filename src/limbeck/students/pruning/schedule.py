"""How many units a student keeps while it is pruned during training."""

from __future__ import annotations

from dataclasses import dataclass

from limbeck.students.pruning.units import Shape

__all__ = ["Pruning", "kept_share", "shape_at"]


@dataclass(frozen=True)
class Pruning:
    """When a stage prunes its student, in shares of its steps, and how it scores units."""

    begin: float = 0.0
    end: float = 0.6
    smoothing: float = 0.85
    """Weight of the earlier scores in the moving average."""


def kept_share(progress: float, final: float, pruning: Pruning) -> float:
    """Return the share of units that is kept: 1 at first, then along a cubic down to `final`, which stays.

    ``r(t) = r_f + (1 - r_f) (1 - (t - t_i) / (t_f - t_i))^3`` between the ends of the pruning, where most units go
    early, while many are left to take over from them.

    Reference: Zhu and Gupta 2017, "To prune, or not to prune", arXiv:1710.01878, equation 1; Liang et al. 2023
    (HomoDistil), arXiv:2302.09632.

    Args:
        progress: share of the stage's steps that are done.
        final: r_f.
        pruning: of the stage.
    """
    if progress < pruning.begin:
        return 1.0
    if progress >= pruning.end:
        return final
    left = 1 - (progress - pruning.begin) / (pruning.end - pruning.begin)
    return final + (1 - final) * left**3


def shape_at(progress: float, before: Shape, after: Shape, pruning: Pruning) -> Shape:
    """Return the units that are kept on the way from one shape to the other."""

    def count(there: int, final: int) -> int:
        return max(final, round(there * kept_share(progress, final / there, pruning)))

    groups = count(before.groups, after.groups)
    return Shape(
        hidden=count(before.hidden, after.hidden),
        heads=groups * (before.heads // before.groups),
        groups=groups,
        head_width=before.head_width,
        feed_forward=count(before.feed_forward, after.feed_forward),
    )
