"""The end of a cross-lingual run: the student folder and its card, and figures per language."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limbeck.atomic import write_json
from limbeck.data.candidates import ScorerKind
from limbeck.data.languages import language_name
from limbeck.data.prompts.choice import PromptChoice
from limbeck.evaluation.cost import system_cost, with_money, with_savings
from limbeck.evaluation.language_verdict import language_verdict
from limbeck.evaluation.languages import (
    Credits,
    Panel,
    always_the_most_frequent,
    language_records,
    right_candidates,
)
from limbeck.evaluation.ranking import accuracy_credit, query_ndcg, reciprocal_rank, span_counts
from limbeck.language_results import EnglishCheck, LanguageResults, LanguageSystem, SystemCost
from limbeck.models.load import hub_name
from limbeck.ranks import ranks
from limbeck.recipes.english_model import english_model
from limbeck.results import StageCost
from limbeck.runs.folder import RUN_FILE, environment
from limbeck.runs.language_config import LanguageRunConfig
from limbeck.runs.language_data import LanguageData
from limbeck.runs.outcome import read_curves
from limbeck.runs.ranker import RankingTask
from limbeck.sequences.given import Paired
from limbeck.types import Instruction, SoftLayout

__all__ = ["LanguageOutcome", "compare_languages", "credits_of", "language_card", "write_scorer"]

_ENGLISH_MODEL = "english_model"
_ALARM = 0.02
"""A loss of this much accuracy on the source language is raised in the report."""


@dataclass(frozen=True)
class LanguageOutcome:
    """What the figures are made from."""

    config: LanguageRunConfig
    folder: Path
    data: LanguageData
    scores: dict[tuple[str, int, int], NDArray[np.float32]]
    kept: dict[int, dict[str, float]]
    costs: list[StageCost]
    stages_of: dict[tuple[str, int], list[StageCost]]
    scorer: str
    student: Callable[[], Any]
    """Makes the scorer that is exported."""
    student_scorer: ScorerKind
    student_prompts: PromptChoice
    """What the exported scorer is and reads; both may be the recipe's own rather than the run's."""
    soft: SoftLayout | None
    max_length: int
    tokenizer: Any
    command: str


def write_scorer(outcome: LanguageOutcome, part: Path) -> None:
    """Write the exported scorer into an empty folder."""
    outcome.student().save_pretrained(part)
    outcome.tokenizer.save_pretrained(part)
    write_json(part / "task.json", _task_file(outcome).model_dump())


def language_card(outcome: LanguageOutcome, results: LanguageResults) -> str:
    """Return the model card of the exported scorer."""
    from limbeck.report.card import render_card
    from limbeck.results.bridge import as_results

    return render_card(as_results(results), hub_name(outcome.config.backbone.model))


def _task_file(outcome: LanguageOutcome) -> RankingTask:
    """What `limbeck predict` needs to know of a ranking student."""
    system = outcome.config.recipe.build()
    labels, pairs = _fixed_labels(outcome.data.test)
    return RankingTask(
        scorer=outcome.student_scorer,
        critic=system.options.critic,
        prompts=outcome.student_prompts,
        reads=system.options.prompts,
        soft=outcome.soft,
        languages=[outcome.config.task.source_language, *outcome.config.task.languages],
        tasks=outcome.data.tasks,
        labels=labels,
        pairs=pairs,
        max_length=outcome.max_length,
    )


def _fixed_labels(records: Sequence[Instruction]) -> tuple[dict[str, list[str]], list[str]]:
    """The labels of tasks that ask the same of every text, and which of these tasks read two texts.

    A task is left out where records bring their own candidates or more than texts (a word to be tagged).
    """
    cells: dict[str, dict[str, list[Instruction]]] = {}
    for record in records:
        cells.setdefault(record.task, {}).setdefault(record.source, []).append(record)
    labels: dict[str, list[str]] = {}
    pairs: list[str] = []
    for task, sources in cells.items():
        alike = len({frozenset(r.candidates) for some in sources.values() for r in some}) == 1
        named = {task: [r for some in sources.values() for r in some]} if alike else {
            f"{task}/{source}": some for source, some in sources.items()
        }  # fmt: skip
        for name, some in named.items():
            fixed = len({frozenset(r.candidates) for r in some}) == 1
            if fixed and not any(r.slots or r.grades is not None for r in some):
                labels[name] = sorted(some[0].candidates)
                pairs += [name] if some[0].input_pair is not None else []
    return labels, pairs


def compare_languages(outcome: LanguageOutcome) -> LanguageResults:
    """Return all figures of a run."""
    config, data = outcome.config, outcome.data
    credits = _credits(outcome)
    panel = Panel(
        task=[record.task for record in data.test],
        lang=[record.lang for record in data.test],
        candidates=[len(record.candidates) for record in data.test],
        source_language=config.task.source_language,
        languages=config.task.languages,
        low_resource=frozenset(config.task.languages) - frozenset(config.task.high_resource),
    )
    systems, comparisons = language_records(panel, credits, _compared(credits, config.recipe.key))
    costs = _costs(outcome, [(system.name, system.n_target) for system in systems])
    most_frequent = always_the_most_frequent(panel, data.test)
    names = {lang: language_name(lang) for lang in (config.task.source_language, *config.task.languages)}
    return LanguageResults(
        name=Path(config.output).name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        limbeck_version=version("limbeck"),
        command=outcome.command,
        verdict=language_verdict(
            systems,
            comparisons,
            costs,
            source_language=config.task.source_language,
            language_names=names,
            most_frequent=most_frequent,
        ),
        warnings=_warnings(outcome),
        source_language=config.task.source_language,
        languages=config.task.languages,
        language_names=names,
        tasks=data.tasks,
        seeds=config.seeds,
        pairing=(config.recipe.build().part(Paired) or Paired()).pairing,
        prompts=f"{config.prompts.levels}, {config.prompts.form}",
        scorer=outcome.scorer,
        kept_by_gate=_mean_over_seeds(outcome.kept),
        records=_counts(outcome),
        systems=systems,
        comparisons=comparisons,
        english=_english(systems),
        costs=costs,
        stage_costs=outcome.costs,
        curves=read_curves(outcome.folder / "log.jsonl", outcome.costs),
        resolved_run=(outcome.folder / RUN_FILE).read_text(encoding="utf-8"),
        environment=environment(),
        data_fingerprints=data.fingerprints,
        most_frequent=most_frequent,
    )


def _credits(outcome: LanguageOutcome) -> list[Credits]:
    """What each system earned on each test record, budget by budget, in the order of the run file."""
    recipes = {_ENGLISH_MODEL: english_model().title}
    recipes |= {recipe.key: recipe.build().title for recipe in outcome.config.recipes()}
    found: list[Credits] = []
    for name, title in recipes.items():
        for n_target in sorted({n for key, n, _ in outcome.scores if key == name}):
            by_seed = {seed: s for (key, n, seed), s in outcome.scores.items() if (key, n) == (name, n_target)}
            found.append(credits_of(name, title, n_target, outcome.data.test, by_seed))
    return found


def credits_of(
    name: str, title: str, n_target: int, records: Sequence[Instruction], scores: Mapping[int, NDArray[np.float32]]
) -> Credits:
    """Return what one system earned on each of `records`, by the scores of each seed."""
    golds = [right_candidates(record) for record in records]
    return Credits(
        name=name,
        title=title,
        n_target=n_target,
        accuracy={seed: accuracy_credit(scores_NK, golds) for seed, scores_NK in scores.items()},
        mrr={seed: reciprocal_rank(scores_NK, golds) for seed, scores_NK in scores.items()},
        ndcg={seed: query_ndcg(scores_NK, records) for seed, scores_NK in scores.items()},
        spans={seed: span_counts(scores_NK, records) for seed, scores_NK in scores.items()},
    )


def _compared(credits: list[Credits], main: str) -> list[tuple[Credits, Credits]]:
    """The main system with every other at the same budget; distillation alone with the English model too."""
    pairs = []
    for ours in (c for c in credits if c.name == main):
        pairs += [(ours, other) for other in credits if other.name != main and other.n_target == ours.n_target]
    return pairs


def _english(systems: list[LanguageSystem]) -> list[EnglishCheck]:
    """Accuracy on the source language at the end of every system, against the English model's."""
    before = next(_source_accuracy(system) for system in systems if system.name == _ENGLISH_MODEL)
    checks = []
    for system in systems:
        accuracy = _source_accuracy(system)
        if accuracy is not None and before is not None:
            stage = "english" if system.name == _ENGLISH_MODEL else ("target" if system.n_target else "before target")
            checks.append(
                EnglishCheck(
                    system=system.name,
                    n_target=system.n_target,
                    stage=stage,
                    accuracy=accuracy,
                    change=accuracy - before,
                    alarm=accuracy - before <= -_ALARM,
                )
            )
    return checks


