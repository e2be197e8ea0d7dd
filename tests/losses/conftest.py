"""Language models small enough to enumerate all that they can write."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from limbeck.losses.objective import Objective
from limbeck.losses.readout import TokenReadout
from limbeck.losses.term import WeightedTerm
from limbeck.types import Batch, CompletionSource, DenseLogits


class TableModel(nn.Module):
    """A language model whose next token depends on the one before alone: a row of logits for each token."""

    def __init__(self, table_IV: Tensor) -> None:
        super().__init__()
        self.table_IV = nn.Parameter(table_IV.clone())
        self.config = SimpleNamespace(get_text_config=SimpleNamespace)

    def get_output_embeddings(self) -> None:
        return None

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Any:
        return SimpleNamespace(logits=self.table_IV[input_ids])


ROOT = 3
"""What is read before the first token."""
SEQUENCES = list(product(range(3), repeat=2))


def table(root: Sequence[float], *after: Sequence[float]) -> Tensor:
    return torch.tensor([*after, root], dtype=torch.float64)


class EnumerableModels:
    """LM-2 of the specification's section 0.4: three tokens, texts of two, all 9 of them in `SEQUENCES`."""

    def __init__(self) -> None:
        self.teacher = TableModel(table((1, 0, -1), (0.5, 0, -0.5), (-1, 1, 0), (0, 0, 2)))
        self.student = TableModel(table((0, 0.5, 0), (0, 0, 0), (1, 0, -1), (0.2, -0.2, 0)))
        self.sequences = SEQUENCES
        self.log_p_NT, self.log_q_NT = self.token_log_probs(self.teacher), self.token_log_probs(self.student)
        self.p_N, self.q_N = self.log_p_NT.sum(1).exp(), self.log_q_NT.sum(1).exp()

    def token_log_probs(self, model: TableModel) -> Tensor:
        """Log-probability of each token of each text, without a graph."""
        log_probs_IV = model.table_IV.detach().log_softmax(-1)
        return torch.stack([torch.stack([log_probs_IV[ROOT, one], log_probs_IV[one, two]]) for one, two in SEQUENCES])

    def batch(self, text: tuple[int, ...], source: CompletionSource = CompletionSource.STUDENT) -> Batch:
        """Return a text as a micro-batch of one row, with what the teacher says."""
        read_BT = torch.tensor([[ROOT, text[0]]])
        return {
            "student": {"input_ids": read_BT},
            "labels_BT": torch.tensor([text]),
            "source_B": torch.tensor([int(source)]),
            "signal": {"tokens": DenseLogits(self.teacher.table_IV.detach()[read_BT[0]])},
        }

    def expected(
        self,
        terms: tuple[WeightedTerm, ...],
        share_N: Tensor,
        add: Callable[[int, Batch], None] = lambda number, batch: None,
        source: CompletionSource = CompletionSource.STUDENT,
    ) -> Tensor:
        """Return the loss of one text, in expectation over texts of probability `share_N`.

        `add` may put more into the micro-batch of each text.
        """
        objective = Objective(self.student, terms, TokenReadout())
        total = torch.zeros((), dtype=torch.float64)
        for number, (text, share) in enumerate(zip(SEQUENCES, share_N, strict=True)):
            batch = self.batch(text, source)
            add(number, batch)
            total = total + share * objective(batch, objective.count([batch]))[0]
        return total

    def gradient(self, loss: Tensor) -> Tensor:
        """Return the gradient by the student's table, ``[4, 3]``; the last row is the root's."""
        (gradient_IV,) = torch.autograd.grad(loss, self.student.table_IV)
        return gradient_IV


@pytest.fixture
def lm2() -> EnumerableModels:
    return EnumerableModels()


@pytest.fixture(scope="session")
def table_model() -> Callable[[Tensor], TableModel]:
    return TableModel
