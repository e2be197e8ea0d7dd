"""The training loop: the same weights for every split and on two ranks, the right teacher row, honest logs."""

from __future__ import annotations

import math
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import TrainerCallback

from limbeck.data.candidates import CandidateEncoder, EncodedRecords
from limbeck.errors import ConfigError, NonFiniteLoss
from limbeck.losses.hints.hidden import HiddenStates, LastHiddenCosine, PatientHints
from limbeck.losses.labels import LabelCrossEntropy
from limbeck.losses.logits import ForwardKL
from limbeck.losses.objective import Objective
from limbeck.losses.readout import CandidateReadout
from limbeck.losses.term import Term, WeightedTerm, bind_terms, needs_of
from limbeck.models.layers import shapes
from limbeck.models.load import load_tokenizer
from limbeck.recipes.ad_kd import ad_kd
from limbeck.recipes.mixkd import mixkd
from limbeck.sequences.mixing import mixing_for
from limbeck.stages.callbacks import StageCallback
from limbeck.students.scorer import make_scorer
from limbeck.teachers.local import LocalTeacher
from limbeck.teachers.stored import StoredTeacher
from limbeck.types import Batch, Needs, Signal, SoftLayout

Make = Callable[..., Any]
TERMS = (
    WeightedTerm("soft_targets", ForwardKL(2.0), weight=5.0),
    WeightedTerm("labels", LabelCrossEntropy(), weight=2.0),
    WeightedTerm("cosine", LastHiddenCosine(), weight=1.0),
    WeightedTerm("hints", PatientHints("skip"), weight=10.0),
)
WEIGHTS = {term.name: term.weight for term in TERMS}


class Setting:
    """A task, a teacher, and new students that all start from the same weights."""

    def __init__(self, make_classifier: Make, make_task: Make, make_trainer: Make, folder: Path) -> None:
        self._make_classifier, self._make_trainer, self._folder = make_classifier, make_trainer, folder
        self.task = make_task(20, labelled=0.5)
        self.teacher = LocalTeacher(make_classifier(layers=4, seed=2, scale=12.0))

    def objective(self, terms: tuple[WeightedTerm, ...] = TERMS, dropout: float = 0.0) -> Objective:
        student = self._make_classifier(layers=2, seed=1, dropout=dropout)
        return Objective(student, bind_terms(terms, shapes(self.teacher.model, student)))

    def trainer(self, objective: Objective | None = None, teacher: Any = None, **options: Any) -> Any:
        return self._make_trainer(
            objective or self.objective(), self.task, teacher or self.teacher, self._folder, **options
        )


@pytest.fixture
def setting(make_classifier: Make, make_task: Make, make_trainer: Make, tmp_path: Path) -> Setting:
    return Setting(make_classifier, make_task, make_trainer, tmp_path)


def require_equal(first: dict[str, Tensor], second: dict[str, Tensor]) -> None:
    assert first.keys() == second.keys()
    for name in first:
        torch.testing.assert_close(first[name], second[name], atol=1e-5, rtol=1e-5, msg=lambda m, n=name: f"{n}: {m}")


def require_different(first: dict[str, Tensor], second: dict[str, Tensor]) -> None:
    assert any((first[name] - second[name]).abs().max() > 1e-3 for name in first)


def lines_with_loss(trainer: Any) -> list[dict[str, float]]:
    return [line for line in trainer.state.log_history if "loss" in line]


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("micro", [2, 4, 1])
def test_accumulation_ends_in_the_same_weights_as_one_batch(setting: Setting, micro: int) -> None:
    ends, logs = [], []
    for rows in (8, micro):
        objective = setting.objective()
        before = {name: x.clone() for name, x in objective.student.state_dict().items()}
        trainer = setting.trainer(objective, micro=rows)
        trainer.train()
        ends.append(objective.student.state_dict())
        logs.append(lines_with_loss(trainer))
        assert any((before[name] - x).abs().max() > 1e-2 for name, x in ends[-1].items())
    require_equal(ends[1], ends[0])
    for line, expected in zip(logs[1], logs[0], strict=True):
        assert line == pytest.approx(expected, rel=1e-3, abs=1e-5)


