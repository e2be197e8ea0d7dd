"""A cross-lingual run from beginning to end: `limbeck distill` with ``task.kind: instructions``.

    records -> for each seed: English model (the teacher) -> its scores of the paired records -> for each
    system and each budget of target-language labels: its stages, its scores of the test records
    -> figures per language -> report and student folder

Every stage and every table of scores is kept in the run folder and found there again, so a run that was
killed at any moment goes on with the same command.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from limbeck.data.candidates import EncodedRecords
from limbeck.errors import ConfigError
from limbeck.evaluation.predict import softmax
from limbeck.language_results import LanguageResults
from limbeck.recipes.english_model import english_model
from limbeck.recipes.recipe import Recipe
from limbeck.runs.folder import RUN_FILE, hold, record_run
from limbeck.runs.language_bench import ENGLISH_MODEL, Bench, rows_of, scoring
from limbeck.runs.language_config import LanguageRunConfig
from limbeck.runs.language_data import LanguageData, Pairs, pair_for, read_language_data
from limbeck.runs.language_outcome import LanguageOutcome, finished_results, write_language_outcome
from limbeck.runs.whole_run import WholeRun
from limbeck.sequences.fixed import FixedSequences
from limbeck.sequences.given import Paired
from limbeck.sequences.mixed import MixedSequences
from limbeck.stages.stage import Stage, Training
from limbeck.students.scorer import Scorer
from limbeck.tasks.task import Part
from limbeck.teachers.stored import StoredTeacher
from limbeck.types import Instruction, Progress, Sequences, Teacher

__all__ = ["ENGLISH_MODEL", "Bench", "budgets_of", "comparable", "run_languages"]


def run_languages(config: LanguageRunConfig, *, progress: Progress, command: str = "") -> LanguageResults:
    """Carry out a checked cross-lingual run.

    Raises:
        LimbeckError: something the caller can put right; the message says what.
    """
    folder = Path(config.output)
    with hold(folder):
        data = read_language_data(config)
        pairs = {recipe.key: _pairs(data, recipe.build()) for recipe in config.recipes()}
        record_run(folder, config, comparable(folder, data.fingerprints), progress)
        if (finished := finished_results(folder, progress)) is not None:
            return finished
        bench = Bench(config, folder, data, progress)
        bench.check_lengths()
        bench.progress = WholeRun(progress, _parts(bench, pairs))
        for seed in config.seeds:
            start = _English(bench, seed)
            for recipe in config.recipes():
                _train_system(bench, recipe.key, recipe.build(), pairs[recipe.key], start)
        return write_language_outcome(
            LanguageOutcome(
                config=config,
                folder=folder,
                data=data,
                scores=bench.scores,
                kept=bench.kept,
                costs=list(bench.costs.values()),
                stages_of=bench.stages_of,
                scorer=bench.kind,
                student=bench.exported_student,
                student_scorer=bench.kind_of(config.recipe.build()),
                student_prompts=bench.choice(config.recipe.build()),
                soft=bench.soft_layout(config.recipe.build()),
                max_length=bench.max_length,
                tokenizer=bench.tokenizer,
                command=command or f"limbeck distill {folder / 'run.yaml'}",
            ),
            progress,
        )


def _parts(bench: Bench, pairs: Mapping[str, Pairs | None]) -> list[Part]:
    """Return what the run does under a bar, in order; stages that budgets share are trained once."""
    config, tests = bench.config, len(bench.data.test)
    parts: list[Part] = []
    size = 1  # all systems have one encoder
    for seed in config.seeds:
        training = config.training.english
        steps, rows = training.total_steps(len(bench.data.english)), training.batch_size
        parts.append(Part.training(bench.title(ENGLISH_MODEL, seed), steps, rows=rows, parameters=size))
        parts.append(Part.reading(scoring(f"{ENGLISH_MODEL}-n0-seed{seed}"), tests, parameters=size))
        for recipe in config.recipes():
            name, system = recipe.key, recipe.build()
            done: set[str] = set()
            for n_target in budgets_of(system, config.data.n_target):
                records = bench.data.target(n_target, seed)
                all_steps = bench.steps(len(records), _paired_rows(bench))
                for stage, where in _stages(name, system, n_target, records):
                    if where in done:
                        continue
                    done.add(where)
                    paired = pairs[name] if isinstance(stage.source, Paired) else None
                    if paired is not None:
                        title = scoring(f"teacher-{name}-seed{seed}")
                        parts.append(Part.reading(title, len(paired.teachers), parameters=size))
                    steps = bench.stage_steps(system, stage, all_steps)
                    rows = _base(bench, stage).batch_size
                    title = bench.title(where, seed)
                    parts.append(Part.training(title, steps, rows=rows, parameters=size))
                parts.append(Part.reading(scoring(f"{name}-n{n_target}-seed{seed}"), tests, parameters=size))
    return parts


def comparable(folder: Path, fingerprints: dict[str, str]) -> dict[str, str]:
    """Leave out the fingerprint of the prompts where the folder's run was begun before runs had one."""
    path = folder / RUN_FILE
    kept = path.read_text(encoding="utf-8", errors="replace").partition("data_sha256:")[2] if path.exists() else None
    if kept is None or "  prompts: " in kept:
        return fingerprints
    return {name: sha for name, sha in fingerprints.items() if name != "prompts"}


