"""CPU seconds of one epoch of encoder distillation: limbeck, the Hugging Face Trainer, TextBrewer.

    pip install -c constraints.txt '.[test]' textbrewer
    python benchmarks/encoder_epoch.py

A BERT-shaped teacher (12 layers, 384 wide) is distilled into a student (3 layers, 192 wide) on class
logits and labels: ``0.5 CE(gold) + 0.5 T^2 KL(teacher_T || student_T)``, T = 2. Weights and rows are
random, rows are given as token ids. Every contender gets the same student, rows, batch size, optimiser
(fused AdamW), learning rate schedule and gradient clipping, in float32 on one thread, with saving off:

limbeck     the teacher's signals once (`store_signals`), then `run_stage` on length-bucketed batches
trainer     `transformers.Trainer` with a `compute_loss` that runs the teacher, as in the guide
            "Knowledge Distillation for Computer Vision"; random order, padded to the longest row
textbrewer  `BasicDistiller`, its default loop, the same data loader as for the Trainer

and, where ``--contenders`` names it, for context:

textbrewer-cached  TextBrewer with its option `is_caching_logits`, which is off by default

The contenders take turns (A B C A B C ...), each in a process of its own. Measured is user and system
time of that process, from its first work to the last optimiser step of each epoch; imports, building of
models and rows, and a warm-up on 32 rows are left out. Each contender's rows per epoch, first weights and
loss on a fixed batch are checked against each other and against the formula above. On one core of 2.5 GHz
about 8 minutes. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import metadata, util
from pathlib import Path
from typing import Any

ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "CUDA_VISIBLE_DEVICES": "",
    "HF_HUB_OFFLINE": "1",
}
PACKAGES = {
    "limbeck": "limbeck",
    "trainer": "transformers",
    "textbrewer": "textbrewer",
    "textbrewer-cached": "textbrewer",
}
NAMES = {
    "limbeck": "limbeck",
    "trainer": "Hugging Face `Trainer`",
    "textbrewer": "TextBrewer",
    "textbrewer-cached": "TextBrewer, `is_caching_logits`",
}
VOCABULARY, CLASSES, SHORTEST, LONGEST = 30_522, 8, 8, 64
BATCH, EPOCHS, LEARNING_RATE, CLIP = 32, 2, 5e-4, 1.0
TEMPERATURE, LABEL_WEIGHT = 2.0, 0.5
TEACHER = {"num_hidden_layers": 12, "hidden_size": 384, "num_attention_heads": 12, "intermediate_size": 1536}
STUDENT = {"num_hidden_layers": 3, "hidden_size": 192, "num_attention_heads": 6, "intermediate_size": 768}
WARM_UP_ROWS = BATCH
FIXED_ROWS = 64
TOLERANCE = 1e-5


# The work: rows, models, the formula


@dataclass
class Seen:
    """What a contender was served: row numbers in order, and tokens with and without padding."""

    rows: list[int] = field(default_factory=list)
    tokens: int = 0
    padded: int = 0

    def mask(self, attention_mask: Any) -> None:
        """Count one batch of the student."""
        self.tokens += int(attention_mask.sum())
        self.padded += attention_mask.numel()


@dataclass
class Work:
    """Rows as token ids with labels, and what happened to them."""

    ids: list[Any]
    labels: Any
    folder: Path
    seed: int
    seen: Seen = field(default_factory=Seen)

    @property
    def steps(self) -> int:
        """Optimiser steps of one epoch."""
        return len(self.ids) // BATCH

    def part(self, rows: int, folder: Path) -> Work:
        """Return the same work on the first `rows` rows."""
        return Work(self.ids[:rows], self.labels[:rows], folder, self.seed)


def build_work(rows: int, seed: int, folder: Path) -> Work:
    """Return rows of 8 to 64 tokens; half of a row's tokens tell its class, so that there is something to learn."""
    import numpy as np

    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, rows)
    ids = []
    for label in labels:
        row = rng.integers(1000, VOCABULARY, rng.integers(SHORTEST, LONGEST + 1))
        telling = rng.random(len(row)) < 0.5
        row[telling] = 1000 + 100 * label + rng.integers(0, 100, int(telling.sum()))
        row[0] = 101
        ids.append(row)
    return Work(ids, labels, folder, seed)