def test_a_step_is_plain_gradient_descent_on_the_objective(setting: Setting) -> None:
    """One step of the trainer against one written out by hand on the whole batch."""
    by_hand = setting.objective()
    trainer = setting.trainer(by_trainer := setting.objective(), steps=1, micro=2, max_grad_norm=1e9)
    (rows,) = trainer._sequences.batches()
    trainer.train()
    batch = setting.task.batch(rows)
    batch["signal"] = setting.teacher.signal(batch, by_hand.needs)
    loss, _ = by_hand(batch, by_hand.count([batch]))
    loss.backward()
    with torch.no_grad():
        for parameter in by_hand.parameters():
            parameter -= 0.1 * parameter.grad
    require_equal(by_trainer.student.state_dict(), by_hand.student.state_dict())


@pytest.mark.slow
def test_the_map_of_hidden_states_is_trained_and_resumed(setting: Setting) -> None:
    terms = (WeightedTerm("states", HiddenStates("nearest", layer_norm=True, projected=True)), *TERMS)
    saving = {"save_strategy": "steps", "save_steps": 2}
    whole = setting.objective(terms)
    start = whole.term_modules[0].weight.detach().clone()
    setting.trainer(whole, steps=4, micro=2, **saving).train()
    assert (whole.term_modules[0].weight - start).abs().max() > 1e-3
    again = setting.objective(terms)
    checkpoint = str(setting._folder / "checkpoint-2")
    setting.trainer(again, steps=4, micro=2, **saving).train(resume_from_checkpoint=checkpoint)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name


@pytest.mark.parametrize("micro", [8, pytest.param(2, marks=pytest.mark.slow)])
def test_mixtures_attributions_and_a_falling_temperature_resume_to_the_same_bits(setting: Setting, micro: int) -> None:
    """With dropout, in one micro-batch a step or several."""
    of_attribution = ad_kd(anneal=True, soft_target_weight=1).stages[0].terms
    terms = (*mixkd().stages[0].terms[2:], *of_attribution)
    saving = {"save_strategy": "steps", "save_steps": 2, "writer": mixing_for(needs_of(terms), 5), "micro": micro}
    start, whole, again = (setting.objective(terms, dropout=0.2) for _ in range(3))
    trainer = setting.trainer(whole, steps=4, **saving)
    trainer.train()
    logged = [line["loss_temperature/soft_targets"] for line in lines_with_loss(trainer)]
    assert logged == pytest.approx([2.5, 2, 1.5, 1])
    require_different(whole.state_dict(), start.state_dict())
    checkpoint = str(setting._folder / "checkpoint-2")
    trainer = setting.trainer(again, steps=4, **saving)
    callback = next(one for one in trainer.callback_handler.callbacks if isinstance(one, StageCallback))
    callback.resume(Path(checkpoint), print)
    trainer.train(resume_from_checkpoint=checkpoint)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name


def test_mixtures_and_attributions_are_the_same_for_every_split(setting: Setting) -> None:
    terms = (*mixkd().stages[0].terms[2:], *ad_kd(steps=2, top_components=7).stages[0].terms[2:])
    ends, logs = [], []
    for micro in (8, 2):
        trainer = setting.trainer(objective := setting.objective(terms), micro=micro, steps=3,
                                  writer=mixing_for(needs_of(terms), 5))  # fmt: skip
        trainer.train()
        ends.append(objective.student.state_dict())
        logs.append(lines_with_loss(trainer))
    require_equal(ends[1], ends[0])
    for line, expected in zip(logs[1], logs[0], strict=True):
        assert line == pytest.approx(expected, rel=1e-3, abs=1e-5)
        assert line["term/mixed_targets"] > 0
        assert line["term/attribution"] > 0


def test_the_loss_in_evaluation_mode_is_the_training_loss_of_the_same_batch(setting: Setting) -> None:
    objective = setting.objective()
    trainer = setting.trainer(objective, steps=1, micro=2)
    (rows,) = trainer._sequences.batches()
    batch = setting.task.batch(rows)
    batch["signal"] = setting.teacher.signal(batch, objective.needs)
    with torch.no_grad():
        loss, parts = objective.eval()(batch, objective.count([batch]))
    trainer.train()
    (logged,) = lines_with_loss(trainer)
    assert logged["loss"] == pytest.approx(loss.item(), rel=1e-4)
    for name, part in parts.items():
        assert logged[name] == pytest.approx(part.item(), rel=1e-4, abs=1e-6)


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize(("log_every", "micro"), [(3, 2), (1, 8), (4, 4)])
def test_the_logged_loss_is_the_weighted_sum_of_the_logged_terms(setting: Setting, log_every: int, micro: int) -> None:
    trainer = setting.trainer(steps=6, log_every=log_every, micro=micro)
    trainer.train()
    lines = lines_with_loss(trainer)
    assert len(lines) == 6 // log_every
    for line in lines:
        total = sum(weight * line[f"term/{name}"] for name, weight in WEIGHTS.items())
        assert line["loss"] == pytest.approx(total, rel=1e-4)
        assert 0 <= line["train/agreement"] <= 1
        assert 0 <= line["train/accuracy"] <= 1