def _pairs(data: LanguageData, system: Recipe) -> Pairs | None:
    paired = system.part(Paired)
    return pair_for(data, paired.pairing) if paired is not None else None


class _English:
    """One seed's English model: the teacher, and where most systems start."""

    def __init__(self, bench: Bench, seed: int) -> None:
        self.seed = seed
        system = english_model()
        (stage,) = system.stages
        self.scorer = bench.new_scorer(system, seed)
        encoded = bench.encoder(system).encode(bench.data.english)
        training = bench.config.training.english
        rows = np.arange(len(encoded.records))
        steps = training.total_steps(len(rows))
        bench.train(
            stage,
            name=ENGLISH_MODEL,
            seed=seed,
            n_target=0,
            where=ENGLISH_MODEL,
            scorer=self.scorer,
            encoded=encoded,
            training=training,
            sequences=FixedSequences(rows, encoded.lengths, training.batch_size, steps, seed),
        )
        bench.test(ENGLISH_MODEL, system, 0, seed, self.scorer)
        self.weights = {name: tensor.detach().cpu().clone() for name, tensor in self.scorer.state_dict().items()}

    def copy_into(self, scorer: Scorer) -> None:
        """Give `scorer` these weights; a critic, which the English model has not, stays as it was begun."""
        lost = scorer.load_state_dict(self.weights, strict=False)
        assert not lost.unexpected_keys
        assert {name.split(".")[0] for name in lost.missing_keys} <= {"critic"}


def _train_system(bench: Bench, name: str, system: Recipe, pairs: Pairs | None, start: _English) -> None:
    """Train one system of one seed at every budget of target labels; stages without such labels are shared."""
    seed = start.seed
    if system.starts_from == "teacher" and (bench.kind_of(system), system.options.prompts) != (bench.kind, "run"):
        raise ConfigError(f"recipe '{name}' starts from the English model, so it must have its scorer and prompts")
    for n_target in budgets_of(system, bench.config.data.n_target):
        scorer = bench.new_scorer(system, seed)
        if system.starts_from == "teacher":
            start.copy_into(scorer)
        records = bench.data.target(n_target, seed)
        steps = bench.steps(len(records), _paired_rows(bench))
        for stage, where in _stages(name, system, n_target, records):
            _train_stage(bench, name, system, stage, scorer, n_target=n_target, where=where, start=start,
                         pairs=pairs, records=records, steps=steps)  # fmt: skip
        bench.test(name, system, n_target, seed, scorer)


def _stages(name: str, system: Recipe, n_target: int, records: list[Instruction]) -> Iterator[tuple[Stage, str]]:
    """Yield a system's stages at a budget of target labels, and the folder of each; some budgets share folders."""
    for number, stage in enumerate(system.stages):
        if rows_of(stage) == "target" and not records:
            continue
        so_far = {rows_of(earlier) for earlier in system.stages[: number + 1]}
        yield stage, f"{name}-{stage.name}" + (f"-n{n_target}" if {"target", "source+target"} & so_far else "")


