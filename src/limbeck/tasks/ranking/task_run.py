"""Cross-lingual ranking behind the protocols of `limbeck.tasks.task`: its systems at each budget of target labels.

Each seed starts with its English model, the teacher, followed by every system of the run file at each of its budgets.
Stages that read no target labels are the same at all budgets and are trained once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import takewhile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from limbeck.data.candidates import EncodedRecords
from limbeck.errors import ConfigError
from limbeck.evaluation.cross_lingual import Ranked, measure_languages
from limbeck.evaluation.measured import Measured
from limbeck.evaluation.predict import softmax
from limbeck.losses.readout import CandidateReadout
from limbeck.models.layers import shapes
from limbeck.ranks import device
from limbeck.recipes.recipe import Recipe
from limbeck.results import StageCost
from limbeck.results.record import Results
from limbeck.sequences.fixed import FixedSequences
from limbeck.sequences.given import Paired
from limbeck.sequences.mixed import MixedSequences
from limbeck.stages.pipeline import StageRun
from limbeck.stages.stage import Training
from limbeck.students.scorer import Scorer
from limbeck.tasks.ranking.context import SOURCE_MODEL, Context, batch_maker, rows_of, scoring
from limbeck.tasks.ranking.measure import (
    LanguageOutcome,
    compare_languages,
    example_scores_of,
    test_set_of,
    write_scorer,
)
from limbeck.tasks.ranking.rows import LanguageData, Pairs, pair_for
from limbeck.tasks.record import described, last_stage
from limbeck.tasks.task import Part, PlannedStage, Role, System
from limbeck.teachers.stored import StoredTeacher
from limbeck.types import Instruction, Progress, Sequences

__all__ = ["RankingRun", "budgets_of", "pairs_of"]


def pairs_of(data: LanguageData, recipe: Recipe) -> Pairs | None:
    """Return the pairs that a system's student and teacher read; ``None`` if no stage uses pairs."""
    paired = recipe.part(Paired)
    return None if paired is None else pair_for(data, paired.pairing)


def budgets_of(recipe: Recipe, budgets: list[int]) -> list[int]:
    """Return a system's label budgets: with 0 if it distils, without 0 if it trains on target labels only."""
    kinds = {rows_of(stage) for stage in recipe.stages}
    if "paired" in kinds:
        return sorted({0, *budgets})
    return [n for n in budgets if n > 0] if kinds == {"target"} else budgets