def build_model(shape: dict[str, int], seed: int) -> Any:
    """Return a BERT classifier with random weights."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(seed)
    return BertForSequenceClassification(BertConfig(vocab_size=VOCABULARY, num_labels=CLASSES, **shape))


def build_teacher(seed: int) -> Any:
    """Return the teacher, with a classifier sharp enough for its logits to say something."""
    import torch

    teacher = build_model(TEACHER, seed)
    with torch.no_grad():
        teacher.classifier.weight.mul_(20)
    return teacher.eval().requires_grad_(False)


def build_tokenizer() -> Any:
    """Return a tokenizer that only pads: rows are token ids already."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast

    words = {"[PAD]": 0, "[UNK]": 100, "[CLS]": 101}
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer(WordLevel(words, "[UNK]")), pad_token="[PAD]")


def plain_batch(work: Work, rows: list[int]) -> dict[str, Any]:
    """Return a padded batch built with nothing but torch."""
    import torch

    ids = torch.nn.utils.rnn.pad_sequence([torch.from_numpy(work.ids[i]) for i in rows], batch_first=True)
    lengths = torch.tensor([len(work.ids[i]) for i in rows])
    mask = (torch.arange(ids.shape[1]) < lengths[:, None]).long()
    return {"input_ids": ids, "attention_mask": mask, "labels": torch.from_numpy(work.labels[rows])}


