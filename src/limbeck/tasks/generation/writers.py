"""Generation of texts while a stage of a run trains the model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from limbeck.data.generation.collate import collate
from limbeck.data.generation.encoded import EncodedSequences
from limbeck.data.generation.rewritten import take_rows, written_sequences
from limbeck.errors import ConfigError
from limbeck.evaluation.generation.run_models import reference_sums
from limbeck.models.generate import Completion, Decoding
from limbeck.models.language_model import head_of, is_encoder_decoder, token_logits
from limbeck.numerics.chunked import label_log_probs
from limbeck.ranks import rank, ranks, sum_over_ranks
from limbeck.recipes.own_functions import own_function, told
from limbeck.sequences.on_policy import OnPolicy, OnPolicyWriter
from limbeck.sequences.replay import Replay, ReplayWriter
from limbeck.sequences.rollouts import Rollouts, RolloutWriter
from limbeck.stages.stage import Stage
from limbeck.tasks.generation.context import Context
from limbeck.tasks.generation.writing import write
from limbeck.types import UNLABELLED, Batch, CompletionSource, SparseLogits, Writer

__all__ = ["StageTexts"]


@dataclass(frozen=True)
class StageTexts:
    """A stage, its model, and the rows whose prompts are completed while it runs."""

    context: Context
    stage: Stage
    model: Any
    encoded: EncodedSequences
    rows: NDArray[np.int64]
    """Indices of the training rows."""
    validation: NDArray[np.int64]
    """Indices of the rows that a replay monitors; empty in stages without one."""
    batch_size: int
    steps: int
    seed: int

    @property
    def place(self) -> dict[str, int]:
        """Seed and rank, which determine a writer's random numbers together with the step."""
        return {"seed": self.seed, "rank": rank()}

    def writer(self) -> Writer | None:
        """Return the stage's writer; ``None`` if it trains on its rows as they are.

        Raises:
            ConfigError: tokens of teacher and student would be mixed, but the models have encoders.
        """
        choice = self.stage.sampled
        if isinstance(choice, OnPolicy):
            write_rows = partial(self._rewritten, choice)
            return OnPolicyWriter(choice, write_rows, **self.place, ranks=ranks(), add_up=sum_over_ranks)
        complete = partial(write, self.context, self.model, self.encoded)
        if isinstance(choice, Replay):
            return ReplayWriter(
                choice,
                steps=self.steps,
                write=complete,
                make_batch=self._own_batch,
                validate=self._validation_loss,
                **self.place,
                ranks=ranks(),
            )
        if isinstance(choice, Rollouts):
            if is_encoder_decoder(self.model):
                raise ConfigError("minillm mixes teacher and student token by token: for causal models only")
            return RolloutWriter(
                choice,
                rows=self.rows,
                write=partial(complete, teacher_fraction=choice.teacher_fraction),
                make_batch=self._own_batch,
                score=self._score,
                rows_per_step=self.batch_size // ranks(),
                **self.place,
                ranks=ranks(),
                add_up=sum_over_ranks,
            )
        return None

    def _own_batch(self, rows: NDArray[np.int64], completions: list[Completion]) -> Batch:
        """Return a batch of texts that the student generated."""
        encoded = self.encoded
        sequences = written_sequences(encoded, rows.tolist(), [one.ids for one in completions])
        batch = collate(sequences, encoded.pad_id, decoder_start=encoded.decoder_start)
        batch["rows_B"] = torch.from_numpy(np.asarray(rows))
        batch["source_B"] = torch.full((len(rows),), int(CompletionSource.STUDENT))
        return batch

    def _rewritten(self, choice: OnPolicy, rows: NDArray[np.int64], decoding: Decoding, seed: int) -> Batch:
        """Return a batch of the student's completions, with their rewards if the stage has any."""
        completions = write(self.context, self.model, self.encoded, rows, decoding, seed)
        batch = self._own_batch(rows, completions)
        if choice.reward is not None:
            reward = own_function(choice.reward, "recipe.reward")
            decode = partial(self.context.student_tokenizer.decode, skip_special_tokens=True)
            prompts = [decode(self.encoded.prompt_ids(int(row)).tolist()) for row in rows]
            texts = [decode(one.ids) for one in completions]
            try:
                rewards_B = torch.tensor(reward(prompts, texts), dtype=torch.float64)
            except Exception as error:  # the user's own code may raise anything
                raise ConfigError(f"recipe.reward: {choice.reward} raised {told(error)}") from error
            if rewards_B.shape != (len(rows),) or not torch.isfinite(rewards_B).all():
                raise ConfigError(f"recipe.reward: {choice.reward} must return a finite number for each text")
            batch["rewards_B"] = rewards_B
        return batch

    @torch.no_grad()
    def _score(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the log-probabilities that student and teacher give each supervised token, ``[B, T]`` each."""
        self.model.eval()
        supervised_BT = batch["labels_BT"] != UNLABELLED
        found = []
        for one in (self.model, self.context.teacher):
            inputs = {name: tensor.to(one.device) for name, tensor in batch["student"].items()}
            source = token_logits(one, inputs, supervised_BT.to(one.device), head_of(one), self.context.vocabulary)
            assert not isinstance(source, SparseLogits)
            labels_S = batch["labels_BT"][supervised_BT].to(one.device)
            log_probs_BT = torch.zeros(supervised_BT.shape)
            log_probs_BT[supervised_BT] = label_log_probs(source, labels_S).float().cpu()
            found.append(log_probs_BT)
        self.model.train()
        return found[0], found[1]

    def _validation_loss(self) -> float:
        """Return the mean negative log-likelihood of the validation rows' supervised tokens, in nats."""
        rows = take_rows(self.encoded, self.validation)
        sums = reference_sums(self.model, rows, vocabulary=self.context.vocabulary, update=lambda *_: None)
        assert sums.nll_sum_N is not None
        return float(sums.nll_sum_N.sum() / sums.tokens_N.sum())