def test_logged_terms_are_means_over_the_steps_since_the_last_line(setting: Setting) -> None:
    each, every_third = (setting.trainer(steps=6, log_every=n) for n in (1, 3))
    each.train()
    every_third.train()
    single = [line["term/cosine"] for line in lines_with_loss(each)]
    assert [line["term/cosine"] for line in lines_with_loss(every_third)] == pytest.approx(
        [np.mean(single[:3]), np.mean(single[3:])], rel=1e-5
    )


def test_rows_and_tokens_seen_are_counted(setting: Setting) -> None:
    trainer = setting.trainer(steps=5, micro=2)  # 5 steps of 8 rows: two epochs of 20
    trainer.train()
    assert trainer.rows_seen == 40
    assert trainer.tokens_seen == 2 * setting.task.encoded.lengths.sum()


class RowTerm(Term):
    """0 for a row that meets its own inputs and its own teacher signal, else 1; notes what it saw."""

    needs = Needs(logits=True)

    def __init__(self, task: Any) -> None:
        self._task = task
        self.seen: list[list[int]] = []

    def values(self, student: Signal, teacher: Signal, batch: Batch) -> Tensor:
        rows = batch["rows_B"]
        self.seen.append(rows.tolist())
        right = teacher["logits"][:, 0] == rows
        for i, row in enumerate(rows.tolist()):
            start, stop = self._task.encoded.offsets[row : row + 2]
            ids = batch["student"]["input_ids"][i][batch["student"]["attention_mask"][i] == 1]
            right[i] &= ids.tolist() == self._task.encoded.ids[start:stop].tolist()
            right[i] &= batch["labels_B"][i] == self._task.labels[row]
        return (~right).float() + 0 * student["logits"].sum(dim=-1)


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("micro", [2, 8])
def test_each_row_meets_its_own_teacher_signal_in_every_epoch(setting: Setting, micro: int) -> None:
    numbers = np.repeat(np.arange(20, dtype=np.float32)[:, None], 3, axis=1)
    term = RowTerm(setting.task)
    objective = setting.objective((WeightedTerm("own_row", term),))
    trainer = setting.trainer(objective, StoredTeacher({"logits": numbers}, 0.0), steps=5, micro=micro)
    trainer.train()
    assert all(line["term/own_row"] == 0 for line in lines_with_loss(trainer))
    assert {len(rows) for rows in term.seen} == {micro}
    flat = [row for rows in term.seen for row in rows]
    assert Counter(flat) == dict.fromkeys(range(20), 2)
    assert flat[:20] != flat[20:]


def test_a_signal_of_another_row_would_show(setting: Setting) -> None:
    numbers = np.repeat(np.roll(np.arange(20, dtype=np.float32), 1)[:, None], 3, axis=1)
    objective = setting.objective((WeightedTerm("own_row", RowTerm(setting.task)),))
    trainer = setting.trainer(objective, StoredTeacher({"logits": numbers}, 0.0), steps=1)
    trainer.train()
    assert lines_with_loss(trainer)[0]["term/own_row"] == 1


class BadTerm(RowTerm):
    """The logits' mean, until it is not a number any more."""

    needs = Needs()

    def __init__(self, bad: float, call: int) -> None:
        self._bad, self._call, self._calls = bad, call, 0

    def values(self, student: Signal, teacher: Signal, batch: Batch) -> Tensor:
        self._calls += 1
        values = student["logits"].mean(dim=-1)
        return values * self._bad if self._calls == self._call else values


