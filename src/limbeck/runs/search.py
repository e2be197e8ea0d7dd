"""The search for the settings of each system: as many trials for all, judged on development rows.

A system with the settings of a trial is a system whose stages have folders of their own, so what a trial trained is
there for the run: the first seed's student of the best trial is the trial itself.
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
from limbeck.evaluation.measured import Score
from limbeck.evaluation.verdicts.verdict import verdict
from limbeck.report.lookup import budget_text
from limbeck.results.record import Results, StageCost
from limbeck.results.sections import Search, Trial
from limbeck.stages.pipeline import run_stage
from limbeck.tasks.kept import kept
from limbeck.tasks.run_config import RunSettings
from limbeck.tasks.task import Part, System, TaskRun

__all__ = ["Tuning", "train"]

Settings = dict[str, float]
"""The values of a trial, by the names of the settings."""


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
    before: tuple[Path, ...] = ()
    for planned in system.stages:
        stage_run = replace(run.stage(system, planned, seed, model), before=before)
        costs[planned.folder] = run_stage(planned.stage, stage_run, model)
        before = (*before, stage_run.folder)
    return model


class Tuning:
    """Gives each system of a run its settings; without ``search`` in the run file those of the run file.

    Args:
        run: at work.
        config: of the run.
        folder: of the run, which keeps what was tried.
    """

    def __init__(self, run: TaskRun, config: RunSettings, folder: Path) -> None:
        self._run = run
        self._folder = folder
        self._seed = config.seeds[0]
        self._search = config.search
        self._trials: dict[tuple[str, int | None], list[Trial]] = {}
        self._costs: dict[str, StageCost] = {}
        self._score: _Score | None = None

    def parts(self, system: System, seed: int) -> Sequence[Part]:
        """Return what has a bar while a system is tried, trained and measured."""
        if not self._is_tried(system) or seed != self._seed:
            return self._run.parts(system, seed)
        tried = [part for one in self._settings(system) for part in self._run.parts(_trial(system, one), seed)]
        return [*tried, *self._run.parts(replace(system, stages=()), seed)]

    def tuned(self, system: System) -> System:
        """Return the system with its best settings, which are searched for once: with the first seed."""
        if not self._is_tried(system):
            return system
        key = (system.name, system.budget)
        if key not in self._trials:
            self._trials[key] = self._chosen(system, [self._try(system, one) for one in self._settings(system)])
        return next(_at(system, one.settings) for one in self._trials[key] if one.chosen)

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
        return bool(self._search is not None and system.stages) and system.role != "teacher"

    def _settings(self, system: System) -> list[Settings]:
        return [] if self._search is None else self._search.trials([one.stage for one in system.stages])

    def _try(self, system: System, settings: Settings) -> Trial:
        tried, value = _trial(system, settings), None
        try:
            model = train(self._run, tried, self._seed, self._costs)
        except NonFiniteLoss as error:
            self._run.progress.log(f"{tried.stages[-1].title}: {error}")
        else:
            score = self._kept_score(tried, settings, model)
            value = score.value
            self._score = self._score if value is None else score
        return Trial(system=system.name, budget=system.budget, settings=settings, value=value, chosen=False)

    def _kept_score(self, system: System, settings: Settings, model: Any) -> _Score:
        """Return what the main process measured, in all processes: they choose alike."""
        budget = "" if system.budget is None else f"-n{system.budget}"
        return kept(
            self._folder,
            f"predictions/{system.name}{budget}-dev{_suffix(settings)}.json",
            make=lambda: as_json(self._scored(system, model).model_dump()).encode(),
            read=lambda path: _Score.model_validate(json.loads(path.read_text(encoding="utf-8"))),
            progress=self._run.progress,
        )

    def _scored(self, system: System, model: Any) -> _Score:
        found = Score.of(self._run.score(system, self._seed, model), system.name)
        better = bool(found.metric.higher_is_better)
        return _Score(metric=found.metric.key, higher_is_better=better, value=found.value, rows=found.rows)

    def _chosen(self, system: System, trials: list[Trial]) -> list[Trial]:
        """Mark the best trial; of equal ones that of the smaller rate, then of the smaller temperature."""
        sign = -1.0 if self._score is not None and not self._score.higher_is_better else 1.0
        known = [trial for trial in trials if trial.value is not None]
        if not known:
            raise NonFiniteLoss(
                f"search.learning_rate: '{system.name}' can be trained with none of them, the loss stops being finite "
                "with all. Try smaller ones"
            )
        best = max(known, key=lambda trial: sign * (trial.value or 0.0))
        words = " and ".join(f"the {_word(name)} is {value:g}" for name, value in best.settings.items())
        self._run.progress.log(f"{system.title or system.name}: {words}")
        return [trial.model_copy(update={"chosen": trial is best}) for trial in trials]

    def _at_an_edge(self, results: Results, trials: list[Trial]) -> list[str]:
        tried: dict[str, list[float]] = {}
        for one in trials:
            for name, value in one.settings.items():
                tried.setdefault(name, []).append(value)
        lowest = [(name, min(values), "smallest", "smaller") for name, values in tried.items()]
        highest = [(name, max(values), "largest", "larger") for name, values in tried.items()]
        found = []
        for name, edge, most, more in (*lowest, *highest):
            at = [one for one in trials if one.chosen and one.settings.get(name) == edge]
            names = [results.title(one.system) + _labels(one.budget) for one in at]
            if names:
                found.append(
                    f"{', '.join(names)}: the best {_word(name)} is the {most} that was tried, {edge:g}; a {more} one "
                    f"may do better (search.{name})."
                )
        return found


def _labels(budget: int | None) -> str:
    return "" if budget is None else f" ({budget_text(budget)})"


def _word(setting: str) -> str:
    return setting.replace("_", " ")


def _suffix(settings: Settings) -> str:
    """Return the end of the names of a trial's stages and files."""
    temperature = settings.get("loss_temperature")
    return f"-lr{settings['learning_rate']}" + ("" if temperature is None else f"-t{temperature}")


def _at(system: System, settings: Settings) -> System:
    """Return the system with its stages at the settings of a trial, in folders of their own."""
    suffix, temperature = _suffix(settings), settings.get("loss_temperature")
    rate = {"learning_rate": settings["learning_rate"]}
    stages = []
    for one in system.stages:
        stage = one.stage if temperature is None else one.stage.at_loss_temperature(temperature)
        stages.append(
            replace(
                one,
                stage=replace(stage, name=f"{stage.name}{suffix}"),
                folder=f"{one.folder}{suffix}",
                training=one.training.model_copy(update=rate),
            )
        )
    return replace(system, stages=tuple(stages))


def _trial(system: System, settings: Settings) -> System:
    found, words = _at(system, settings), ", ".join(f"{_word(name)} {value:g}" for name, value in settings.items())
    titled = (replace(one, title=f"{one.title}, {words}") for one in found.stages)
    return replace(found, stages=tuple(titled), trial=words.replace("learning rate", "rate"))
