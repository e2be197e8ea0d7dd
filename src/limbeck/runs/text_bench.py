"""What the steps of one run on texts share: models, tokenised rows, batches, writers and measurements."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from limbeck.atomic import write_json
from limbeck.data.generation.collate import collate
from limbeck.data.generation.encoded import EncodedSequences
from limbeck.data.generation.rewritten import with_completions, written_sequences
from limbeck.errors import ConfigError, ModelError
from limbeck.evaluation.generation.outputs import SystemOutputs
from limbeck.evaluation.generation.run_models import answer, reference_sums
from limbeck.losses.tokens import TokenObjective
from limbeck.models.generate import Completion, Decoding, write_completions
from limbeck.models.language_model import head_of, is_encoder_decoder, token_logits
from limbeck.models.layers import depth, shapes
from limbeck.models.load import load_language_model, load_tokenizer, weights_fingerprint
from limbeck.models.vocabulary import align_vocabularies
from limbeck.numerics.chunked import label_log_probs
from limbeck.numerics.layer_maps import choose_layers
from limbeck.ranks import device, is_main, rank, ranks, wait_for_all
from limbeck.results import StageCost, SystemName
from limbeck.runs.text_config import TextRunConfig
from limbeck.runs.text_data import TextRows, decoder_start, encode_texts, room_to_write, text_limit
from limbeck.sequences.corpus import BesideCorpus
from limbeck.sequences.fixed import FixedSequences
from limbeck.sequences.on_policy import OnPolicy, OnPolicyWriter
from limbeck.sequences.replay import Replay, ReplayWriter
from limbeck.sequences.rollouts import Rollouts, RolloutWriter
from limbeck.sequences.teacher_written import have_written
from limbeck.stages.pipeline import StageRun, run_stage
from limbeck.stages.stage import Stage, Training
from limbeck.students.initialise import language_model_from_config, student_from_layers
from limbeck.types import UNLABELLED, Batch, Progress, SparseLogits, Teacher, Writer, WrittenBy

__all__ = ["TextBench", "set_up"]

_WRITE_ROWS = 16
_VALIDATION_SHARE, _VALIDATION_ROWS = 0.05, 200


@dataclass
class TextBench:
    """What the steps of one run share."""

    config: TextRunConfig
    folder: Path
    rows: TextRows
    progress: Progress
    teacher: Any
    teacher_tokenizer: Any
    student_tokenizer: Any
    vocabulary: int | None
    """Tokens that both models know by the same ids; ``None``: they have different tokenizers."""
    max_length: int
    train_rows: EncodedSequences
    """As the student reads them."""
    test: EncodedSequences
    train_for_teacher: EncodedSequences
    test_for_teacher: EncodedSequences
    corpus: EncodedSequences | None
    costs: list[StageCost] = field(default_factory=list)
    outputs: dict[SystemName, dict[int, SystemOutputs]] = field(default_factory=dict)

    def new_student(self, seed: int) -> Any:
        """Return the untrained student; the same for the same seed."""
        return make_writing_student(self.config, self.teacher, self.student_tokenizer, seed)

    @cached_property
    def completed_rows(self) -> NDArray[np.int64]:
        """Training rows with a completion to learn."""
        return np.flatnonzero(self.train_rows.supervised > 0)

    @property
    def budget_rows(self) -> int:
        """Rows that an epoch is counted by."""
        return len(self.completed_rows) if self.config.recipe.made().reads_completions else len(self.train_rows)

    @property
    def compares_fine_tuned(self) -> bool:
        """Whether there is a fine-tuned student to compare with."""
        return self.config.compare_fine_tuned and self.config.recipe.name != "sft" and len(self.completed_rows) > 0

    @cached_property
    def answered(self) -> NDArray[np.int64]:
        """Held-out rows whose prompts are answered: the same for all systems."""
        if self.rows.test.task.text is not None:
            return np.empty(0, dtype=np.int64)
        order = np.random.default_rng(0).permutation(len(self.test))
        return np.sort(order[: self.config.answers.rows])

    # ---- training -------------------------------------------------------------------------------------------

    def train(
        self,
        stage: Stage,
        model: Any,
        system: SystemName,
        *,
        seed: int,
        steps: int,
        where: str,
        training: Training | None = None,
        teacher: Teacher | None = None,
    ) -> None:
        """Run one stage on `model` in place and keep its cost."""
        training = (training or self.config.training).model_copy(update=dict(stage.settings))
        of_teacher = system == "teacher"
        encoded = self.train_for_teacher if of_teacher else self._read_by(stage)
        learnt = np.flatnonzero(encoded.supervised > 0) if self._reads_completions(stage) else np.arange(len(encoded))
        validation = learnt[:0]
        if isinstance(stage.written, Replay):
            validation, learnt = _split(learnt, seed)
        several = f", seed {seed}" if len(self.config.seeds) > 1 and not of_teacher else ""
        title = {"teacher": "teacher", "fine_tuned": "fine-tuned student"}.get(system, "distilled student")
        vocabulary = None if of_teacher else self.vocabulary
        self.costs.append(
            run_stage(
                stage,
                StageRun(
                    folder=self.folder / "stages" / f"{where}-seed{seed}",
                    log=self.folder / "log.jsonl",
                    system=system,
                    seed=seed,
                    training=training,
                    sequences=FixedSequences(learnt, encoded.lengths, training.batch_size, steps, seed),
                    make_batch=partial(_batch, encoded, _author(stage)),
                    progress=self.progress,
                    title=f"{title}: {stage.name}{several}",
                    objective=partial(TokenObjective, vocabulary=vocabulary),
                    writer=self._writer(stage, model, encoded, learnt, validation, training, steps, seed),
                ),
                student=model,
                tokenizer=self.teacher_tokenizer if of_teacher else self.student_tokenizer,
                teacher=teacher,
                shapes=shapes(self.teacher, model),
            )
        )

    @staticmethod
    def _reads_completions(stage: Stage) -> bool:
        if isinstance(stage.written, OnPolicy):
            return stage.written.share < 1 or stage.written.beside
        return not isinstance(stage.written, Rollouts)

    def _read_by(self, stage: Stage) -> EncodedSequences:
        return self.teacher_texts(stage.teacher_decoding) if stage.completions == "teacher" else self.train_rows

    def _writer(
        self,
        stage: Stage,
        model: Any,
        encoded: EncodedSequences,
        rows: NDArray[np.int64],
        validation: NDArray[np.int64],
        training: Training,
        steps: int,
        seed: int,
    ) -> Writer | None:
        """Make what has texts written while the stage runs."""
        choice, place = stage.written, {"seed": seed, "rank": rank()}
        writer: Writer | None = None
        make_batch = partial(self._own_batch, encoded)
        if isinstance(choice, OnPolicy):
            writer = OnPolicyWriter(choice, partial(self._write_rows, model, encoded, choice), **place, ranks=ranks())
        elif isinstance(choice, Replay):
            writer = ReplayWriter(
                choice,
                steps=steps,
                write=partial(self.write, model, encoded),
                make_batch=make_batch,
                validate=partial(_loss, model, encoded, validation, self.vocabulary),
                **place,
                ranks=ranks(),
            )
        elif isinstance(choice, Rollouts):
            if is_encoder_decoder(model):
                raise ConfigError("minillm mixes teacher and student token by token: for causal models only")
            writer = RolloutWriter(
                choice,
                rows=rows,
                write=partial(self.write, model, encoded, teacher_share=choice.teacher_share),
                make_batch=make_batch,
                score=partial(self._score, model),
                rows_per_step=training.batch_size // ranks(),
                **place,
                ranks=ranks(),
            )
        if stage.corpus:
            assert self.corpus is not None
            corpus = partial(_batch, self.corpus, WrittenBy.CORPUS)
            writer = BesideCorpus(writer, corpus, rows=len(self.corpus), **place)
        return writer

    # ---- writing --------------------------------------------------------------------------------------------

    def write(
        self,
        model: Any,
        encoded: EncodedSequences,
        rows: NDArray[np.int64],
        decoding: Decoding,
        seed: int,
        *,
        teacher_share: float = 0.0,
    ) -> list[Completion]:
        """Let `model` complete the prompts of `rows`."""
        return write_completions(
            model,
            [encoded.prompt_ids(int(row)).tolist() for row in rows],
            self._with_room(encoded, decoding),
            end_ids=encoded.end_ids,
            pad_id=encoded.pad_id,
            seed=seed,
            vocabulary=self.vocabulary,
            teacher=self.teacher if teacher_share else None,
            teacher_share=teacher_share,
        )

    def _with_room(self, encoded: EncodedSequences, decoding: Decoding) -> Decoding:
        """Cut the limit of new tokens to what models can read behind every prompt."""
        causal = encoded.decoder_start is None
        room = room_to_write(self.config, encoded.max_length) if causal else encoded.max_length
        return replace(decoding, max_new_tokens=min(decoding.max_new_tokens, room))

    def _own_batch(self, encoded: EncodedSequences, rows: NDArray[np.int64], completions: list[Completion]) -> Batch:
        """Return a batch of texts that the student wrote."""
        sequences = written_sequences(encoded, rows.tolist(), [one.ids for one in completions])
        batch = collate(sequences, encoded.pad_id, decoder_start=encoded.decoder_start)
        batch["rows_B"] = torch.from_numpy(np.asarray(rows))
        batch["written_by_B"] = torch.full((len(rows),), int(WrittenBy.STUDENT))
        return batch

    def _write_rows(
        self,
        model: Any,
        encoded: EncodedSequences,
        choice: OnPolicy,
        rows: NDArray[np.int64],
        decoding: Decoding,
        seed: int,
    ) -> Batch:
        completions = self.write(model, encoded, rows, decoding, seed)
        batch = self._own_batch(encoded, rows, completions)
        if choice.reward is not None:
            decode = self.student_tokenizer.decode
            prompts = [decode(encoded.prompt_ids(int(row)).tolist(), skip_special_tokens=True) for row in rows]
            texts = [decode(one.ids, skip_special_tokens=True) for one in completions]
            rewards = torch.tensor(_reward(choice.reward)(prompts, texts), dtype=torch.float32)
            if rewards.shape != (len(rows),) or not torch.isfinite(rewards).all():
                raise ConfigError(f"recipe.reward: {choice.reward} must return a finite number for each text")
            learnt_BT = batch["labels_BT"] != UNLABELLED
            batch["returns_BT"] = learnt_BT * (rewards - rewards.mean())[:, None]
        return batch

    @torch.no_grad()
    def _score(self, model: Any, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the log-probabilities that student and teacher give each supervised token, ``[B, T]`` each."""
        model.eval()
        supervised_BT = batch["labels_BT"] != UNLABELLED
        found = []
        for one in (model, self.teacher):
            inputs = {name: tensor.to(one.device) for name, tensor in batch["student"].items()}
            source = token_logits(one, inputs, supervised_BT.to(one.device), head_of(one), self.vocabulary)
            assert not isinstance(source, SparseLogits)
            labels_S = batch["labels_BT"][supervised_BT].to(one.device)
            log_probs_BT = torch.zeros(supervised_BT.shape)
            log_probs_BT[supervised_BT] = label_log_probs(source, labels_S).float().cpu()
            found.append(log_probs_BT)
        model.train()
        return found[0], found[1]

    def teacher_texts(self, decoding: Decoding) -> EncodedSequences:
        """Return the training prompts with what the teacher wrote after them, as the student reads them.

        Written once, whatever the seed. With another tokenizer than the student's, the text is tokenised again.
        """
        path = self.folder / "written" / "teacher.jsonl"
        prompts = self.train_for_teacher
        lengths = np.asarray([len(prompts.prompt_ids(row)) for row in range(len(prompts))])
        order = np.argsort(-lengths, kind="stable")
        batches = [order[start : start + _WRITE_ROWS] for start in range(0, len(order), _WRITE_ROWS)]
        if is_main():
            self.teacher.to(device())
            have_written(
                path,
                fingerprint=f"{weights_fingerprint(self.teacher)} {prompts.fingerprint()}",
                decoding=decoding,
                batches=batches,
                write=partial(self.write, self.teacher, prompts),
                seed=0,
                progress=self.progress,
            )
        wait_for_all()
        lines = path.read_text(encoding="utf-8").splitlines()[1:]
        completions = {entry["row"]: entry["ids"] for entry in map(json.loads, lines)}
        if self.vocabulary is not None:
            return with_completions(self.train_rows, completions)
        return self._tokenised_again(completions)

    def _tokenised_again(self, completions: dict[int, list[int]]) -> EncodedSequences:
        rows = []
        for row, ids in sorted(completions.items()):
            example = self.rows.train.rows[int(self.train_for_teacher.example[row])]
            text = self.teacher_tokenizer.decode(ids, skip_special_tokens=True).strip()
            if text:  # an empty text teaches nothing
                last = example.messages[-1] if example.completion is not None else None
                prompt = example.prompt
                turn = type(prompt[-1])("assistant", text)
                assert last is None or last.role == "assistant"
                rows.append(replace(example, messages=(*prompt, turn)))
        examples = replace(self.rows.train, rows=rows)
        return encode_texts(self.config, examples, self.student_tokenizer, self.new_student(0), self.max_length)

    # ---- measuring ------------------------------------------------------------------------------------------

    def measure(self, system: SystemName, seed: int, model: Callable[[], Any]) -> None:
        """Measure a system on the held-out rows, or read what an earlier start of this run measured."""
        path = self.folder / "predictions" / f"{system}-seed{seed}.json"
        if is_main() and not path.exists():
            write_json_folder(path, self._measured(system, model(), seed))
        wait_for_all()
        values = json.loads(path.read_text(encoding="utf-8"))
        found = {name: None if values[name] is None else np.asarray(values[name]) for name in ("nll", "kl", "agreed")}
        rows = [str(row) for row in range(len(values["tokens"]))]
        wrote = len(self.answered) > 0
        outputs = SystemOutputs(
            tokens_N=np.asarray(values["tokens"]),
            nll_sum_N=found["nll"],
            kl_sum_N=found["kl"],
            agreed_N=found["agreed"],
            texts=[values["answers"].get(row) for row in rows] if wrote else None,
            cut_off_N=np.asarray([values["cut_off"].get(row, False) for row in rows]) if wrote else None,
        )
        self.outputs.setdefault(system, {})[seed] = outputs

    def _measured(self, system: SystemName, model: Any, seed: int) -> dict[str, Any]:
        model.to(device())
        encoded = self.test_for_teacher if system == "teacher" else self.test
        teacher = self.teacher if system != "teacher" and self.vocabulary is not None else None
        total = len(encoded) + len(self.answered)
        with self.progress.track(f"measuring: {system.replace('_', ' ')}", total) as advance:
            sums = reference_sums(model, encoded, teacher=teacher, vocabulary=self.vocabulary, advance=advance)
            asked = Decoding(self.config.answers.max_new_tokens, self.config.answers.temperature)
            written = answer(
                model,
                encoded,
                self.answered,
                self._with_room(encoded, asked),
                seed=seed,
                vocabulary=self.vocabulary,
                advance=advance,
            )
        tokenizer = self.teacher_tokenizer if system == "teacher" else self.student_tokenizer
        texts = [tokenizer.decode(one.ids, skip_special_tokens=True).strip() for one in written]
        rows = self.answered.tolist()
        return {
            "tokens": sums.tokens_N.tolist(),
            "nll": _listed(sums.nll_sum_N),
            "kl": _listed(sums.kl_sum_N),
            "agreed": _listed(sums.agreed_N),
            "answers": dict(zip(rows, texts, strict=True)),
            "cut_off": dict(zip(rows, [not one.ended for one in written], strict=True)),
        }