class Weights(TrainerCallback):
    """Keeps the weights as they are after each step."""

    def __init__(self) -> None:
        self.after: list[dict[str, Tensor]] = []

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        self.after.append({name: x.clone() for name, x in model.state_dict().items()})


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_before_the_weights_change(setting: Setting, bad: float) -> None:
    terms = (WeightedTerm("labels", LabelCrossEntropy()), WeightedTerm("bad", BadTerm(bad, call=2 * 2 + 1)))
    trainer = setting.trainer(objective := setting.objective(terms), micro=4, log_every=10)
    trainer.add_callback(kept := Weights())
    with pytest.raises(NonFiniteLoss, match=r"the term 'bad' is -?(nan|inf) at optimiser step 3\b"):
        trainer.train()
    assert len(kept.after) == 2
    assert all(torch.equal(x, kept.after[-1][name]) for name, x in objective.state_dict().items())


class SteepTerm(RowTerm):
    """0 for every row, with an infinite slope."""

    needs = Needs()

    def values(self, student: Signal, teacher: Signal, batch: Batch) -> Tensor:
        return (0 * student["logits"].mean(dim=-1)).sqrt()


def test_a_gradient_that_is_not_finite_stops_before_the_weights_change(setting: Setting) -> None:
    terms = (WeightedTerm("steep", SteepTerm(setting.task)),)
    trainer = setting.trainer(objective := setting.objective(terms), steps=2)
    with pytest.raises(NonFiniteLoss, match=r"the gradient is not finite at optimiser step 1\b"):
        trainer.train()
    assert all(x.isfinite().all() for x in objective.state_dict().values())


def test_a_finite_loss_is_no_reason_to_stop(setting: Setting) -> None:
    trainer = setting.trainer(setting.objective((WeightedTerm("bad", BadTerm(1e3, call=3)),)), steps=4)
    trainer.train()
    assert trainer.state.global_step == 4


def test_terms_without_a_teacher_ask_for_none(setting: Setting) -> None:
    class Refuses:
        def signal(self, batch: Batch, needs: Needs) -> Signal:
            raise AssertionError("asked")

    trainer = setting.trainer(setting.objective((TERMS[1],)), Refuses(), steps=2)
    trainer.train()
    assert trainer.state.global_step == 2


def test_steps_without_any_label_change_nothing_and_stay_finite(setting: Setting) -> None:
    setting.task.labels[:] = -100
    objective = setting.objective((TERMS[1],))
    before = {name: x.clone() for name, x in objective.state_dict().items()}
    trainer = setting.trainer(objective, steps=3, micro=2)
    trainer.train()
    assert [line["loss"] for line in lines_with_loss(trainer)] == [0, 0, 0]
    assert all(torch.equal(x, before[name]) for name, x in objective.state_dict().items())


