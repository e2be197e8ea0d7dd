"""The parts that the systems of a cross-lingual run share: tokenizer, encoders, scorers and score tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from limbeck.data.candidates import CandidateEncoder, EncodedRecords, ScorerKind
from limbeck.data.encode import token_limit
from limbeck.data.prompts.choice import PromptChoice
from limbeck.evaluation.predict import predict_scores
from limbeck.models.load import load_tokenizer, load_weights, new_encoder
from limbeck.models.step_memory import without_memory
from limbeck.ranks import device
from limbeck.recipes.recipe import Recipe
from limbeck.recipes.source_model import source_model
from limbeck.sequences.given import GivenRows, Paired
from limbeck.stages.stage import Stage
from limbeck.students.scorer import Scorer, make_scorer
from limbeck.tasks.kept import kept_array
from limbeck.tasks.ranking.config import LanguageRunConfig
from limbeck.tasks.ranking.rows import LanguageData, hard_prompts, prompt_texts
from limbeck.types import Batch, Progress, SoftLayout

__all__ = ["SOURCE_MODEL", "Context", "batch_maker", "rows_of", "scoring"]

SOURCE_MODEL = "source_model"
_CROSS_ENCODER_CANDIDATES = 64
"""More candidates than this are too many to read one by one."""
_SCORE_ROWS = 32


@dataclass
class Context:
    """The parts that the systems of one run share."""

    config: LanguageRunConfig
    folder: Path
    data: LanguageData
    progress: Progress
    scores: dict[tuple[str, int, int], NDArray[np.float32]] = field(default_factory=dict)
    """Scores of the test records by system, budget of target labels and seed."""
    kept: dict[int, dict[str, float]] = field(default_factory=dict)
    """Share of the main system's paired records that passed the gate, by seed and language."""

    def __post_init__(self) -> None:
        backbone = self.config.backbone
        options = {"trust_remote_code": backbone.trust_remote_code}
        self.tokenizer = load_tokenizer(backbone.model, **options)
        with without_memory():
            shell = new_encoder(backbone.model, **options)
        self.max_length = min(backbone.max_length, token_limit(self.tokenizer, shell))
        most = max(len(record.candidates) for record in (*self.data.english, *self.data.pool, *self.data.test))
        automatic: ScorerKind = "cross_encoder" if most <= _CROSS_ENCODER_CANDIDATES else "dual_encoder"
        self.kind: ScorerKind = automatic if backbone.scorer == "auto" else backbone.scorer
        self._encoders: dict[tuple[ScorerKind, str], CandidateEncoder] = {}
        self._tests: dict[tuple[ScorerKind, str], EncodedRecords] = {}

    def choice(self, system: Recipe) -> PromptChoice:
        """The prompts of a system."""
        own = {"hard": {"levels": "T+L", "form": "hard"}, "task_name": {"levels": "none"}, "run": {}}
        return self.config.prompts.model_copy(update=own[system.options.prompts])

    def soft_layout(self, system: Recipe) -> SoftLayout | None:
        """The soft prompt table of a system."""
        choice = self.choice(system)
        if not (choice.soft_task or choice.soft_language):
            return None
        return SoftLayout(
            tasks=tuple(self.data.tasks),
            languages=(self.config.task.source_language, *self.config.task.languages),
            task_vectors=choice.task_vectors if choice.soft_task else 0,
            language_vectors=choice.language_vectors if choice.soft_language else 0,
        )

    def kind_of(self, system: Recipe) -> ScorerKind:
        """The kind of scorer of a system."""
        return self.kind if system.options.scorer == "run" else system.options.scorer

    def encoder(self, system: Recipe) -> CandidateEncoder:
        """Return the encoder of a system's records; systems with the same inputs share one."""
        key = (self.kind_of(system), system.options.prompts)
        if key not in self._encoders:
            self._encoders[key] = CandidateEncoder(
                self.tokenizer,
                key[0],
                hard_prompts=prompt_texts(self.choice(system), system.options.prompts),
                soft=self.soft_layout(system),
                max_length=self.max_length,
            )
        return self._encoders[key]

    def recipes(self) -> list[tuple[str, Recipe]]:
        """The English model and all others."""
        return [(SOURCE_MODEL, source_model()), *((r.key, r.build()) for r in self.config.recipes())]

    def check_lengths(self) -> None:
        """Refuse prompts that leave no tokens for the input, for every system, before any training."""
        for _, system in self.recipes():
            for records in (self.data.english, self.data.pool, self.data.test, self.data.dev):
                self.encoder(system).encode(records)

    def new_scorer(self, system: Recipe, seed: int) -> Scorer:
        """Return a system's scorer around the pretrained backbone; soft prompts start from the hard texts."""
        import torch

        torch.manual_seed(seed)
        backbone = self.config.backbone
        layout = self.soft_layout(system)
        scorer = make_scorer(
            self.kind_of(system), backbone.model, layout, trust_remote_code=backbone.trust_remote_code
        )
        if layout is not None:
            scorer.initialise_soft_prompts(self._soft_beginnings(layout))
        if system.options.critic:
            scorer.add_critic()
        return scorer

    def _soft_beginnings(self, layout: SoftLayout) -> dict[range, list[int]]:
        texts = hard_prompts(self.config.prompts.model_copy(update={"levels": "T+L", "form": "hard"}))
        found: dict[range, list[int]] = {}
        for record in (*self.data.english, *self.data.pool, *self.data.test):
            for indices, text in zip(
                (layout.task_rows(record.task), layout.language_rows(record.lang)), texts(record), strict=True
            ):
                if indices not in found:
                    found[indices] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return found

    def score(
        self, name: str, scorer: Scorer, encoded: EncodedRecords, *, margin: bool = False
    ) -> NDArray[np.float32]:
        """Score records, or read the scores that this run kept before (`margin`: see `predict_scores`)."""
        return kept_array(
            self.folder,
            f"predictions/{name}.npy",
            lambda: self.scores_of(name, scorer, encoded, margin=margin),
            self.progress,
        )

    def scores_of(
        self, name: str, scorer: Scorer, encoded: EncodedRecords, *, margin: bool = False
    ) -> NDArray[np.float32]:
        """Score records, with a bar."""
        scorer.to(device())
        with self.progress.track(scoring(name), len(encoded.records)) as update:
            return predict_scores(scorer, encoded, batch_size=_SCORE_ROWS, margin=margin, update=update)

    def tests(self, system: Recipe) -> EncodedRecords:
        """Return the encoded test records of a system; systems with the same inputs share them."""
        key = (self.kind_of(system), system.options.prompts)
        if key not in self._tests:
            self._tests[key] = self.encoder(system).encode(self.data.test)
        return self._tests[key]

    def steps(self, target_records: int, pairs: int) -> dict[str, int]:
        """Optimiser steps of each kind of rows."""
        training = self.config.training
        english = training.source.total_steps(len(self.data.english))
        distillation = training.distillation.total_steps(pairs) if pairs else 0
        target = training.target.total_steps(target_records) if target_records else 0
        return {"source": english, "paired": distillation, "target": target}

    def stage_steps(self, system: Recipe, stage: Stage, steps: dict[str, int]) -> int:
        """Return the optimiser steps of one stage, out of the run's `steps` for each kind of rows."""
        count = steps["paired"] + steps["target"] + (steps["source"] if system.starts_from == "student" else 0)
        if (rows := rows_of(stage)) != "source+target":
            count = steps[rows]
        return max(1, round(stage.share * count))

    def exported_student(self, weights: Path) -> Scorer:
        """Return the main system with the weights of the first seed's last stage."""
        scorer = self.new_scorer(self.config.recipe.build(), self.config.seeds[0])
        load_weights(scorer, weights)
        return scorer


def rows_of(stage: Stage) -> str:
    """Return the records a stage trains on: ``paired``, ``source``, ``target``, or labelled records of both."""
    if isinstance(stage.source, Paired):
        return "paired"
    assert isinstance(stage.source, GivenRows)
    return "source+target" if stage.source.which == "labelled" else stage.source.which


def scoring(name: str) -> str:
    """Return the progress bar's title while records are scored."""
    return f"scoring: {name}"


def batch_maker(encoded: EncodedRecords) -> Callable[[NDArray[np.int64]], Batch]:
    """Return the function that builds the batch of given records."""
    import torch

    labels, width = torch.from_numpy(encoded.label_ids), encoded.candidates

    def make_batch(row_numbers: NDArray[np.int64]) -> Batch:
        picked = torch.from_numpy(np.asarray(row_numbers))
        return {
            "student": encoded.batch(row_numbers, width),
            "labels_B": labels[picked],
            "gold_BK": encoded.gold(row_numbers, width),
            "candidates_BK": encoded.present(row_numbers, width),
            "rows_B": picked,
        }

    return make_batch