def set_up(config: TextRunConfig, folder: Path, rows: TextRows, progress: Progress) -> TextBench:
    """Load the models, check that they can do the run, and tokenise all rows.

    Raises:
        ModelError: a model or tokenizer cannot be loaded, weights are not finite, or the recipe needs one vocabulary
            and there are two.
    """
    options = {"trust_remote_code": config.teacher.trust_remote_code}
    teacher_tokenizer = load_tokenizer(config.teacher.model, **options)
    teacher = load_language_model(config.teacher.model, bf16=config.teacher.precision == "bf16", **options)
    tokenizer = teacher_tokenizer
    if config.student.model is not None:
        tokenizer = load_tokenizer(config.student.model, trust_remote_code=config.student.trust_remote_code)
    student = make_writing_student(config, teacher, tokenizer, config.seeds[0])
    if is_encoder_decoder(teacher) != is_encoder_decoder(student):
        raise ModelError("teacher and student must both be causal, or both have an encoder and a decoder")
    for model, name in ((teacher, config.teacher.model), (student, config.student.model)):
        if name is not None:
            _require_finite(model, name)
    vocabulary = _vocabulary(config, teacher, student, teacher_tokenizer, tokenizer)
    same = vocabulary is not None
    limit = text_limit(config, tokenizer, teacher, student) if same else text_limit(config, tokenizer, student)
    encode = partial(encode_texts, config)
    train = encode(rows.train, tokenizer, student, limit, folder if is_main() else None)
    test = encode(rows.test, tokenizer, student, limit)
    teachers = text_limit(config, teacher_tokenizer, teacher)
    progress.say(f"{len(rows.train)} training rows ({rows.completed} with completions), {len(rows.test)} held out")
    for finding in train.findings:
        progress.say(finding)
    return TextBench(
        config=config,
        folder=folder,
        rows=rows,
        progress=progress,
        teacher=teacher,
        teacher_tokenizer=teacher_tokenizer,
        student_tokenizer=tokenizer,
        vocabulary=vocabulary,
        max_length=limit,
        train_rows=train,
        test=test,
        train_for_teacher=train if same else encode(rows.train, teacher_tokenizer, teacher, teachers),
        test_for_teacher=test if same else encode(rows.test, teacher_tokenizer, teacher, teachers),
        corpus=None if rows.corpus is None else encode(rows.corpus, tokenizer, student, limit),
    )


