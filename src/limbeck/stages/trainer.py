"""One training loop: a thin `transformers.Trainer` with five overrides.

Checkpoints, resume, precision, accumulation, DDP and experiment trackers come from the base class. Its ways of
splitting the model itself (FSDP, DeepSpeed, tensor and context parallelism) are refused: terms, checkpoints and
saved students are about whole models. We add:

1. `get_train_dataloader` serves the micro-batches of a fixed plan, this rank's share of them;
2. `get_batch_samples` sees all micro-batches of one optimiser step, generates on-policy samples for stages that
   need them, counts the rows or tokens of each term, and lets an outer loop act;
3. `compute_loss` asks the teacher for the signal and the objective for this micro-batch's share of the
   loss, already divided by the step's count (`losses/reduction.py`);
4. `log` adds the terms to the loss;
5. `create_optimizer` gives soft prompts their own parameter group.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader
from transformers import Trainer, TrainerCallback, TrainingArguments

from limbeck.errors import ConfigError, NonFiniteLoss
from limbeck.losses.objective import Objective
from limbeck.ranks import require_data_parallel
from limbeck.stages.outer_loop import OuterLoop
from limbeck.types import Batch, Sequences, Teacher, Writer

__all__ = ["DistillTrainer"]


class DistillTrainer(Trainer):  # type: ignore[misc]
    """A trainer of an `Objective` on fixed sequences with a teacher's signals.

    Args:
        objective: the student and its terms.
        sequences: the rows of every optimiser step.
        make_batch: builds a micro-batch from row numbers.
        teacher: gives signals; ``None`` if no term needs one.
        args: the base class's settings; ``max_steps`` must be ``sequences.steps``.
        callbacks: called by the base class.
        prompt_learning_rate: learning rate of soft prompts, if any; ``None``: that of all parameters.
        momentum: momentum of plain gradient descent; the base class has none.
        writer: generates texts for each optimiser step; ``None``: rows are trained on as they are.
        outer: acts before each optimiser step, if the stage has an outer loop.

    Raises:
        ConfigError: `args` or the launcher asks for FSDP, DeepSpeed or the like.
    """

    def __init__(
        self,
        *,
        objective: Objective,
        sequences: Sequences,
        make_batch: Callable[[NDArray[np.int64]], Batch],
        teacher: Teacher | None,
        args: TrainingArguments,
        callbacks: list[TrainerCallback],
        prompt_learning_rate: float | None = None,
        momentum: float | None = None,
        writer: Writer | None = None,
        outer: OuterLoop | None = None,
    ) -> None:
        require_data_parallel()
        if args.fsdp or args.deepspeed or args.parallelism_config is not None:
            raise ConfigError("training arguments with fsdp, deepspeed or a parallelism_config: limbeck uses DDP")
        super().__init__(model=objective, args=args, callbacks=callbacks)
        # Each micro-batch is already divided by the count of the whole step: do not divide again.
        self.loss_is_scaled_for_ga = True
        self._objective = objective
        self._sequences = sequences
        self._make_batch = make_batch
        self._teacher = teacher
        self._prompt_learning_rate = prompt_learning_rate
        self._momentum = momentum
        self._writer = writer
        self._outer = outer
        self._step_sums: dict[str, Tensor] = {}
        """Sum of each term over the micro-batches of this optimiser step."""
        self._part_sums: dict[str, Tensor] = {}
        """The same, over the steps since the last logged one."""
        self.rows_seen = 0
        self.tokens_seen = 0
        self.positions_seen = 0
        """Tokens and padding."""

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Return the plan's micro-batches of this rank. Not passed to accelerate: they are already split."""
        ranks = self.args.world_size
        per_step = self.args.gradient_accumulation_steps * ranks
        plan = _Plan(self._sequences, per_step, rank=self.args.process_index, ranks=ranks)
        row_numbers = range(len(self._sequences.lengths))
        return DataLoader(row_numbers, batch_sampler=plan, collate_fn=self._collate)  # type: ignore[arg-type]

    def _collate(self, rows: list[int]) -> Batch:
        return self._make_batch(np.asarray(rows, dtype=np.int64))

    def get_batch_samples(
        self, epoch_iterator: Iterator[Batch], num_batches: int, device: torch.device
    ) -> tuple[list[Batch], dict[str, Tensor]]:
        """Return one optimiser step's micro-batches, and the rows that count for each term in them on all ranks."""
        batches = [next(epoch_iterator) for _ in range(num_batches)]
        if self._writer is not None:
            batches = self._writer.write(self.state.global_step, batches)
        counts = self._objective.count(batches)
        if self.args.world_size > 1:
            counts = {name: self.accelerator.reduce(n.to(device), "sum") for name, n in counts.items()}
        if self._outer is not None:
            _add(self._step_sums, self._outer.before_step(self.state.global_step, self._objective, batches, counts))
        # Over all ranks: each has as many rows as this one, and nearly as many tokens.
        self.rows_seen += self.args.world_size * sum(len(batch["rows_B"]) for batch in batches)
        masks = [mask for batch in batches for mask in _read(batch)]
        self.tokens_seen += self.args.world_size * sum(int(mask.sum()) for mask in masks)
        self.positions_seen += self.args.world_size * sum(mask.numel() for mask in masks)
        return batches, counts

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: Batch,
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """Return this micro-batch's share of the step's loss.

        Args:
            model: the (wrapped) objective.
            inputs: one micro-batch.
            return_outputs: return the terms as well.
            num_items_in_batch: the counts of `get_batch_samples`.
        """
        if self._objective.needs.teacher:
            assert self._teacher is not None
            inputs["signal"] = self._teacher.signal(inputs, self._objective.needs)
        loss, parts = model(inputs, num_items_in_batch)
        _add(self._step_sums, parts)
        # DDP averages gradients over ranks, while the counts are already those of all ranks.
        loss = loss * self.args.world_size
        return (loss, parts) if return_outputs else loss

    def create_optimizer(self, *arguments: Any, **options: Any) -> Any:
        """Give soft prompts, if any, their own learning rate and no weight decay; set momentum."""
        optimizer = super().create_optimizer(*arguments, **options)
        prompts = self._objective.prompt_parameters()
        if prompts and not any(group.get("prompts") for group in optimizer.param_groups):
            own = {id(parameter) for parameter in prompts}
            for group in optimizer.param_groups:
                group["params"] = [parameter for parameter in group["params"] if id(parameter) not in own]
            rate = self._prompt_learning_rate or self.args.learning_rate
            optimizer.add_param_group({"params": prompts, "lr": rate, "weight_decay": 0.0, "prompts": True})
        for group in optimizer.param_groups if self._momentum is not None else []:
            group["momentum"] = self._momentum
        return optimizer

    def require_finite(self) -> None:
        """Raise, in all processes, before the optimiser uses the gradient of a non-finite loss.

        One device sync per step.

        Raises:
            NonFiniteLoss: gives step and term.
        """
        for name, total in self._step_sums.items():
            value = self._of_all_ranks(total)
            if not math.isfinite(value):
                raise NonFiniteLoss(
                    f"the term '{name.removeprefix('term/')}' is {value} at optimiser step "
                    f"{self.state.global_step + 1}. The weights are those before this step, and the last checkpoint "
                    "is kept. Usual causes: too high a learning_rate, unneeded fp16, far too large a term weight."
                )

    def end_step(self) -> None:
        """Keep the step's terms for the log, and notify terms that depend on them."""
        for name, term in self._objective.changing_terms.items():
            mean = self._of_all_ranks(self._step_sums[f"term/{name}"])
            term.step_end(mean, self.state.global_step / self.state.max_steps)
        _add(self._part_sums, self._step_sums)
        self._step_sums = {}

    def term_states(self) -> dict[str, Any]:
        """Return the states of terms that depend on earlier steps, for a checkpoint."""
        return {name: term.state() for name, term in self._objective.changing_terms.items()}

    def restore_terms(self, states: dict[str, Any]) -> None:
        """Continue from the states of a checkpoint."""
        for name, term in self._objective.changing_terms.items():
            term.restore(states[name])

    def _of_all_ranks(self, total: Tensor) -> float:
        return float(self.accelerator.reduce(total, "sum") if self.args.world_size > 1 else total)

    def _clip_grad_norm(self, model: torch.nn.Module) -> Any:
        """Clip, and raise if the gradient is not finite although every term is."""
        norm = super()._clip_grad_norm(model)
        if self.accelerator.scaler is not None:  # fp16: on overflow the scaler skips the step and scales down
            return norm
        if norm is not None and not torch.isfinite(torch.as_tensor(norm)):
            self.require_finite()
            raise NonFiniteLoss(
                f"the gradient is not finite at optimiser step {self.state.global_step + 1}, although the terms are. "
                "The weights are those before this step and the last checkpoint is kept."
            )
        return norm

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the mean of each term over the steps since the last line."""
        steps = self.state.global_step - getattr(self, "_steps_at_last_log", self._initial_global_step)
        if "loss" in logs and steps > 0:
            for name, total in self._part_sums.items():
                logs[name] = self._of_all_ranks(total) / steps
            for name, term in self._objective.changing_terms.items():
                logs |= {f"{what}/{name}": value for what, value in term.logged().items()}
            self._part_sums = {}
            self._steps_at_last_log = self.state.global_step
        super().log(logs, start_time)


def _read(batch: Batch) -> list[Tensor]:
    """Return where a batch's inputs hold tokens; a scorer has several inputs: questions, candidates, a critic's."""
    if "read_BT" in batch:
        return [batch["read_BT"]]
    inputs = [*batch["student"].items(), *batch.get("rationales", {}).items()]
    return [mask for name, mask in inputs if "attention_mask" in name]


def _add(sums: dict[str, Tensor], parts: dict[str, Tensor]) -> None:
    for name, part in parts.items():
        sums[name] = sums.get(name, part.new_zeros(())) + part


class _Plan:
    """The batch sampler of one rank; yields row numbers."""

    def __init__(self, sequences: Sequences, per_step: int, *, rank: int, ranks: int) -> None:
        self._sequences, self._per_step, self._rank, self._ranks = sequences, per_step, rank, ranks
        self.batch_size = sequences.batch_size // per_step
        self.drop_last = False

    def __len__(self) -> int:
        return self._sequences.steps * self._per_step // self._ranks

    def __iter__(self) -> Iterator[list[int]]:
        for rows in self._sequences.micro_batches(self._per_step, rank=self._rank, ranks=self._ranks):
            yield rows.tolist()
