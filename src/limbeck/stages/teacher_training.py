"""Training a teacher by how well its student does on a quiz: the outer loop of a `BiLevel` stage."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.utils import clip_grad_norm_

from limbeck.losses.labels import LabelCrossEntropy
from limbeck.losses.objective import Objective
from limbeck.losses.term import WeightedTerm
from limbeck.models.taps import run_model
from limbeck.numerics.hypergradient import TrialStep, hypergradient, trial_step
from limbeck.ranks import device
from limbeck.sequences.quiz import Quiz
from limbeck.stages.on_device import on_device
from limbeck.stages.outer_loop import BiLevel
from limbeck.teachers.local import LocalTeacher
from limbeck.types import Batch, Needs, Signal

__all__ = ["TeacherTraining"]

_MOST_NORM = 1.0
_SEED_OF_NEXT_RUN = 1_000_003
"""More than the steps of a run: no two of them have the same random numbers."""
_FILE = "teacher.pt"


class TeacherTraining:
    """The outer loop of one stage; see `BiLevel`.

    As in the released code, the teacher's optimiser is AdamW without weight decay, its gradient is cut to the norm 1,
    and its rate falls linearly from the first step; the teacher has no dropout, the student has in the pilot and none
    in the quiz. The loss of the quiz is a mean over its rows.

    Args:
        model: the teacher, which is trained in place; nothing else may read it.
        settings: rates.
        quiz: the quiz rows of each step.
        make_batch: builds a batch from row numbers.
        seed: of the pilot's dropout.
    """

    def __init__(
        self, model: Any, settings: BiLevel, quiz: Quiz, make_batch: Callable[[NDArray[np.int64]], Batch], seed: int
    ) -> None:
        self.teacher = LocalTeacher(model.to(device()))
        """For the student's own steps: without gradients."""
        self._trained = [parameter.requires_grad_() for parameter in model.parameters()]
        self._optimiser = torch.optim.AdamW(self._trained, lr=settings.teacher_learning_rate, weight_decay=0.0)
        self._settings, self._quiz, self._make_batch, self._seed = settings, quiz, make_batch, seed
        self._drawn: tuple[int, Iterator[list[NDArray[np.int64]]]] = (0, quiz.drawn())
        """The next step, and the quiz rows from it on."""
        self._asked: Objective | None = None

    def before_step(
        self, step: int, objective: Objective, batches: Sequence[Batch], counts: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Train the teacher once; the log gets the pilot's loss on the quiz."""
        (batch,) = batches
        with _random_numbers_of(self._seed * _SEED_OF_NEXT_RUN + step):
            pilot = self.pilot(objective, batch, counts)
        at_ends, loss = self.quiz_gradient(objective, pilot, self._rows_of(step))
        for parameter, gradient in zip(self._trained, hypergradient(pilot, at_ends, self._trained), strict=True):
            parameter.grad = gradient
        clip_grad_norm_(self._trained, _MOST_NORM)
        for group in self._optimiser.param_groups:
            group["lr"] = self._settings.teacher_learning_rate * (1 - step / self._quiz.steps)
        self._optimiser.step()
        self._optimiser.zero_grad()
        return {"train/quiz_loss": loss}

    def pilot(self, objective: Objective, batch: Batch, counts: Mapping[str, Tensor]) -> TrialStep:
        """Return the step that the student would take by plain gradient descent, as a function of the teacher."""
        read = on_device(batch)
        read["signal"] = self._signal(read, objective.needs)
        objective.train()
        # Fused kernels of attention have no second derivative.
        with sdpa_kernel(SDPBackend.MATH):
            loss, _ = objective(read, counts)
        return trial_step(loss, list(_trained_weights(objective).values()), self._settings.pilot_learning_rate)

    def quiz_gradient(
        self, objective: Objective, pilot: TrialStep, batches: Sequence[NDArray[np.int64]]
    ) -> tuple[list[Tensor], Tensor]:
        """Return the gradient of the cross-entropy on quiz rows at the end of the pilot, and its value."""
        if self._asked is None:
            terms = (WeightedTerm("labels", LabelCrossEntropy()),)
            self._asked = Objective(objective.student, terms, objective.readout)
        made = [on_device(self._make_batch(rows)) for rows in batches]
        counts = self._asked.count(made)
        weights = dict(zip(_trained_weights(objective), pilot.ends, strict=True))
        total, losses = [torch.zeros_like(end) for end in pilot.ends], []
        self._asked.eval()
        for batch in made:
            part, _ = functional_call(self._asked, weights, (batch, counts))
            losses.append(part.detach())
            torch._foreach_add_(total, torch.autograd.grad(part, pilot.ends, materialize_grads=True))
        objective.train()
        return total, torch.stack(losses).sum()

    def save(self, folder: Path) -> None:
        """Write the teacher's weights and the state of its optimiser."""
        state = {"model": self.teacher.model.state_dict(), "optimiser": self._optimiser.state_dict()}
        torch.save(state, folder / _FILE)

    def load(self, folder: Path) -> None:
        """Continue from a checkpoint."""
        state = torch.load(folder / _FILE, map_location=device(), weights_only=True)
        self.teacher.model.load_state_dict(state["model"])
        self._optimiser.load_state_dict(state["optimiser"])

    def _rows_of(self, step: int) -> list[NDArray[np.int64]]:
        reached, drawn = self._drawn
        if reached != step:
            drawn = self._quiz.drawn(step)
        found = next(drawn)
        self._drawn = (step + 1, drawn)
        return found

    def _signal(self, batch: Batch, needs: Needs) -> Signal:
        """Return the teacher's signal with the graph that leads to its weights."""
        output = run_model(self.teacher.model.eval(), batch["teacher"], needs.teacher_taps)
        signal: Signal = {"logits": output["logits"]}
        if needs.teacher_taps:
            signal["states"] = output["states"]
        return signal


def _trained_weights(objective: Objective) -> dict[str, Tensor]:
    """Return the student's trained weights by their names in an objective; maps of terms answer no quiz."""
    named = objective.student.named_parameters(prefix="student")
    return {name: parameter for name, parameter in named if parameter.requires_grad}


@contextmanager
def _random_numbers_of(seed: int) -> Iterator[None]:
    """Draw random numbers of this seed, and leave those of the training as they were."""
    with torch.random.fork_rng([torch.cuda.current_device()] if torch.cuda.is_available() else []):
        torch.manual_seed(seed)
        yield
