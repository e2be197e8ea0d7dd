"""The search for the learning rate of each system: the same trials for all, judged on development rows.

A system at a rate is a system whose stages have folders of their own, so what a trial trained is there for the run:
the first seed's student of the best rate is the trial itself.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from limbeck.atomic import as_json
from limbeck.errors import NonFiniteLoss
from limbeck.evaluation.verdicts.verdict import verdict
from limbeck.report.lookup import budget_text
from limbeck.results.record import Results, StageCost
from limbeck.results.sections import Search, Trial
from limbeck.stages.pipeline import run_stage
from limbeck.tasks.kept import kept
from limbeck.tasks.run_config import RunSettings
from limbeck.tasks.task import Part, System, TaskRun

__all__ = ["Tuning", "train"]


class _Score(BaseModel):
    """What a trial is worth."""

    metric: str
    higher_is_better: bool
    value: float | None
    """``None``: not finite."""
    rows: int


def train(run: TaskRun, system: System, seed: int, costs: dict[str, StageCost]) -> Any:
    """Return the model of a system after its stages; `costs` is told what each took, by its folder."""
    model = run.model(system, seed)
    for planned in system.stages:
        costs[planned.folder] = run_stage(planned.stage, run.stage(system, planned, seed, model), model)
    return model


class Tuning:
    """Gives each system of a run its learning rate; without ``search`` in the run file that of the run file.

    Args:
        run: at work.
        config: of the run.
        folder: of the run, which keeps what was tried.
    """

    def __init__(self, run: TaskRun, config: RunSettings, folder: Path) -> None:
        self._run = run
        self._folder = folder
        self._seed = config.seeds[0]
        self._rates = [] if config.search is None else config.search.learning_rate
        self._trials: dict[tuple[str, int | None], list[Trial]] = {}
        self._costs: dict[str, StageCost] = {}
        self._score: _Score | None = None

    def parts(self, system: System, seed: int) -> Sequence[Part]:
        """Return what has a bar while a system is tried, trained and measured."""
        if not self._is_tried(system) or seed != self._seed:
            return self._run.parts(system, seed)
        tried = [part for rate in self._rates for part in self._run.parts(_trial(system, rate), seed)]
        return [*tried, *self._run.parts(replace(system, stages=()), seed)]

    def tuned(self, system: System) -> System:
        """Return the system at its best rate, which is searched for once: with the first seed."""
        if not self._is_tried(system):
            return system
        key = (system.name, system.budget)
        if key not in self._trials:
            self._trials[key] = self._chosen(system, [self._try(system, rate) for rate in self._rates])
        return next(_at(system, one.settings["learning_rate"]) for one in self._trials[key] if one.chosen)

    def told(self, results: Results) -> Results:
        """Return the record of the run with its search."""
        if self._score is None:
            return results
        trials = [trial for of_system in self._trials.values() for trial in of_system]
        others = [cost.seconds for folder, cost in self._costs.items() if folder not in self._run.costs]
        search = Search(metric=self._score.metric, rows=self._score.rows, trials=trials, other_seconds=sum(others))
        warnings = [*results.warnings, *self._at_an_edge(results, trials)]
        whole = results.model_copy(update={"sections": [*results.sections, search], "warnings": warnings})
        return whole.model_copy(update={"verdict": verdict(whole)})

    def _is_tried(self, system: System) -> bool:
        return bool(self._rates and system.stages) and system.role != "teacher"

    def _try(self, system: System, rate: float) -> Trial:
        tried, value = _trial(system, rate), None
        try:
            model = train(self._run, tried, self._seed, self._costs)
        except NonFiniteLoss as error:
            self._run.progress.log(f"{tried.stages[-1].title}: {error}")
        else:
            score = self._kept_score(tried, rate, model)
            value = score.value
            self._score = self._score if value is None else score
        settings = {"learning_rate": rate}
        return Trial(system=system.name, budget=system.budget, settings=settings, value=value, chosen=False)

    def _kept_score(self, system: System, rate: float, model: Any) -> _Score:
        """Return what the main process measured, in all processes: they choose alike."""
        budget = "" if system.budget is None else f"-n{system.budget}"
        return kept(
            self._folder,
            f"predictions/{system.name}{budget}-dev-lr{rate}.json",
            make=lambda: as_json(self._scored(system, model).model_dump()).encode(),
            read=lambda path: _Score.model_validate(json.loads(path.read_text(encoding="utf-8"))),
            progress=self._run.progress,
        )

    def _scored(self, system: System, model: Any) -> _Score:
        measured = self._run.score(system, self._seed, model)
        metric = next(one for one in measured.metrics if one.key == measured.headline)
        of_system = [one for one in measured.figures if one.system == system.name and not one.slice]
        figure = next((one for one in of_system if one.metric == metric.key), None)
        value, rows = (figure.value, figure.rows or 0) if figure is not None else (None, 0)
        return _Score(metric=metric.key, higher_is_better=bool(metric.higher_is_better), value=value, rows=rows)

    def _chosen(self, system: System, trials: list[Trial]) -> list[Trial]:
        """Mark the best trial; of equal ones that of the smaller rate."""
        sign = -1.0 if self._score is not None and not self._score.higher_is_better else 1.0
        known = [trial for trial in trials if trial.value is not None]
        if not known:
            raise NonFiniteLoss(
                f"search.learning_rate: '{system.name}' can be trained with none of them, the loss stops being finite "
                "with all. Try smaller ones"
            )
        best = max(known, key=lambda trial: sign * (trial.value or 0.0))
        rate = best.settings["learning_rate"]
        self._run.progress.log(f"{system.title or system.name}: the learning rate is {rate:g}")
        return [trial.model_copy(update={"chosen": trial is best}) for trial in trials]

    def _at_an_edge(self, results: Results, trials: list[Trial]) -> list[str]:
        edges = ((self._rates[0], "smallest", "smaller"), (self._rates[-1], "largest", "larger"))
        found = []
        for rate, most, more in edges:
            at = [one for one in trials if one.chosen and one.settings["learning_rate"] == rate]
            names = [results.title(one.system) + _labels(one.budget) for one in at]
            if names:
                found.append(
                    f"{', '.join(names)}: the best learning rate is the {most} that was tried, {rate:g}; a {more} one "
                    "may do better (search.learning_rate)."
                )
        return found


def _labels(budget: int | None) -> str:
    return "" if budget is None else f" ({budget_text(budget)})"


def _at(system: System, rate: float) -> System:
    """Return the system with its stages at a rate, in folders of their own."""
    stages = [
        replace(
            one,
            stage=replace(one.stage, name=f"{one.stage.name}-lr{rate}"),
            folder=f"{one.folder}-lr{rate}",
            training=one.training.model_copy(update={"learning_rate": rate}),
        )
        for one in system.stages
    ]
    return replace(system, stages=tuple(stages))


def _trial(system: System, rate: float) -> System:
    found = _at(system, rate)
    titled = (replace(one, title=f"{one.title}, learning rate {rate:g}") for one in found.stages)
    return replace(found, stages=tuple(titled))
