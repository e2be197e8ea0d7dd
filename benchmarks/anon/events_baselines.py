"""The simple baselines of limbeck, TF-IDF and frozen embeddings with logistic regression, on GPT-4o's labels."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from limbeck.atomic import write_bytes
from limbeck.data.encode import encode_rows
from limbeck.demo.setting import minilm_folder
from limbeck.evaluation.predict import predict_vectors
from limbeck.models.bag_of_words import fit_bag_of_words
from limbeck.models.frozen_encoder import load_frozen_encoder
from limbeck.models.load import load_tokenizer
from limbeck.numerics.logistic_regression import fit_logistic_regression, one_hot
from limbeck.types import Origin, Rows

__all__ = ["answer_simply"]


def answer_simply(
    folder: Path, texts: list[str], labels_N: NDArray[np.int64], asked: list[str], *, classes: int, max_length: int
) -> None:
    """Write the label ids that each baseline gives to the texts asked about, ``tfidf.npy`` and so on; once.

    Args:
        folder: gets the files.
        texts: to learn.
        labels_N: their label ids.
        asked: texts to label.
        classes: number of labels.
        max_length: tokens of a text that the encoder reads.
    """
    targets_NC = one_hot(labels_N, classes)
    if not (folder / "tfidf.npy").exists():
        _write(folder / "tfidf.npy", fit_bag_of_words(texts, None, targets_NC).probs(asked))
    if not (folder / "frozen_embeddings.npy").exists():
        source = str(minilm_folder())
        encoder, tokenizer = load_frozen_encoder(source), load_tokenizer(source)
        learned_ND, asked_ND = (
            predict_vectors(encoder, encode_rows(_rows(part), tokenizer, max_length)) for part in (texts, asked)
        )
        head = fit_logistic_regression(learned_ND, targets_NC)
        _write(folder / "frozen_embeddings.npy", asked_ND @ head.weight_CD.T + head.bias_C)


def _rows(texts: list[str]) -> Rows:
    return Rows(
        text=texts, text_pair=None, label=[None] * len(texts), origin=[Origin("", i) for i in range(len(texts))]
    )


def _write(path: Path, scores_NC: NDArray[np.floating]) -> None:
    buffer = io.BytesIO()
    np.save(buffer, scores_NC.argmax(axis=-1))
    write_bytes(path, buffer.getvalue())
