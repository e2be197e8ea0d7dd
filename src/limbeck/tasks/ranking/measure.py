"""The end of a cross-lingual run: the student folder and its card, and figures per language."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limbeck.atomic import write_json
from limbeck.data.candidates import ScorerKind
from limbeck.data.prompts.choice import PromptChoice
from limbeck.evaluation.cost import system_cost, with_money, with_savings
from limbeck.evaluation.cross_lingual import (
    LanguageTestSet,
    Ranked,
    measure_languages,
    most_frequent_accuracy,
    right_candidates,
)
from limbeck.evaluation.metrics.ranking import ExampleScores
from limbeck.evaluation.ranking import example_accuracy, query_ndcg, reciprocal_rank, span_counts
from limbeck.models.load import hub_name
from limbeck.ranks import ranks
from limbeck.recipes.source_model import source_model
from limbeck.results.record import Results, Role, StageCost, System
from limbeck.results.sections import Gate, SystemCost, SystemCosts
from limbeck.sequences.given import Paired
from limbeck.tasks.ranking.config import LanguageRunConfig
from limbeck.tasks.ranking.predict import RankingTask
from limbeck.tasks.ranking.rows import LanguageData
from limbeck.tasks.record import Facts, assemble
from limbeck.types import Instruction, SoftLayout

__all__ = ["LanguageOutcome", "compare_languages", "example_scores_of", "language_card", "test_set_of", "write_scorer"]

_SOURCE_MODEL = "source_model"


@dataclass(frozen=True)
class LanguageOutcome:
    """The inputs of a run's figures."""

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


def language_card(config: LanguageRunConfig, results: Results) -> str:
    """Return the model card of the exported scorer."""
    from limbeck.report.card import render_card
    from limbeck.report.use import Use

    use = Use(
        what="model that ranks the candidate answers of an instruction in several languages",
        task="text-ranking",
        command="limbeck predict THIS_FOLDER records.jsonl > answers.jsonl",
        limits=(
            "It knows the tasks and languages it was trained on; in another language it may do far worse, and nobody "
            "has measured it.",
        ),
    )
    return render_card(results, use, hub_name(config.backbone.model))


def _task_file(outcome: LanguageOutcome) -> RankingTask:
    """Return what `limbeck predict` needs to know about a ranking student."""
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
    """Return the labels of tasks with a fixed label set, and which of these tasks read two texts.

    Tasks whose records have their own candidates, or more than texts (a word to tag), are left out.
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


def test_set_of(config: LanguageRunConfig, records: Sequence[Instruction]) -> LanguageTestSet:
    """Return records by column, with the languages they are grouped by."""
    return LanguageTestSet(
        task=[record.task for record in records],
        lang=[record.lang for record in records],
        candidates=[len(record.candidates) for record in records],
        source_language=config.task.source_language,
        languages=config.task.languages,
        low_resource=frozenset(config.task.languages) - frozenset(config.task.high_resource),
    )


def compare_languages(outcome: LanguageOutcome) -> Results:
    """Return all figures of a run."""
    config, data = outcome.config, outcome.data
    test_set = test_set_of(config, data.test)
    systems = _ranked(outcome)
    facts = Facts(
        kind="ranking",
        name=Path(config.output).name,
        command=outcome.command,
        recipe=config.recipe.key,
        seeds=config.seeds,
        rows=_counts(outcome),
        words={
            "Pairing": (config.recipe.build().part(Paired) or Paired()).pairing,
            "Prompts": f"{config.prompts.levels}, {config.prompts.form}",
            "Scorer": outcome.scorer,
        },
        fingerprints=data.fingerprints,
    )
    return assemble(
        facts,
        measure_languages(test_set, systems, constant=most_frequent_accuracy(test_set, data.test)),
        folder=outcome.folder,
        costs=outcome.costs,
        sections=[Gate(kept=_mean_over_seeds(outcome.kept)), SystemCosts(systems=_costs(outcome, systems))],
        warnings=_warnings(outcome),
    )


def _ranked(outcome: LanguageOutcome) -> list[Ranked]:
    """Return each system's per-example scores, budget by budget, in the order of the run file."""
    main = outcome.config.recipe
    teacher = System(name="teacher", title=source_model().title, role="teacher")
    systems = {_SOURCE_MODEL: teacher}
    for recipe in outcome.config.recipes():
        built = recipe.build()
        role: Role = "main" if recipe.key == main.key else "baseline"
        control = role == "baseline" and built.is_control_of(main.build())
        systems[recipe.key] = System(name=recipe.key, title=built.title, role=role, recipe=recipe.key, control=control)
    found = []
    for name, system in systems.items():
        for budget in sorted({n for key, n, _ in outcome.scores if key == name}):
            by_seed = {seed: s for (key, n, seed), s in outcome.scores.items() if (key, n) == (name, budget)}
            example_scores = {seed: example_scores_of(outcome.data.test, scores) for seed, scores in by_seed.items()}
            found.append(Ranked(system, budget, example_scores))
    return found