def reference_loss(work: Work, rows: list[int], student: Any, teacher: Any) -> float:
    """Return the loss of `rows` straight from the formula, in evaluation mode."""
    import torch
    from torch.nn.functional import cross_entropy, softmax

    batch = plain_batch(work, rows)
    inputs = {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"]}
    with torch.no_grad():
        p = softmax(teacher(**inputs).logits.double() / TEMPERATURE, dim=-1)
        logits = student.eval()(**inputs).logits.double()
        q = softmax(logits / TEMPERATURE, dim=-1)
        soft = TEMPERATURE**2 * (p * (p.log() - q.log())).sum(dim=-1).mean()
        hard = cross_entropy(logits, batch["labels"])
    return float(LABEL_WEIGHT * hard + (1 - LABEL_WEIGHT) * soft)


class Clock:
    """CPU seconds of this process, user and system, at the last optimiser step of each epoch."""

    def __init__(self, steps: int) -> None:
        self._steps, self._done = steps, 0
        self._marks = [time.process_time()]
        self.signals = 0.0

    def signals_done(self) -> None:
        """Note what the teacher's pass over all rows took."""
        self.signals = time.process_time() - self._marks[0]

    def step(self, *_: Any) -> None:
        """Count one optimiser step."""
        self._done += 1
        if self._done % self._steps == 0:
            self._marks.append(time.process_time())

    @property
    def epochs(self) -> list[float]:
        """Seconds of each epoch."""
        return [after - before for before, after in zip(self._marks, self._marks[1:], strict=False)]


# limbeck


class Limbeck:
    """Stored signals, then a stage of the recipe `kd`."""

    def __init__(self, work: Work, student: Any, teacher: Any) -> None:
        import numpy as np

        from limbeck.data.encode import Encoded
        from limbeck.recipes.kd import kd

        self.work, self.student, self.teacher = work, student, teacher
        (self.stage,) = kd(loss_temperature=TEMPERATURE, label_weight=LABEL_WEIGHT).stages
        self.encoded = Encoded(
            ids=np.concatenate(work.ids).astype(np.int32),
            token_types=None,
            offsets=np.concatenate([[0], np.cumsum([len(row) for row in work.ids])]),
            pad_id=0,
            pad_left=False,
            rows_at_limit=0,
        )

    def _batch(self, rows: Any, *, for_teacher: bool = False) -> Any:
        """Build a batch as `limbeck distill` does."""
        import torch

        picked = torch.from_numpy(rows)
        labels = torch.from_numpy(self.work.labels)[picked]
        batch: dict[str, Any] = {"student": self.encoded.batch(rows), "labels_B": labels, "rows_B": picked}
        if for_teacher:
            batch["teacher"] = self.encoded.batch(rows)
        return batch

    def _training_batch(self, rows: Any) -> Any:
        batch = self._batch(rows)
        self.work.seen.rows.extend(rows.tolist())
        self.work.seen.mask(batch["student"]["attention_mask"])
        return batch

    def _sequences(self) -> Any:
        import numpy as np

        from limbeck.sequences.fixed import FixedSequences

        lengths = self.encoded.lengths
        return FixedSequences(np.arange(len(lengths)), lengths, BATCH, EPOCHS * self.work.steps, self.work.seed)

    def _signals(self) -> Any:
        from limbeck.evaluation.predict import length_sorted_batches
        from limbeck.losses.term import needs_of
        from limbeck.models.load import weights_fingerprint
        from limbeck.teachers.local import LocalTeacher
        from limbeck.teachers.stored import store_signals
        from limbeck.types import SilentProgress

        return store_signals(
            LocalTeacher(self.teacher),
            needs=needs_of(self.stage.terms),
            batches=list(length_sorted_batches(self.encoded.lengths, 32)),
            make_batch=lambda rows: self._batch(rows, for_teacher=True),
            folder=self.work.folder / "signals",
            fingerprint=weights_fingerprint(self.teacher),
            progress=SilentProgress(),
        )

    def loss(self, rows: list[int]) -> float:
        """Return the loss of `rows` from limbeck's objective and stored signals."""
        import numpy as np

        from limbeck.losses.objective import Objective
        from limbeck.losses.term import bind_terms
        from limbeck.models.layers import shapes

        objective = Objective(self.student.eval(), bind_terms(self.stage.terms, shapes(self.teacher, self.student)))
        batch = self._batch(np.asarray(rows))
        batch["signal"] = self._signals().signal(batch, objective.needs)
        return objective(batch, objective.count([batch]))[0].item()

    def train(self, clock: Clock) -> None:
        """Compute the signals and train."""
        from limbeck.models.layers import shapes
        from limbeck.stages.pipeline import StageRun, run_stage
        from limbeck.stages.stage import Training

        teacher = self._signals()
        clock.signals_done()
        run = StageRun(
            folder=self.work.folder / "run" / "stage",
            log=self.work.folder / "log.jsonl",
            system="distilled",
            seed=self.work.seed,
            training=Training(
                num_train_epochs=EPOCHS,
                batch_size=BATCH,
                learning_rate=LEARNING_RATE,
                warmup_ratio=0.0,
                weight_decay=0.0,
                max_grad_norm=CLIP,
                checkpoints=1,  # at the end, after the clock's last mark
            ),
            sequences=self._sequences(),
            make_batch=self._training_batch,
            progress=StepProgress(clock),
            title="student",
            tokenizer=build_tokenizer(),
            shapes=shapes(self.teacher, self.student),
            teacher=teacher,
        )
        run_stage(self.stage, run, self.student)


class StepProgress:
    """Tells the clock of limbeck's optimiser steps."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def track(self, title: str, total: int, done: int = 0) -> Any:
        """Return the function that is called after each optimiser step."""
        return contextlib.nullcontext(lambda n, note="": self._clock.step())

    def log(self, message: str) -> None:
        """Show nothing."""


# Peers: one data loader for both


class RowDataset:
    """Rows as the tokenizer would give them."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._rows = [
            {"input_ids": ids.tolist(), "attention_mask": [1] * len(ids), "labels": int(label)}
            for ids, label in zip(work.ids, work.labels, strict=True)
        ]

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, row: int) -> dict[str, Any]:
        self._work.seen.rows.append(row)
        return self._rows[row]


def padding_collator(work: Work) -> Any:
    """Return `DataCollatorWithPadding`, giving plain dictionaries and counting padding."""
    from transformers import DataCollatorWithPadding

    pad = DataCollatorWithPadding(build_tokenizer())

    def collate(rows: list[dict[str, Any]]) -> dict[str, Any]:
        batch = dict(pad(rows))
        work.seen.mask(batch["attention_mask"])
        return batch

    return collate