def _source_accuracy(system: LanguageSystem) -> float | None:
    cells = [cell.accuracy.value for cell in system.cells if cell.resource == "source"]
    return float(np.mean(cells)) if cells else None


def _costs(outcome: LanguageOutcome, keys: list[tuple[str, int]]) -> list[SystemCost]:
    teacher = outcome.stages_of[_ENGLISH_MODEL, 0]
    systems = {recipe.key: recipe.build() for recipe in outcome.config.recipes()}
    costs = []
    for name, n_target in keys:
        stages = outcome.stages_of[name, n_target] if name != _ENGLISH_MODEL else []
        system = systems.get(name)
        # A student that starts from the backbone still needs the teacher's scores.
        needs_teacher = system is None or (system.starts_from == "teacher" or system.part(Paired) is not None)
        costs.append(
            system_cost(
                name,
                n_target,
                stages,
                devices=ranks(),
                english_model=teacher if needs_teacher else (),
            )
        )
    rate = outcome.config.rate
    return with_savings(costs if rate is None else with_money(costs, rate.per_device_hour, rate.currency))


def _mean_over_seeds(kept: dict[int, dict[str, float]]) -> dict[str, float]:
    languages = dict.fromkeys(lang for shares in kept.values() for lang in shares)
    return {lang: float(np.mean([shares[lang] for shares in kept.values()])) for lang in languages}