def example_scores_of(records: Sequence[Instruction], scores_NK: NDArray[np.float32]) -> ExampleScores:
    """Return the per-example scores of one system and seed on `records`."""
    golds = [right_candidates(record) for record in records]
    return ExampleScores(
        accuracy_N=example_accuracy(scores_NK, golds),
        reciprocal_rank_N=reciprocal_rank(scores_NK, golds),
        ndcg_N=query_ndcg(scores_NK, records),
        spans_N3=span_counts(scores_NK, records),
    )


def _costs(outcome: LanguageOutcome, systems: Sequence[Ranked]) -> list[SystemCost]:
    of_teacher = outcome.stages_of[_SOURCE_MODEL, 0]
    recipes = {recipe.key: recipe.build() for recipe in outcome.config.recipes()}
    costs = []
    for one in systems:
        name, recipe = one.system.name, recipes.get(one.system.name)
        # A student that starts from the backbone still needs the teacher's scores.
        needs_teacher = recipe is None or recipe.starts_from == "teacher" or recipe.part(Paired) is not None
        costs.append(
            system_cost(
                name,
                one.budget,
                outcome.stages_of[name, one.budget] if recipe is not None else [],
                devices=ranks(),
                teacher=of_teacher if needs_teacher else (),
            )
        )
    rate = outcome.config.rate
    priced = costs if rate is None else with_money(costs, rate.per_device_hour, rate.currency)
    return with_savings(priced, main=outcome.config.recipe.key, teacher="teacher")


def _mean_over_seeds(kept: dict[int, dict[str, float]]) -> dict[str, float]:
    languages = dict.fromkeys(lang for shares in kept.values() for lang in shares)
    return {lang: float(np.mean([shares[lang] for shares in kept.values()])) for lang in languages}


def _counts(outcome: LanguageOutcome) -> dict[str, int]:
    data, config = outcome.data, outcome.config
    counts = {"source": len(data.english), "paired": len(data.pool), "test": len(data.test)}
    for shots in config.data.shots:
        counts[f"target {shots}"] = len(data.target(shots, config.seeds[0]))
    return counts


def _warnings(outcome: LanguageOutcome) -> list[str]:
    config, data = outcome.config, outcome.data
    found = list(data.warnings)
    for shots in config.data.shots:
        cells = {(record.task, record.lang) for record in data.pool}
        taken = data.target(shots, config.seeds[0])
        short = {
            f"{lang} ({task})" for task, lang in cells
            if sum((record.task, record.lang) == (task, lang) for record in taken) < shots
        }  # fmt: skip
        if short:
            found.append(f"Fewer than {shots} labelled training records in {', '.join(sorted(short))}.")
    if len(config.seeds) < 3:
        found.append(
            f"{len(config.seeds)} training seed{'s say' if len(config.seeds) > 1 else ' says'} little about how much "
            "figures vary from one training to the next. Use five to compare methods (seeds: [0, 1, 2, 3, 4])."
        )
    for one in config.data.sets:
        for lang, split in one.test_in.items():
            found.append(f"{one.layout}: the test records of '{lang}' are its {split} split.")
    return found