@pytest.mark.slow
def test_two_ranks_end_in_the_weights_of_one_process(tmp_path: Path) -> None:
    program = Path(__file__).with_name("train_on_ranks.py")
    done = subprocess.run([sys.executable, str(program), str(tmp_path)], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    one, first, second = (torch.load(tmp_path / f"ranks-{name}.pt") for name in ("1-rank-0", "2-rank-0", "2-rank-1"))
    require_equal(first["weights"], one["weights"])
    require_equal(second["weights"], one["weights"])
    for line, expected in zip(first["logged"], one["logged"], strict=True):
        assert line == pytest.approx(expected, rel=1e-3, abs=1e-5)
    assert len(first["rows"]) == len(second["rows"]) == len(one["rows"]) / 2
    for step in range(6):
        whole = [row for rows in one["rows"][4 * step : 4 * step + 4] for row in rows]
        shares = [[row for rows in of["rows"][2 * step : 2 * step + 2] for row in rows] for of in (first, second)]
        assert [len(share) for share in shares] == [4, 4]
        assert sorted(shares[0] + shares[1]) == sorted(whole)


class ScorerTask:
    """Instruction records as a trainer reads them."""

    def __init__(self, encoded: EncodedRecords) -> None:
        self.encoded = encoded

    def batch(self, rows: Any) -> Batch:
        picked = np.asarray(rows)
        return {
            "student": self.encoded.batch(picked),
            "labels_B": torch.from_numpy(self.encoded.label_ids[picked]),
            "gold_BK": self.encoded.gold(picked, 3),
            "candidates_BK": self.encoded.present(picked, 3),
            "rows_B": torch.from_numpy(picked),
        }


class ScorerSetting:
    """Records in two languages, and new scorers with soft prompts that all start from the same weights."""

    soft = SoftLayout(("topic",), ("en", "sk"), task_vectors=2, language_vectors=2)
    PROMPTS = "student.soft_prompts.weight"

    def __init__(self, folder: Path, records: Any, make_trainer: Make, output: Path) -> None:
        self._folder, self._make_trainer, self._output = folder, make_trainer, output
        self._records = [*records("en")[:10], *records("sk")[:10]]

    def task(self, kind: Any, with_state: bool = False) -> ScorerTask:
        encoder = CandidateEncoder(
            load_tokenizer(str(self._folder)), kind, hard_prompts=lambda _: ("", ""), soft=self.soft, max_length=64
        )
        return ScorerTask(encoder.encode(self._records, with_state=with_state))

    def objective(self, kind: str = "dual_encoder", soft: bool = True) -> Objective:
        torch.manual_seed(1)
        scorer = make_scorer(kind, str(self._folder), self.soft if soft else None)
        scorer.config.attention_probs_dropout_prob = 0.0
        for module in scorer.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        return Objective(scorer, (WeightedTerm("labels", LabelCrossEntropy()),), CandidateReadout())

    def trainer(
        self, objective: Objective, kind: Any = "dual_encoder", *, prompts: float | None = None,
        momentum: float | None = None, **options: Any,
    ) -> Any:  # fmt: skip
        task = options.pop("task", None) or self.task(kind)
        settings = {"max_grad_norm": 1e9} | options
        return self._make_trainer(
            objective, task, None, self._output, prompt_learning_rate=prompts, momentum=momentum, **settings
        )


@pytest.fixture
def scorers(multilingual_folder: Path, make_topic_records: Make, make_trainer: Make, tmp_path: Path) -> ScorerSetting:
    return ScorerSetting(multilingual_folder, make_topic_records, make_trainer, tmp_path)


def one_gradient(objective: Objective, batch: Batch) -> dict[str, Tensor]:
    objective.zero_grad()
    loss, _ = objective(batch, objective.count([batch]))
    loss.backward()
    return {name: p.grad.clone() for name, p in objective.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("optim", ["sgd", "adamw_torch_fused"])
def test_soft_prompts_are_a_group_of_their_own(scorers: ScorerSetting, optim: str) -> None:
    objective = scorers.objective()
    trainer = scorers.trainer(objective, prompts=1e-3, learning_rate=1e-5, weight_decay=0.01, optim=optim)
    groups = trainer.create_optimizer().param_groups
    assert trainer.create_optimizer().param_groups is groups  # asked again, it adds no second group
    of = {id(p): [i for i, group in enumerate(groups) if any(p is q for q in group["params"])]
          for p in objective.parameters()}  # fmt: skip
    assert all(len(found) == 1 for found in of.values())
    (prompts,) = objective.prompt_parameters()
    own = groups[of[id(prompts)][0]]
    assert (own["lr"], own["weight_decay"], len(own["params"])) == (1e-3, 0.0, 1)
    rest = [group for group in groups if group is not own]
    assert {group["lr"] for group in rest} == {1e-5}
    assert {group["weight_decay"] for group in rest} == {0.01, 0.0}


def test_soft_prompts_without_a_learning_rate_of_their_own_have_that_of_all(scorers: ScorerSetting) -> None:
    groups = scorers.trainer(scorers.objective(), learning_rate=1e-5, weight_decay=0.5).create_optimizer().param_groups
    assert [(group["lr"], group["weight_decay"]) for group in groups] == [(1e-5, 0.5), (1e-5, 0.0), (1e-5, 0.0)]
    without = scorers.trainer(scorers.objective(soft=False), prompts=1e-3, learning_rate=1e-5, weight_decay=0.5)
    assert [group["lr"] for group in without.create_optimizer().param_groups] == [1e-5, 1e-5]


def test_soft_prompts_take_steps_of_their_own_size_and_do_not_decay(scorers: ScorerSetting) -> None:
    by_hand, by_trainer = scorers.objective(), scorers.objective()
    trainer = scorers.trainer(by_trainer, prompts=0.03, learning_rate=0.01, weight_decay=0.5, steps=1)
    (rows,) = trainer._sequences.batches()
    trainer.train()
    gradients = one_gradient(by_hand, scorers.task("dual_encoder").batch(rows))
    before, after = dict(by_hand.named_parameters()), dict(by_trainer.named_parameters())
    prompts, words = scorers.PROMPTS, "student.roberta.embeddings.word_embeddings.weight"
    with torch.no_grad():
        torch.testing.assert_close(after[prompts], before[prompts] - 0.03 * gradients[prompts], atol=1e-6, rtol=1e-5)
        expected = before[words] - 0.01 * (gradients[words] + 0.5 * before[words])
        torch.testing.assert_close(after[words], expected, atol=1e-6, rtol=1e-5)
    assert gradients[prompts].abs().max() > 1e-3


def test_the_schedule_scales_both_learning_rates(scorers: ScorerSetting) -> None:
    trainer = scorers.trainer(
        scorers.objective(), prompts=0.1, learning_rate=0.001, lr_scheduler_type="linear", steps=4
    )
    trainer.train()
    rates = [group["lr"] for group in trainer.optimizer.param_groups]
    assert rates == [0, 0, 0]
    assert [group["initial_lr"] for group in trainer.optimizer.param_groups] == [0.001, 0.001, 0.1]


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("momentum", [0.9, None])
def test_momentum_is_that_of_every_parameter(scorers: ScorerSetting, momentum: float | None) -> None:
    """Two steps of gradient descent by hand; soft prompts have momentum too."""
    by_hand, by_trainer = scorers.objective(), scorers.objective()
    trainer = scorers.trainer(by_trainer, prompts=0.05, learning_rate=0.02, momentum=momentum, steps=2)
    batches = [scorers.task("dual_encoder").batch(rows) for rows in trainer._sequences.batches()]
    trainer.train()
    velocity: dict[str, Tensor] = {}
    for batch in batches:
        gradients = one_gradient(by_hand, batch)
        velocity = {name: (momentum or 0) * velocity.get(name, 0) + x for name, x in gradients.items()}
        with torch.no_grad():
            for name, parameter in by_hand.named_parameters():
                if name in velocity:
                    parameter -= (0.05 if name == scorers.PROMPTS else 0.02) * velocity[name]
    require_equal(by_trainer.state_dict(), by_hand.state_dict())


@pytest.mark.fast_cases(2)
@pytest.mark.parametrize("kind", ["cross_encoder", "dual_encoder"])
@pytest.mark.parametrize("critic", [False, True])
def test_tokens_of_all_sequences_of_a_scorer_are_counted(scorers: ScorerSetting, kind: str, critic: bool) -> None:
    task = scorers.task(kind, with_state=critic)
    trainer = scorers.trainer(scorers.objective(kind), task=task, steps=5, micro=2)  # two epochs of 20 records
    trainer.train()
    questions = int(task.encoded.lengths.sum())
    if kind == "cross_encoder":  # each question with each of three candidates of one token and two more marks
        tokens = 3 * questions + 3 * 20 * 3
    else:  # and a micro-batch's different candidates: marks, two soft vectors, one token
        languages = [{task.encoded.records[row].lang for row in rows} for rows in trainer._sequences.micro_batches(4)]
        tokens = questions + sum(3 * len(found) * 5 for found in languages) / 2
    assert trainer.tokens_seen == 2 * (tokens + critic * questions)
    assert trainer.rows_seen == 40


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["dual_encoder", "verbaliser"])
def test_a_resumed_scorer_ends_bit_identical(scorers: ScorerSetting, kind: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {
        "optim": "adamw_torch_fused",
        "learning_rate": 1e-3,
        "weight_decay": 0.1,
        "prompts": 1e-2,
    }
    options |= {"lr_scheduler_type": "linear", "save_strategy": "steps", "save_steps": 2, "steps": 5}
    whole, resumed = scorers.objective(kind), scorers.objective(kind)
    scorers.trainer(whole, kind, **options).train()
    trainer = scorers.trainer(resumed, kind, **options)
    trainer.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    assert trainer.state.global_step == 5
    groups = trainer.optimizer.param_groups
    assert [group["initial_lr"] for group in groups] == [1e-3, 1e-3, 1e-2]
    assert [group["weight_decay"] for group in groups] == [0.1, 0, 0]
    start = scorers.objective(kind).state_dict()
    for name, x in whole.state_dict().items():
        assert torch.equal(x, resumed.state_dict()[name]), name
    assert not torch.equal(start[scorers.PROMPTS], whole.state_dict()[scorers.PROMPTS])


@pytest.mark.parametrize("options", [{"fsdp": True}, {"fsdp": "full_shard"}])
def test_a_model_is_not_shared_out(setting: Setting, options: dict[str, Any]) -> None:
    """The saved student, its terms and its checkpoints are about whole models."""
    with pytest.raises(ConfigError, match="fsdp, deepspeed or a parallelism_config"):
        setting.trainer(**options)