class HuggingFace:
    """`transformers.Trainer` with the teacher inside `compute_loss`."""

    def __init__(self, work: Work, student: Any, teacher: Any) -> None:
        self.work, self.student, self.teacher = work, student, teacher
        self.dataset = RowDataset(work)

    def _trainer(self, callbacks: list[Any]) -> Any:
        from transformers import TrainingArguments

        args = TrainingArguments(
            output_dir=str(self.work.folder),
            num_train_epochs=EPOCHS,
            per_device_train_batch_size=BATCH,
            learning_rate=LEARNING_RATE,
            max_grad_norm=CLIP,
            optim="adamw_torch_fused",
            logging_strategy="no",
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            seed=self.work.seed,
        )
        return distil_trainer_class()(
            teacher=self.teacher,
            model=self.student,
            args=args,
            train_dataset=self.dataset,
            data_collator=padding_collator(self.work),
            callbacks=callbacks,
        )

    def loss(self, rows: list[int]) -> float:
        """Return the loss of `rows` from `compute_loss`."""
        return self._trainer([]).compute_loss(self.student.eval(), plain_batch(self.work, rows)).item()

    def train(self, clock: Clock) -> None:
        """Train, the teacher running at every step."""
        from transformers import TrainerCallback

        class StepCallback(TrainerCallback):  # type: ignore[misc]
            def on_step_end(self, *args: Any, **kwargs: Any) -> None:
                clock.step()

        self._trainer([StepCallback()]).train()


def distil_trainer_class() -> Any:
    """Return a `Trainer` after the guide to knowledge distillation in the documentation of transformers."""
    import torch
    from torch.nn.functional import log_softmax, softmax
    from transformers import Trainer

    class DistilTrainer(Trainer):  # type: ignore[misc]
        def __init__(self, *, teacher: Any, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.teacher = teacher.eval()
            self.loss_function = torch.nn.KLDivLoss(reduction="batchmean")

        def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, **_: Any) -> Any:
            output = model(**inputs)
            with torch.no_grad():
                teacher_output = self.teacher(**inputs)
            soft_teacher = softmax(teacher_output.logits / TEMPERATURE, dim=-1)
            soft_student = log_softmax(output.logits / TEMPERATURE, dim=-1)
            soft = self.loss_function(soft_student, soft_teacher) * TEMPERATURE**2
            loss = LABEL_WEIGHT * output.loss + (1 - LABEL_WEIGHT) * soft
            return (loss, output) if return_outputs else loss

    return DistilTrainer


class TextBrewer:
    """TextBrewer's `BasicDistiller`. Its soft loss has no factor T^2 and is a cross-entropy, not a divergence."""

    cached = False

    def __init__(self, work: Work, student: Any, teacher: Any) -> None:
        self.work, self.student, self.teacher = work, student, teacher
        self.dataset = RowDataset(work)

    def _distiller(self) -> Any:
        from textbrewer import BasicDistiller, DistillationConfig, TrainingConfig

        config = DistillationConfig(
            temperature=TEMPERATURE,
            kd_loss_weight=(1 - LABEL_WEIGHT) * TEMPERATURE**2,
            hard_label_weight=LABEL_WEIGHT,
            is_caching_logits=self.cached,
        )
        # It saves at the end of every such number of epochs and at the end: after the clock's last mark.
        training = TrainingConfig(
            device="cpu", log_dir=None, output_dir=str(self.work.folder), ckpt_epoch_frequency=EPOCHS
        )
        return BasicDistiller(
            training,
            config,
            self.teacher,
            self.student,
            adaptor_T=lambda batch, output: {"logits": output.logits},
            adaptor_S=lambda batch, output: {"logits": output.logits, "losses": output.loss},
        )

    def loss(self, rows: list[int]) -> float:
        """Return the loss of `rows` from the distiller, less the teacher's entropy: a constant."""
        import torch

        distiller, batch = self._distiller(), plain_batch(self.work, rows)
        self.student.eval()
        distiller.d_config.is_caching_logits = False
        with torch.no_grad():
            log_p = torch.log_softmax(self.teacher(**batch).logits / TEMPERATURE, dim=-1)
            entropy = -(log_p.exp() * log_p).sum(dim=-1).mean()
        total = distiller.train_on_batch(batch, {})[0]
        return (total - distiller.d_config.kd_loss_weight * entropy).item()

    def train(self, clock: Clock) -> None:
        """Train with the default loop."""
        import torch
        from torch.utils.data import DataLoader
        from transformers import get_linear_schedule_with_warmup

        torch.manual_seed(self.work.seed)
        loader = DataLoader(
            self.dataset,  # type: ignore[arg-type]
            batch_size=BATCH,
            shuffle=True,
            collate_fn=padding_collator(self.work),
        )
        optimizer = torch.optim.AdamW(self.student.parameters(), lr=LEARNING_RATE, weight_decay=0.0, fused=True)
        optimizer.register_step_post_hook(clock.step)
        distiller = self._distiller()
        schedule = {"num_warmup_steps": 0, "num_training_steps": EPOCHS * self.work.steps}
        with distiller:
            distiller.train(
                optimizer,
                loader,
                num_epochs=EPOCHS,
                scheduler_class=get_linear_schedule_with_warmup,
                scheduler_args=schedule,
                max_grad_norm=CLIP,
            )