def _require_finite(model: Any, name: str) -> None:
    """Refuse weights that would make every loss not a number, before anything is computed with them."""
    for parameter, weight in model.named_parameters():
        if not torch.isfinite(weight).all():
            raise ModelError(
                f"the weights of {name} are damaged: {parameter} holds values that are not finite. Get the model "
                "again; a training that ended like this cannot be used"
            )


def make_writing_student(config: TextRunConfig, teacher: Any, tokenizer: Any, seed: int) -> Any:
    """Return the untrained student; the same for the same seed.

    Raises:
        ConfigError, ModelError: a layer map out of range, a configuration or model that does not fit.
    """
    torch.manual_seed(seed)
    student = config.student
    if student.from_teacher is not None:
        layers = choose_layers(
            student.from_teacher.layers, teacher_layers=depth(teacher), keep=student.from_teacher.keep
        )
        return student_from_layers(teacher, layers)
    if student.model is not None:
        return load_language_model(student.model, trust_remote_code=student.trust_remote_code)
    assert student.config is not None
    rows = int(teacher.get_input_embeddings().weight.shape[0])
    made = language_model_from_config(student.config, tokenizer=tokenizer, rows=rows)
    if is_encoder_decoder(made) and is_encoder_decoder(teacher):
        # Of their configurations not all say it, and none can know this tokenizer's.
        made.config.decoder_start_token_id = decoder_start(teacher)
        made.generation_config.decoder_start_token_id = decoder_start(teacher)
    return made