def _counts(outcome: LanguageOutcome) -> dict[str, int]:
    data, config = outcome.data, outcome.config
    counts = {"english": len(data.english), "paired": len(data.pool), "test": len(data.test)}
    for n_target in config.data.n_target:
        counts[f"target {n_target}"] = len(data.target(n_target, config.seeds[0]))
    return counts


def _warnings(outcome: LanguageOutcome) -> list[str]:
    config, data = outcome.config, outcome.data
    found = list(data.warnings)
    for n_target in config.data.n_target:
        cells = {(record.task, record.lang) for record in data.pool}
        taken = data.target(n_target, config.seeds[0])
        short = {
            f"{lang} ({task})" for task, lang in cells
            if sum((record.task, record.lang) == (task, lang) for record in taken) < n_target
        }  # fmt: skip
        if short:
            found.append(f"Fewer than {n_target} labelled training records in {', '.join(sorted(short))}.")
    if len(config.seeds) < 3:
        found.append(
            f"{len(config.seeds)} training seed{'s' if len(config.seeds) > 1 else ''}: there is little to say about "
            "the luck of a training run. Use five seeds for a comparison of methods (seeds: [0, 1, 2, 3, 4])."
        )
    for one in config.data.sets:
        for lang, split in one.test_in.items():
            found.append(f"{one.layout}: the test records of '{lang}' are its {split} split.")
    return found