class CachedTextBrewer(TextBrewer):
    """The same; batches and the teacher's logits are made once, and batches shuffled as wholes."""

    cached = True


CONTENDERS: dict[str, Any] = {
    "limbeck": Limbeck,
    "trainer": HuggingFace,
    "textbrewer": TextBrewer,
    "textbrewer-cached": CachedTextBrewer,
}


# One contender in a process of its own


def measure(contender: str, rows: int, seed: int) -> dict[str, Any]:
    """Check and train one contender and return its figures."""
    import torch

    from limbeck.models.load import weights_fingerprint

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        work = build_work(rows, seed, Path(folder) / "work")
        teacher, student = build_teacher(seed), build_model(STUDENT, seed + 1)
        start = weights_fingerprint(student)
        warm_up(contender, work, student, teacher, Path(folder) / "warm-up")
        fixed = list(range(min(rows, FIXED_ROWS)))
        before = reference_loss(work, fixed, student, teacher)
        own = CONTENDERS[contender](work.part(BATCH, Path(folder) / "fixed"), student, teacher).loss(fixed[:BATCH])
        reference = reference_loss(work, fixed[:BATCH], student, teacher)
        runner = CONTENDERS[contender](work, student.train(), teacher)
        clock = Clock(work.steps)
        runner.train(clock)
        return {
            "epochs": clock.epochs,
            "signals": clock.signals,
            "first_weights": start,
            "each_row_once": each_row_once(work, cached=contender == "textbrewer-cached"),
            "padding": 1 - work.seen.tokens / work.seen.padded,
            "loss_difference": abs(own - reference),
            "loss_before": before,
            "loss_after": reference_loss(work, fixed, student, teacher),
        }


def warm_up(contender: str, work: Work, student: Any, teacher: Any, folder: Path) -> None:
    """Train a copy of the student on a few rows: late imports and first-call costs are not an epoch's."""
    part = work.part(WARM_UP_ROWS, folder)
    CONTENDERS[contender](part, copy.deepcopy(student), teacher).train(Clock(part.steps))


def each_row_once(work: Work, *, cached: bool) -> bool:
    """Whether every row was served once in each epoch; a cache is filled by serving each row once at all."""
    seen, rows = work.seen.rows, len(work.ids)
    epochs = [seen[start : start + rows] for start in range(0, len(seen), rows)]
    return len(epochs) == (1 if cached else EPOCHS) and all(sorted(epoch) == list(range(rows)) for epoch in epochs)


# All of them, and the table


def run_contender(contender: str, rows: int, seed: int) -> dict[str, Any]:
    """Measure one contender in a new process and return its figures."""
    command = [
        sys.executable,
        "-W",
        "ignore",
        __file__,
        "--child",
        contender,
        "--rows",
        str(rows),
        "--seed",
        str(seed),
    ]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **ENVIRONMENT}, check=False)
    if done.returncode:
        raise SystemExit(f"{contender} failed:\n{done.stderr[-4000:]}")
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def require_same_work(runs: dict[str, list[dict[str, Any]]]) -> None:
    """Stop unless all contenders did the same work."""
    every = [figures for repeats in runs.values() for figures in repeats]
    assert len({figures["first_weights"] for figures in every}) == 1, "the students start from different weights"
    for name, repeats in runs.items():
        for figures in repeats:
            assert figures["each_row_once"], f"{name}: an epoch is not every row once"
            assert figures["loss_difference"] <= TOLERANCE, f"{name}: the loss is not that of the formula"
            assert figures["loss_after"] < figures["loss_before"], f"{name}: the loss does not fall"