def _base(bench: Bench, stage: Stage) -> Training:
    training = bench.config.training
    return {"paired": training.distillation, "target": training.target}.get(rows_of(stage), training.english)


def budgets_of(system: Recipe, budgets: list[int]) -> list[int]:
    """Budgets that a system is trained at. Distillation alone (0) costs nothing more; transfer alone is nothing."""
    kinds = {rows_of(stage) for stage in system.stages}
    if "paired" in kinds:
        return sorted({0, *budgets})
    return [n for n in budgets if n > 0] if kinds == {"target"} else budgets


def _paired_rows(bench: Bench) -> int:
    """Rows that an epoch of distillation has, gate or no gate: what the budget of steps is counted from."""
    return len(bench.data.pool)


def _train_stage(
    bench: Bench,
    name: str,
    system: Recipe,
    stage: Stage,
    scorer: Scorer,
    *,
    n_target: int,
    where: str,
    start: _English,
    pairs: Pairs | None,
    records: list[Instruction],
    steps: dict[str, int],
) -> None:
    seed, base = start.seed, _base(bench, stage)
    encoder = bench.encoder(system)
    teacher: Teacher | None = None
    if isinstance(stage.source, Paired):
        assert pairs is not None
        count = steps["paired"]
        encoded = encoder.encode(pairs.students)
        table = _teacher_scores(bench, name, system, pairs, start)
        teacher = StoredTeacher({"logits": table}, 0.0)
        kept = _kept_by_gate(bench, name, stage.source.gate, pairs, table, seed)
        sequences = _paired_sequences(kept, pairs, encoded, base.batch_size, count, seed)
    else:
        chosen = {"source": bench.data.english, "target": records, "source+target": [*bench.data.english, *records]}
        count = bench.stage_steps(system, stage, steps)
        encoded = encoder.encode(chosen[rows_of(stage)], with_state=system.options.critic)
        rows = np.arange(len(encoded.records))
        sequences = FixedSequences(rows, encoded.lengths, base.batch_size, count, seed)
    settings = Training.model_validate(base.model_dump() | dict(stage.settings))
    bench.train(stage, name=name, seed=seed, n_target=n_target, where=where, scorer=scorer, encoded=encoded,
                training=settings, sequences=sequences, teacher=teacher)  # fmt: skip


def _teacher_scores(bench: Bench, name: str, system: Recipe, pairs: Pairs, start: _English) -> NDArray[np.float32]:
    """The English model's scores for every paired row ``[N, K]``; each record the teacher reads is scored once."""
    encoded = bench.encoder(system).encode(pairs.teachers)
    table = bench.score(f"teacher-{name}-seed{start.seed}", start.scorer, encoded)
    return table[pairs.teacher_of]


def _kept_by_gate(
    bench: Bench, name: str, gate: float, pairs: Pairs, table: NDArray[np.float32], seed: int
) -> NDArray[np.bool_]:
    """Which paired rows the teacher is sure enough of.

    Raises:
        ConfigError: none, or fewer than a batch.
    """
    kept: NDArray[np.bool_] = softmax(table).max(axis=-1) >= gate
    if not kept.any() or any(not block.any() for block in np.split(kept, pairs.blocks)):
        raise ConfigError(
            f"recipe.gate {gate:g}: the English model is less sure than this of every paired record. "
            "Lower the gate, or train the English model longer (training.english)"
        )
    if name == bench.config.recipe.key:
        languages = np.asarray([record.lang for record in pairs.students])
        bench.kept[seed] = {lang: float(kept[languages == lang].mean()) for lang in dict.fromkeys(languages.tolist())}
    return kept


def _paired_sequences(
    kept: NDArray[np.bool_], pairs: Pairs, encoded: EncodedRecords, batch_size: int, steps: int, seed: int
) -> Sequences:
    rows, lengths = np.flatnonzero(kept), encoded.lengths
    if pairs.blocks == 1:
        return FixedSequences(rows, lengths, batch_size, steps, seed)
    half = len(kept) // 2
    first = FixedSequences(rows[rows < half], lengths, batch_size, steps, seed)
    return MixedSequences(first, replace(first, rows=rows[rows >= half]), seed)