def _vocabulary(
    config: TextRunConfig, teacher: Any, student: Any, teacher_tokenizer: Any, student_tokenizer: Any
) -> int | None:
    """Tokens both know; ``None`` where tokenizers differ and the recipe hands on nothing but text."""
    try:
        return align_vocabularies(
            teacher_tokenizer,
            student_tokenizer,
            teacher_rows=int(teacher.get_output_embeddings().weight.shape[0]),
            student_rows=int(student.get_output_embeddings().weight.shape[0]),
        )
    except ModelError:
        stages = config.recipe.made().stages
        on_text = not any(t.weight > 0 and t.term.needs.logits for stage in stages for t in stage.terms)
        if on_text and not any(isinstance(stage.written, Rollouts) for stage in stages):
            return None
        raise


def _author(stage: Stage) -> WrittenBy:
    return WrittenBy.TEACHER if stage.completions == "teacher" else WrittenBy.DATA


def _batch(encoded: EncodedSequences, author: WrittenBy, rows: NDArray[np.int64]) -> Batch:
    batch = encoded.batch(rows)
    batch["rows_B"] = torch.from_numpy(np.asarray(rows))
    batch["written_by_B"] = torch.full((len(rows),), int(author))
    return batch


def _split(rows: NDArray[np.int64], seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Take a few rows out of training, on which the replay decides about more of the student's texts."""
    count = min(_VALIDATION_ROWS, max(1, round(_VALIDATION_SHARE * len(rows))))
    order = np.random.default_rng(seed).permutation(rows)
    return np.sort(order[:count]), np.sort(order[count:])


def _loss(model: Any, encoded: EncodedSequences, rows: NDArray[np.int64], vocabulary: int | None) -> float:
    """Return the mean negative log-likelihood of the rows' supervised tokens, in nats."""
    total, tokens = 0.0, 0
    was_training = model.training
    model.eval()
    head = head_of(model)
    with torch.no_grad():
        for start in range(0, len(rows), _WRITE_ROWS):
            batch = encoded.batch(rows[start : start + _WRITE_ROWS])
            inputs = {name: tensor.to(model.device) for name, tensor in batch["student"].items()}
            supervised_BT = (batch["labels_BT"] != UNLABELLED).to(model.device)
            source = token_logits(model, inputs, supervised_BT, head, vocabulary)
            assert not isinstance(source, SparseLogits)
            log_probs_S = label_log_probs(source, batch["labels_BT"].to(model.device)[supervised_BT])
            total, tokens = total - float(log_probs_S.sum()), tokens + len(log_probs_S)
    model.train(was_training)
    return total / max(1, tokens)


def _reward(name: str) -> Callable[[list[str], list[str]], Any]:
    import importlib

    module, _, function = name.partition(":")
    try:
        found: Callable[[list[str], list[str]], Any] = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"recipe.reward: cannot import '{name}' (expected my.module:function): {error}") from error
    return found


def _listed(values: NDArray[Any] | None) -> list[Any] | None:
    return None if values is None else values.tolist()


def write_json_folder(path: Path, values: dict[str, Any]) -> None:
    """Write a JSON file into a folder that may not be there yet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, values)
