"""Tiny models, a tiny tokenizer and a tiny task, all made here: no test needs a network or a download."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tiny tensors are slower on many threads

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import hypothesis
import numpy as np
import pytest
from numpy.typing import NDArray

if TYPE_CHECKING:
    from limbeck.data.encode import Encoded
    from limbeck.types import Batch

hypothesis.settings.register_profile("any_machine", deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("any_machine")

VOCABULARY = 40
CLASSES = 3
WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "the",
    "a",
    "cat",
    "dog",
    "##s",
    "run",
    "##ning",
    "is",
    ".",
    "?",
]


def tiny_classifier(
    kind: str = "bert",
    *,
    layers: int = 2,
    width: int = 16,
    classes: int = CLASSES,
    dropout: float = 0.0,
    seed: int = 0,
    scale: float = 1.0,
) -> Any:
    """Return a random BERT, DistilBERT or ALBERT classifier in train mode.

    Weights `scale` times as large as usual make a teacher whose logits differ visibly from row to row.
    """
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification

    fields: dict[str, Any] = {"vocab_size": VOCABULARY, "max_position_embeddings": 32, "num_labels": classes}
    if kind == "distilbert":
        fields |= {"dim": width, "n_layers": layers, "n_heads": 2, "hidden_dim": 2 * width}
        fields |= {"dropout": dropout, "attention_dropout": dropout, "seq_classif_dropout": dropout}
    else:
        fields |= {"hidden_size": width, "num_hidden_layers": layers, "num_attention_heads": 2}
        fields |= {"intermediate_size": 2 * width, "embedding_size": width}
        fields |= {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
        fields |= {"classifier_dropout": dropout} if kind == "bert" else {"classifier_dropout_prob": dropout}
    torch.manual_seed(seed)
    model = AutoModelForSequenceClassification.from_config(AutoConfig.for_model(kind, **fields)).train()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter *= scale
    return model


@dataclass(frozen=True)
class TinyTask:
    """Random rows of 3 to 12 tokens, about two in three of them labelled."""

    encoded: Encoded
    labels: NDArray[np.int64]

    def batch(self, rows: Sequence[int] | NDArray[np.int64]) -> Batch:
        """Return the batch of `rows`; teacher and student read the same ids."""
        import torch

        picked = torch.from_numpy(np.asarray(rows, dtype=np.int64))
        inputs = self.encoded.batch(np.asarray(rows))
        labels = torch.from_numpy(self.labels)[picked]
        return {"student": inputs, "teacher": dict(inputs), "labels_B": labels, "rows_B": picked}


def tiny_task(rows: int = 24, *, seed: int = 0, labelled: float = 0.67, pad_left: bool = False) -> TinyTask:
    """Return a random task; the first row is unlabelled and the second labelled, whatever the share."""
    from limbeck.data.encode import Encoded
    from limbeck.types import UNLABELLED

    rng = np.random.default_rng(seed)
    lengths = rng.integers(3, 13, rows)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    labels = np.where(rng.random(rows) < labelled, rng.integers(0, CLASSES, rows), UNLABELLED)
    labels[:2] = UNLABELLED, 1
    return TinyTask(
        encoded=Encoded(
            ids=rng.integers(5, VOCABULARY, offsets[-1]).astype(np.int32),
            token_types=rng.integers(0, 2, offsets[-1]).astype(np.int8),
            offsets=offsets,
            pad_id=0,
            pad_left=pad_left,
            rows_at_limit=0,
        ),
        labels=labels,
    )


@pytest.fixture(scope="session")
def make_classifier() -> Callable[..., Any]:
    return tiny_classifier


@pytest.fixture(scope="session")
def make_task() -> Callable[..., TinyTask]:
    return tiny_task


@pytest.fixture(scope="session")
def make_tokenizer() -> Callable[..., Any]:
    """Return the maker of tiny WordPiece tokenizers."""
    from transformers import BertTokenizer

    def make(words: Sequence[str] = WORDS, **options: Any) -> Any:
        return BertTokenizer(vocab={word: i for i, word in enumerate(words)}, **options)

    return make
