"""Arms of TRL: `GKDTrainer`, and the chunked loss of `DistillationTrainer`. To be run with TRL's interpreter."""

from __future__ import annotations

import tempfile
from itertools import count
from typing import Any

import numpy as np
import torch
from clock import Clock, options, trainer_callback
from datasets import Dataset
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast
from trl import DistillationConfig, DistillationTrainer
from trl.experimental.gkd import GKDConfig, GKDTrainer
from work import (
    BATCH,
    CLIP,
    LEARNING_RATE,
    LENGTH,
    NEW_TOKENS,
    POLICY_BATCH,
    PROMPT,
    build_models,
    build_rows,
    rows_of_step,
)

STEPS = 1000


def tokenizer() -> Any:
    """Return a tokenizer that the trainers ask for and no one reads: rows are token ids."""
    words = Tokenizer(WordLevel({"<pad>": 0, "<unk>": 1}, unk_token="<unk>"))
    return PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", unk_token="<unk>")


class Batches:
    """Serves the rows of one step after the other as tensors of ids, whatever rows are asked for."""

    def __init__(self, vocabulary: int, batch: int, length: int) -> None:
        self._rows, self._batch, self._steps = build_rows(vocabulary, batch, length), batch, count()

    def next_ids(self) -> torch.Tensor:
        """Return the next step's token ids, `[B, T]`."""
        rows = rows_of_step(next(self._steps), self._batch)
        return torch.from_numpy(np.stack([self._rows[row] for row in rows])).long()


def settings(folder: str, batch: int) -> dict[str, Any]:
    """Return the settings that every arm has: those of limbeck's trainer."""
    return {
        "output_dir": folder,
        "max_steps": STEPS,
        "per_device_train_batch_size": batch,
        "learning_rate": LEARNING_RATE,
        "lr_scheduler_type": "linear",
        "weight_decay": 0.0,
        "max_grad_norm": CLIP,
        "optim": "adamw_torch_fused",
        "bf16": False,
        "gradient_checkpointing": False,
        "use_cpu": True,
        "logging_strategy": "no",
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
    }


def gkd(clock: Clock, folder: str, vocabulary: int, *, beta: float, tied: bool) -> None:
    """Train on the rows as they are."""
    batches = Batches(vocabulary, BATCH, LENGTH)

    def collate(_: Any) -> dict[str, Any]:
        ids_BT = batches.next_ids()
        labels_BT = ids_BT.clone()
        labels_BT[:, 0] = -100
        return {"input_ids": ids_BT, "attention_mask": torch.ones_like(ids_BT), "labels": labels_BT}

    args = GKDConfig(**settings(folder, BATCH), lmbda=0.0, beta=beta)
    run_gkd(clock, args, vocabulary, collate, tied=tied)


def gkd_on_policy(clock: Clock, folder: str, vocabulary: int, *, tied: bool) -> None:
    """Train on what the student writes in each step."""
    batches = Batches(vocabulary, POLICY_BATCH, PROMPT)

    def collate(_: Any) -> dict[str, Any]:
        ids_BT = batches.next_ids()
        mask_BT = torch.ones_like(ids_BT)
        # Counted before anything is written: of prompts alone every label would be masked.
        labels_BT = ids_BT.new_ones(POLICY_BATCH, NEW_TOKENS + 1).index_fill(1, torch.tensor([0]), -100)
        prompt = {"prompts": ids_BT, "prompt_attention_mask": mask_BT}
        return {"input_ids": ids_BT, "attention_mask": mask_BT, "labels": labels_BT, **prompt}

    args = GKDConfig(**settings(folder, POLICY_BATCH), lmbda=1.0, beta=0.5, temperature=1.0, max_new_tokens=NEW_TOKENS)
    run_gkd(clock, args, vocabulary, collate, tied=tied)


def run_gkd(clock: Clock, args: Any, vocabulary: int, collate: Any, *, tied: bool) -> None:
    """Train with `GKDTrainer`."""
    teacher, student = build_models(vocabulary, tied=tied)
    message = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
    trainer = GKDTrainer(
        model=student,
        teacher_model=teacher,
        args=args,
        data_collator=collate,
        train_dataset=Dataset.from_list([message] * 64),
        processing_class=tokenizer(),
    )
    train(trainer, clock)


class OnRows(DistillationTrainer):  # type: ignore[misc]
    """`DistillationTrainer` always writes its own texts; here its loss reads given ones."""

    batches: Batches

    def _prepare_inputs(self, _: Any) -> dict[str, Any]:
        ids_BT = self.batches.next_ids()
        mask_BT = torch.ones_like(ids_BT)
        return {
            "prompt_ids": ids_BT[:, :1],
            "prompt_mask": mask_BT[:, :1],
            "completion_ids": ids_BT[:, 1:],
            "completion_mask": mask_BT[:, 1:],
            "num_items_in_batch": mask_BT[:, 1:].sum().float(),
        }


def chunked(clock: Clock, folder: str, vocabulary: int, *, tied: bool) -> None:
    """Train with the loss that makes logits tile by tile."""
    teacher, student = build_models(vocabulary, tied=tied)
    trainer = OnRows(
        model=student,
        teacher_model=teacher,
        args=DistillationConfig(**settings(folder, BATCH), beta=0.0),
        train_dataset=Dataset.from_list([{"prompt": "a"}] * 64),
        processing_class=tokenizer(),
    )
    trainer.batches = Batches(vocabulary, BATCH, LENGTH)
    train(trainer, clock)


def train(trainer: Any, clock: Clock) -> None:
    """Train until no more steps are ordered."""
    trainer.add_callback(trainer_callback(clock, trainer))
    trainer.train()


def main() -> None:
    """Run one arm."""
    chosen, clock = options(), Clock()
    with tempfile.TemporaryDirectory() as folder:
        if chosen.arm == "on-policy":
            gkd_on_policy(clock, folder, chosen.vocabulary, tied=chosen.tied)
        elif chosen.arm == "chunked":
            chunked(clock, folder, chosen.vocabulary, tied=chosen.tied)
        else:
            gkd(clock, folder, chosen.vocabulary, beta={"kl": 0.0, "jsd": 0.5}[chosen.arm], tied=chosen.tied)


if __name__ == "__main__":
    main()
