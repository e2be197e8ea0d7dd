"""Which stages will a cross-lingual run train, for how many steps, and how long does a row take?"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from limbeck.data.candidates import EncodedRecords, ScorerKind
from limbeck.models.taps import run_model
from limbeck.ranks import device
from limbeck.recipes.recipe import Recipe
from limbeck.runs.language_bench import rows_of
from limbeck.runs.languages import ENGLISH_MODEL, Bench, budgets_of
from limbeck.students.scorer import Scorer

__all__ = ["PlannedStage", "plan", "seconds_per_row"]

_TIMED_ROWS: dict[ScorerKind, int] = {"cross_encoder": 4, "dual_encoder": 16, "verbaliser": 2}
"""On a CPU; four times as many elsewhere. A dual encoder's batch shares its candidates."""
_TIMED_STEPS = 2


@dataclass(frozen=True)
class PlannedStage:
    """One stage of one system; stages that budgets of target labels share are there once."""

    name: str
    system: Recipe
    stage: str
    n_target: int | None
    steps: int
    batch_size: int


def plan(bench: Bench) -> list[PlannedStage]:
    """All stages that one seed trains."""
    config, data = bench.config, bench.data
    sections = {"paired": config.training.distillation, "target": config.training.target}
    planned: dict[tuple[str, str, int | None], PlannedStage] = {}
    for name, system in bench.systems():
        for n_target in [0] if name == ENGLISH_MODEL else budgets_of(system, config.data.n_target):
            records = len(data.target(n_target, config.seeds[0]))
            steps = bench.steps(records, len(data.pool))
            shared = True
            for stage in system.stages:
                rows = rows_of(stage)
                shared = shared and rows in ("source", "paired")
                if rows != "target" or records:
                    n = None if shared else n_target
                    batch_size = sections.get(rows, config.training.english).batch_size
                    count = bench.stage_steps(system, stage, steps)
                    planned[name, stage.name, n] = PlannedStage(name, system, stage.name, n, count, batch_size)
    return list(planned.values())


def seconds_per_row(scorer: Scorer, encoded: EncodedRecords, kind: ScorerKind) -> tuple[float, float]:
    """Seconds for a row in a training step, the optimiser's update not counted, and in a forward pass."""
    import torch

    scorer.to(device())
    rows = _TIMED_ROWS[kind] * (1 if device() == "cpu" else 4)
    order = np.random.default_rng(0).permutation(len(encoded.records))
    batches = [np.resize(np.roll(order, -rows * i), rows) for i in range(1 + _TIMED_STEPS)]
    spent = []
    for backward in (True, False):
        scorer.train(backward)
        for number, batch in enumerate(batches):
            if number == 1:  # the first one warms up
                started = time.perf_counter()
            inputs = {name: tensor.to(device()) for name, tensor in encoded.batch(batch).items()}
            with torch.set_grad_enabled(backward):
                scores_BK = run_model(scorer, inputs)["logits"]
                total = scores_BK[scores_BK.isfinite()].sum()
            if backward:
                total.backward()  # type: ignore[no-untyped-call]
            total.item()  # waits for an accelerator
        spent.append((time.perf_counter() - started) / (rows * _TIMED_STEPS))
    scorer.zero_grad(set_to_none=True)
    return spent[0], spent[1]