def table(runs: dict[str, list[dict[str, Any]]], rows: int) -> Iterator[str]:
    """Yield the lines of the Markdown table."""
    titles = ["Contender", "Version", "First epoch, CPU s", "Second epoch, CPU s", "First epoch, times limbeck's"]
    titles += [
        "Second epoch, times limbeck's",
        "Rows per CPU s, first / second",
        "Padding share",
        "Loss before → after",
    ]
    yield "| " + " | ".join(titles) + " |"
    yield "|" + " --- |" * len(titles)
    for name, repeats in runs.items():
        seconds = [[figures["epochs"][epoch] for figures in repeats] for epoch in range(EPOCHS)]
        speeds = [f"{rows / statistics.median(values):.1f}" for values in seconds]
        cells = [NAMES[name], metadata.version(PACKAGES[name]), *map(spread, seconds)]
        cells += [spread(ratios(runs, name, epoch)) if name != "limbeck" else "1" for epoch in range(EPOCHS)]
        cells += [" / ".join(speeds), f"{statistics.mean(figures['padding'] for figures in repeats):.1%}"]
        cells += [f"{repeats[0]['loss_before']:.3f} → {statistics.mean(f['loss_after'] for f in repeats):.3f}"]
        yield "| " + " | ".join(cells) + " |"


def ratios(runs: dict[str, list[dict[str, Any]]], name: str, epoch: int) -> list[float]:
    """Return how many times limbeck's CPU seconds of the same round each round of a peer took."""
    return [
        peer["epochs"][epoch] / own["epochs"][epoch] for peer, own in zip(runs[name], runs["limbeck"], strict=True)
    ]


def spread(values: list[float]) -> str:
    """Return median and range."""
    return f"{statistics.median(values):.2f} ({min(values):.2f}–{max(values):.2f})"


def notes(runs: dict[str, list[dict[str, Any]]], options: argparse.Namespace) -> Iterator[str]:
    """Yield what the table does not show."""
    signals = statistics.median(figures["signals"] for figures in runs["limbeck"])
    largest = max(figures["loss_difference"] for repeats in runs.values() for figures in repeats)
    yield f"limbeck's teacher signals: {signals:.2f} CPU s, counted in the first epoch."
    yield f"Largest difference from the formula's loss on a fixed batch: {largest:.1e}."
    yield f"{options.rows} rows, {options.repeats} rounds, torch {metadata.version('torch')}, one thread."
    yield "Command: " + shlex.join(["python", *sys.argv])


def chosen(names: list[str]) -> list[str]:
    """Return the contenders that are installed; limbeck, which the others are compared with, comes first."""
    missing = [name for name in names if util.find_spec(PACKAGES[name]) is None]
    for name in missing:
        print(f"Left out: {name}, since {PACKAGES[name]} is not installed.", file=sys.stderr)
    return ["limbeck", *(name for name in names if name not in [*missing, "limbeck"])]


def compare(options: argparse.Namespace) -> None:
    """Run the contenders in turn and print the table."""
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in chosen(options.contenders)}
    for repeat in range(options.repeats):
        for name, repeats in runs.items():
            repeats.append(run_contender(name, options.rows, options.seed))
            seconds = ", ".join(f"{value:.2f}" for value in repeats[-1]["epochs"])
            print(f"round {repeat + 1}, {name}: {seconds} CPU s", file=sys.stderr, flush=True)
    require_same_work(runs)
    print("\n".join([*table(runs, options.rows), "", *notes(runs, options)]))


def main() -> None:
    """Compare the contenders, or measure one of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=512, help="a multiple of 32, at most 1600 (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="rounds (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of rows, weights and order (default: %(default)s)")
    parser.add_argument("--contenders", nargs="+", choices=list(CONTENDERS), default=list(CONTENDERS)[:3])
    parser.add_argument("--child", choices=list(CONTENDERS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    # Up to 1600 rows limbeck's plan takes whole epochs one after the other, which makes an epoch well defined.
    if options.rows % BATCH or not WARM_UP_ROWS <= options.rows <= 1600:
        parser.error(f"--rows must be a multiple of {BATCH} from {WARM_UP_ROWS} to 1600")
    if options.child:
        print(json.dumps(measure(options.child, options.rows, options.seed)))
    else:
        compare(options)


if __name__ == "__main__":
    main()
