"""The cost of each system over all its stages, and savings between systems.

``device hours = sum over stages of devices * wall hours``; the teacher's stages are included in every
system that needs it. Savings are in device hours, as one hour on eight devices costs eight.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from limbeck.errors import DataError
from limbeck.results.record import StageCost
from limbeck.results.sections import Money, SystemCost

__all__ = ["device_hours", "saving", "system_cost", "with_money", "with_savings"]

_SECONDS_PER_HOUR = 3600


def device_hours(wall_hours: float, devices: int | None) -> float:
    """Return ``devices * wall_hours``.

    Raises:
        DataError: the number of devices is unknown (or below 1): wall time alone is not a cost.
    """
    if devices is None or devices < 1:
        raise DataError(
            f"a cost needs the number of devices, at least 1, not {devices}: {wall_hours:g} hours of wall time may be "
            "any number of device hours; give the number of devices of the run"
        )
    return devices * wall_hours


def saving(ours: float, baseline: float) -> float:
    """Return ``1 - ours / baseline``, as a share; below 0 if ours cost more.

    >>> round(saving(200, 2400), 4)
    0.9167
    """
    if baseline <= 0:
        raise DataError(f"a saving needs a baseline that cost something, not {baseline}")
    return 1 - ours / baseline


def system_cost(
    system: str,
    budget: int | None,
    stages: Sequence[StageCost],
    *,
    devices: int | None,
    teacher: Sequence[StageCost] = (),
) -> SystemCost:
    """Return one system's cost, without `saving` (`with_savings` fills it in).

    Its energy is known only if every stage's is.

    Args:
        system: its name.
        budget: its budget of labels.
        stages: its own stages, of all seeds; figures are means over these seeds.
        devices: number of devices of each stage.
        teacher: stages of the teacher it needs, of all of *its* seeds.

    Raises:
        DataError: no device count, or no stage at all.
    """
    if not stages and not teacher:
        raise DataError(f"{system} (budget {budget}) has no stages, so its cost is unknown")
    teacher_hours = device_hours(_seed_mean(teacher, lambda s: s.seconds) / _SECONDS_PER_HOUR, devices)
    own_hours = device_hours(_seed_mean(stages, lambda s: s.seconds) / _SECONDS_PER_HOUR, devices)
    tokens = sum(_seed_mean(part, lambda s: s.tokens_seen) for part in (stages, teacher))
    assert devices is not None
    return SystemCost(
        system=system,
        budget=budget,
        devices=devices,
        device_hours=own_hours + teacher_hours,
        teacher_hours=teacher_hours,
        tokens=round(tokens),
        peak_memory_bytes=max(stage.peak_memory_bytes for stage in (*stages, *teacher)),
        energy_kwh=_energy_kwh(stages, teacher),
        saving=None,
    )


def with_savings(costs: Sequence[SystemCost], main: str, teacher: str) -> list[SystemCost]:
    """Return `costs` with the saving of the main system of the same budget against each baseline, else ``None``."""
    ours = {cost.budget: cost.device_hours for cost in costs if cost.system == main}

    def of(cost: SystemCost) -> float | None:
        if cost.system in (main, teacher) or cost.budget not in ours:
            return None
        return saving(ours[cost.budget], cost.device_hours)

    return [cost.model_copy(update={"saving": of(cost)}) for cost in costs]


def with_money(costs: Sequence[SystemCost], per_device_hour: float, currency: str) -> list[SystemCost]:
    """Return `costs` with the price of their device hours, at `per_device_hour` of `currency`."""
    return [
        cost.model_copy(update={"money": Money(amount=cost.device_hours * per_device_hour, currency=currency)})
        for cost in costs
    ]


def _energy_kwh(*parts: Sequence[StageCost]) -> float | None:
    known = [stage.energy_kwh is not None for part in parts for stage in part]
    return sum(_seed_mean(part, lambda s: s.energy_kwh or 0.0) for part in parts) if all(known) else None


def _seed_mean(stages: Sequence[StageCost], figure: Callable[[StageCost], float]) -> float:
    """The stages of one seed add up; seeds are averaged. Nothing costs 0."""
    seeds = {stage.seed for stage in stages}
    return sum(figure(stage) for stage in stages) / max(1, len(seeds))
