"""Device hours, savings and money, against the published run times."""

from __future__ import annotations

import pytest

from limbeck.errors import DataError
from limbeck.evaluation.cost import device_hours, saving, system_cost, with_money, with_savings
from limbeck.results.record import StageCost
from limbeck.results.sections import Money

OURS, FINE_TUNING, REINFORCEMENT, PROMPTS = (50, 4), (100, 8), (150, 16), (80, 6)  # wall hours, devices


def stage(
    seconds: float, seed: int = 0, *, tokens: int = 100, memory: int = 10, energy: float | None = None
) -> StageCost:
    return StageCost(
        stage="s",
        system="distilled",
        seed=seed,
        seconds=seconds,
        steps=1,
        rows_seen=1,
        tokens_seen=tokens,
        peak_memory_bytes=memory,
        energy_kwh=energy,
    )


@pytest.mark.parametrize(("run", "hours"), [(OURS, 200), (FINE_TUNING, 800), (REINFORCEMENT, 2400), (PROMPTS, 480)])
def test_device_hours_of_the_published_runs(run: tuple[float, int], hours: float) -> None:
    assert device_hours(*run) == hours


@pytest.mark.parametrize(
    ("run", "by_device_hours", "by_wall_time"),
    [(FINE_TUNING, 0.75, 0.5), (REINFORCEMENT, 0.9167, 0.667), (PROMPTS, 0.5833, 0.375)],
)
def test_savings_of_the_published_runs(run: tuple[float, int], by_device_hours: float, by_wall_time: float) -> None:
    assert saving(device_hours(*OURS), device_hours(*run)) == pytest.approx(by_device_hours, abs=5e-5)
    assert saving(OURS[0], run[0]) == pytest.approx(by_wall_time, abs=5e-4)


def test_costing_more_saves_less_than_nothing() -> None:
    assert saving(300, 200) == pytest.approx(-0.5)


def test_money_is_hours_times_rate() -> None:
    costs = [
        system_cost("ml_ipd", 0, [stage(3600 * 50)], devices=4),
        system_cost("rl_ia", 0, [stage(3600)], devices=1),
    ]
    assert [cost.money for cost in costs] == [None, None]
    priced = with_money(costs, 2.5, "EUR")
    assert [cost.money for cost in priced] == [Money(amount=500, currency="EUR"), Money(amount=2.5, currency="EUR")]
    assert [cost.model_copy(update={"money": None}) for cost in priced] == costs


@pytest.mark.parametrize("devices", [None, 0, -1])
def test_refuses_a_cost_without_a_device_count(devices: int | None) -> None:
    with pytest.raises(DataError, match=f"needs the number of devices, at least 1, not {devices}: 50 hours"):
        device_hours(50, devices)
    with pytest.raises(DataError, match="needs the number of devices"):
        system_cost("ml_ipd", 0, [stage(1)], devices=devices)


def test_refuses_what_has_no_baseline_or_no_stages() -> None:
    with pytest.raises(DataError, match="a saving needs a baseline that cost something, not 0"):
        saving(1, 0)
    with pytest.raises(DataError, match=r"rl_ia \(budget 16\) has no stages"):
        system_cost("rl_ia", 16, [], devices=1)


def test_stages_add_up_seeds_are_averaged_and_the_source_model_is_included() -> None:
    cost = system_cost(
        "ml_ipd",
        16,
        [stage(3600, 0), stage(7200, 0, memory=70), stage(3600, 1), stage(3600, 1, tokens=301)],
        devices=2,
        teacher=[stage(1800, 0, tokens=1000), stage(5400, 1, tokens=1000)],
    )
    assert (cost.system, cost.budget, cost.devices, cost.energy_kwh) == ("ml_ipd", 16, 2, None)
    assert cost.teacher_hours == pytest.approx(2 * 1.0)
    assert cost.device_hours == pytest.approx(2 * (3 + 2) / 2 + 2 * 1.0)
    assert cost.tokens == round((200 + 401) / 2 + 1000)
    assert cost.peak_memory_bytes == 70
    assert cost.saving is None


def test_energy_is_known_where_every_stage_has_been_measured() -> None:
    english = [stage(1, 0, energy=0.5)]
    measured = [stage(1, 0, energy=1.0), stage(1, 1, energy=2.0), stage(1, 1, energy=0.0)]
    assert system_cost("ml_ipd", 0, measured, devices=4, teacher=english).energy_kwh == pytest.approx(2.0)
    assert system_cost("ml_ipd", 0, measured, devices=4, teacher=[stage(1)]).energy_kwh is None


def test_a_source_model_of_one_seed_costs_its_one_seed() -> None:
    cost = system_cost("transfer", 0, [stage(3600, 0), stage(3600, 1)], devices=1, teacher=[stage(7200)])
    assert (cost.device_hours, cost.teacher_hours) == (3, 2)
    alone = system_cost("source_model", 0, [], devices=1, teacher=[stage(7200)])
    assert (alone.device_hours, alone.teacher_hours) == (2, 2)


def test_savings_are_against_the_same_budget() -> None:
    def cost(name: str, shots: int, hours: float):  # type: ignore[no-untyped-def]
        return system_cost(name, shots, [stage(3600 * hours)], devices=4)

    costs = with_savings(
        [
            cost("source_model", 0, 1),
            cost("ml_ipd", 16, 50),
            cost("ml_dft", 16, 200),
            cost("ml_ipd", 128, 90),
            cost("ml_dft", 128, 60),
            cost("ml_dft", 0, 7),
            cost("rl_ia", 1, 7),
            cost("ml_ipd", 0, 14),
        ],
        main="ml_ipd",
        teacher="source_model",
    )
    assert [c.saving for c in costs] == [None, None, 0.75, None, pytest.approx(-0.5), pytest.approx(-1.0), None, None]
    assert costs[2].device_hours == 800