class RankingRun:
    """A cross-lingual run; see `limbeck.tasks.task.TaskRun`."""

    def __init__(self, context: Context, pairs: dict[str, Pairs | None]) -> None:
        self.context = context
        self.config = context.config
        self.recipes = dict(context.recipes())
        self.pairs = pairs
        self.costs: dict[str, StageCost] = {}
        self._english: Scorer | None = None
        """The teacher of the seed that is trained."""
        self._stages_of: dict[tuple[str, int], list[str]] = {}
        """Folders of the stages of each system at each budget, of all seeds."""

    @property
    def progress(self) -> Progress:
        """The progress display."""
        return self.context.progress

    @progress.setter
    def progress(self, progress: Progress) -> None:
        self.context.progress = progress

    def systems(self, seed: int) -> list[System]:
        """Return the English model, and every system of the run file at each of its budgets."""
        found = []
        for name, recipe in self.recipes.items():
            role: Role = "baseline"
            if name in (SOURCE_MODEL, self.config.recipe.key):
                role = "teacher" if name == SOURCE_MODEL else "main"
            for budget in [0] if role == "teacher" else budgets_of(recipe, self.config.data.shots):
                found.append(System(name, role, tuple(self._stages(name, recipe, budget, seed)), budget))
        return found

    def _stages(self, name: str, recipe: Recipe, budget: int, seed: int) -> Iterator[PlannedStage]:
        records = len(self._target(budget, seed))
        steps = self.context.steps(records, len(self.context.data.pool))
        of_rows = {"paired": self.config.training.distillation, "target": self.config.training.target}
        so_far: set[str] = set()
        for stage in recipe.stages:
            rows = rows_of(stage)
            if rows == "target" and not records:
                continue
            so_far.add(rows)
            where = name if name == SOURCE_MODEL else f"{name}-{stage.name}"
            where += f"-n{budget}" if {"target", "source+target"} & so_far else ""
            base = of_rows.get(rows, self.config.training.source)
            yield PlannedStage(
                stage,
                steps=self.context.stage_steps(recipe, stage, steps),
                folder=f"seed{seed}/{where}",
                training=Training.model_validate(base.model_dump() | dict(stage.settings)),
                title=f"{where}, seed {seed}",
            )

    def _target(self, budget: int, seed: int) -> list[Instruction]:
        return self.context.data.target(budget, seed)

    def parts(self, system: System, seed: int) -> list[Part]:
        """Return a part for each stage, for the teacher's pass before it, and for the test records."""
        parts, size = [], 1  # all systems have one encoder
        for planned in self._new_stages(system, seed):
            if (pairs := self.pairs.get(system.name)) is not None and rows_of(planned.stage) == "paired":
                title = scoring(f"teacher-{system.name}-seed{seed}")
                parts.append(Part.reading(title, len(pairs.teachers), parameters=size))
            rows = planned.training.batch_size
            parts.append(Part.training(planned.title, planned.steps, rows=rows, parameters=size))
        title = scoring(self._shown(system, seed))
        return [*parts, Part.reading(title, len(self.context.data.test), parameters=size)]

    def _new_stages(self, system: System, seed: int) -> list[PlannedStage]:
        """Return the stages of a system that no smaller budget has trained."""
        key = (system.name, system.budget)
        earlier = takewhile(lambda one: (one.name, one.budget) != key, self.systems(seed))
        trained = tuple(planned.folder for one in earlier for planned in one.stages)
        return [planned for planned in system.stages if not planned.folder.startswith(trained)]

    def _answers(self, system: System, seed: int) -> str:
        return f"{system.name}-n{system.budget}-seed{seed}"

    def _shown(self, system: System, seed: int) -> str:
        return ", ".join(filter(None, [self._answers(system, seed), system.trial]))

    def model(self, system: System, seed: int) -> Scorer:
        """Return a scorer with the pretrained backbone, or with the weights of this seed's English model."""
        recipe = self.recipes[system.name]
        scorer = self.context.new_scorer(recipe, seed)
        if recipe.starts_from == "teacher":
            assert self._english is not None
            lost = scorer.load_state_dict(self._english.state_dict(), strict=False)
            assert not lost.unexpected_keys
            # The English model has no critic; a new one stays as it was begun.
            assert {name.split(".")[0] for name in lost.missing_keys} <= {"critic"}
        return scorer.to(device())

    def stage(self, system: System, planned: PlannedStage, seed: int, model: Scorer) -> StageRun:
        """Return the records of a stage in order, paired records with the English model's scores."""
        encoded, sequences, teacher = self._rows(system, planned, seed)
        return StageRun(
            folder=self.context.folder / "stages" / planned.folder,
            log=self.context.folder / "log.jsonl",
            system=system.name,
            seed=seed,
            training=planned.training,
            sequences=sequences,
            make_batch=batch_maker(encoded),
            progress=self.progress,
            title=planned.title,
            readout=CandidateReadout(),
            tokenizer=self.context.tokenizer,
            shapes=shapes(model, model),
            teacher=teacher,
            stage=planned.folder.partition("/")[2].removeprefix(f"{system.name}-"),
        )

    def _rows(
        self, system: System, planned: PlannedStage, seed: int
    ) -> tuple[EncodedRecords, Sequences, StoredTeacher | None]:
        recipe, source = self.recipes[system.name], planned.stage.source
        encoder, batch_size = self.context.encoder(recipe), planned.training.batch_size
        if isinstance(source, Paired):
            pairs = self.pairs[system.name]
            assert pairs is not None
            encoded = encoder.encode(pairs.students)
            table = self._teacher_scores(system.name, recipe, pairs, seed)
            kept = self._kept_by_gate(system, source.confidence_threshold, pairs, table, seed)
            sequences = _paired_sequences(kept, pairs, encoded, batch_size, planned.steps, seed)
            return encoded, sequences, StoredTeacher({"logits": table}, 0.0)
        data, records = self.context.data, self._target(system.budget or 0, seed)
        chosen = {"source": data.english, "target": records, "source+target": [*data.english, *records]}
        encoded = encoder.encode(chosen[rows_of(planned.stage)], with_state=recipe.options.critic)
        rows = np.arange(len(encoded.records))
        return encoded, FixedSequences(rows, encoded.lengths, batch_size, planned.steps, seed), None

    def _teacher_scores(self, name: str, recipe: Recipe, pairs: Pairs, seed: int) -> NDArray[np.float32]:
        """The English model's scores for every paired row ``[N, K]``; each record that it reads is scored once."""
        assert self._english is not None
        encoded = self.context.encoder(recipe).encode(pairs.teachers)
        return self.context.score(f"teacher-{name}-seed{seed}", self._english, encoded)[pairs.teacher_of]

    def _kept_by_gate(
        self, system: System, threshold: float, pairs: Pairs, table: NDArray[np.float32], seed: int
    ) -> NDArray[np.bool_]:
        """Return which paired rows reach the teacher's confidence threshold. Raises `ConfigError` for none."""
        kept: NDArray[np.bool_] = softmax(table).max(axis=-1) >= threshold
        if not kept.any() or any(not block.any() for block in np.split(kept, pairs.blocks)):
            raise ConfigError(
                f"recipe.confidence_threshold {threshold:g}: the English model is less sure than this of every paired "
                "record. Lower the threshold, or train the English model longer (training.source)"
            )
        if system.role == "main":
            languages = np.asarray([record.lang for record in pairs.students])
            shares = {lang: float(kept[languages == lang].mean()) for lang in dict.fromkeys(languages.tolist())}
            self.context.kept[seed] = shares
        return kept

    def measure(self, system: System, seed: int, model: Scorer) -> None:
        """Score the test records; the English model is kept for the systems that learn from it."""
        recipe, budget = self.recipes[system.name], system.budget or 0
        tests = self.context.tests(recipe)
        self.context.scores[system.name, budget, seed] = self.context.score(
            self._answers(system, seed), model, tests, margin=True
        )
        self._stages_of.setdefault((system.name, budget), []).extend(planned.folder for planned in system.stages)
        if system.role == "teacher":
            self._english = model

    def score(self, system: System, seed: int, model: Scorer) -> Measured:
        """Score the development records."""
        context, records = self.context, self.context.data.dev
        encoded = context.encoder(self.recipes[system.name]).encode(records)
        scores = context.scores_of(self._shown(system, seed), model, encoded, margin=True)
        ranked = Ranked(described(system), system.budget or 0, {seed: example_scores_of(records, scores)})
        return measure_languages(test_set_of(self.config, records), [ranked])

    def export(self, part: Path) -> None:
        """Write the main system at its largest budget of target labels, of the first seed."""
        self._english = None
        write_scorer(self._outcome(""), part)

    def compare(self, command: str) -> Results:
        """Return all figures."""
        self.progress.log("comparing systems in each language")
        return compare_languages(self._outcome(command))

    def _outcome(self, command: str) -> LanguageOutcome:
        context, recipe = self.context, self.config.recipe.build()
        stages_of = {key: [self.costs[folder] for folder in folders] for key, folders in self._stages_of.items()}
        weights = last_stage(context.folder, self.costs, self.config.seeds[0], self.config.recipe.key)
        return LanguageOutcome(
            config=self.config,
            folder=context.folder,
            data=context.data,
            scores=context.scores,
            kept=context.kept,
            costs=list(self.costs.values()),
            stages_of=stages_of,
            scorer=context.kind,
            student=lambda: context.exported_student(weights),
            student_scorer=context.kind_of(recipe),
            student_prompts=context.choice(recipe),
            soft=context.soft_layout(recipe),
            max_length=context.max_length,
            tokenizer=context.tokenizer,
            command=command,
        )


def _paired_sequences(
    kept: NDArray[np.bool_], pairs: Pairs, encoded: EncodedRecords, batch_size: int, steps: int, seed: int
) -> Sequences:
    rows, lengths = np.flatnonzero(kept), encoded.lengths
    if pairs.blocks == 1:
        return FixedSequences(rows, lengths, batch_size, steps, seed)
    half = len(kept) // 2
    first = FixedSequences(rows[rows < half], lengths, batch_size, steps, seed)
    return MixedSequences(first, replace(first, rows=rows[rows >= half]), seed)
