"""The cost of each system over all its stages, including the teacher's."""

from __future__ import annotations

from limbeck.formatting import ABSENT, bytes_text, count_text, energy_text, hours_text, saving_text
from limbeck.report.block import Block, Cell, Column, Row, Table
from limbeck.report.lookup import budget_text
from limbeck.report.tables import system_cell
from limbeck.results.record import Results
from limbeck.results.sections import Money, SystemCost, SystemCosts

__all__ = ["render"]


def render(section: SystemCosts, results: Results) -> Block:
    """Show the costs as a table."""
    if not section.systems:
        return Block()
    priced = any(cost.money for cost in section.systems)
    main = results.role("main")
    saves = f"{main.title} saves" if main else "Saving"
    columns = [
        Column("System", kind="words"),
        Column("Labels"),
        Column("Devices"),
        Column("Device hours", "mean over seeds"),
        Column("Teacher's part"),
        Column("Tokens"),
        Column("Peak memory"),
        Column("Energy"),
        Column(saves, "device hours"),
        *([Column("Money")] if priced else []),
    ]
    lead = (
        "Device hours are devices times hours, over all stages, including the teacher's; means over seeds. A negative "
        "saving means that it cost more."
    ) + (" Money is device hours times the rate of the run file." if priced else "")
    meaning = "Devices times hours of all stages, including the training of the teacher."
    table = Table("Costs of each system", columns, [_row(results, cost, priced=priced) for cost in section.systems])
    return Block("Costs", lead, tables=[table], words={"Device hours": meaning})


def _row(results: Results, cost: SystemCost, *, priced: bool) -> Row:
    texts = [
        ABSENT if cost.budget is None else budget_text(cost.budget),
        count_text(cost.devices),
        hours_text(cost.device_hours),
        hours_text(cost.teacher_hours),
        count_text(cost.tokens),
        bytes_text(cost.peak_memory_bytes),
        energy_text(cost.energy_kwh),
        saving_text(cost.saving),
        *([_money_text(cost.money)] if priced else []),
    ]
    system = results.system(cost.system)
    return Row([system_cell(results, cost.system), *map(Cell, texts)], main=bool(system and system.role == "main"))


def _money_text(money: Money | None) -> str:
    if money is None:
        return ABSENT
    amount = "< 0.01" if 0 < money.amount < 0.005 else f"{money.amount:,.2f}"
    return f"{amount} {money.currency}"
