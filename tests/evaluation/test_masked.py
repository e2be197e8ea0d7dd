"""Figures of masked tokens: sums over texts, against plain logits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.evaluation.measured import value
from tests.tasks.masked_lm.masked_models import make_model, make_tokenizer, texts

from limbeck.data.generation.records import Example, Examples
from limbeck.data.generation.task import Generation
from limbeck.data.masked.encode import encode_texts
from limbeck.data.masked.task import MaskedLM
from limbeck.evaluation.generation.outputs import SystemOutputs
from limbeck.evaluation.masked import masked_sums, measure_masked
from limbeck.results.record import System
from limbeck.types import UNLABELLED, Origin


def test_sums_are_those_of_the_logits_and_of_whole_texts() -> None:
    """A text that is split counts as one; a text without a row is left out."""
    rows = [Example((), text, Origin("rows", i)) for i, text in enumerate(["zzz", *texts(9)])]
    task = MaskedLM(mask_fraction=0.3)
    encoded = encode_texts(Examples(Generation(text="text"), rows, 0, 0, "", ()), task, make_tokenizer(), 7)
    assert len(encoded) > len(encoded.texts_read) == 9
    student, teacher = make_model(0, initializer_range=0.5), make_model(1, initializer_range=0.5)
    done: list[int] = []
    found = masked_sums(student, encoded, teacher=teacher, update=done.append)
    assert sum(done) == len(encoded)
    batch = encoded.batch(range(len(encoded)))
    own, other = (m.eval()(**batch["student"]).logits.detach().double() for m in (student, teacher))
    for place, text in enumerate(encoded.texts_read):
        of_text = torch.from_numpy(encoded.text_of == text)
        labels = batch["labels_BT"][of_text]
        here = labels != UNLABELLED
        gold, q, p = labels[here], own[of_text][here].log_softmax(-1), other[of_text][here].log_softmax(-1)
        assert found.tokens_N[place] == len(gold)
        assert found.nll_sum_N is not None
        assert found.kl_sum_N is not None
        assert found.agreed_N is not None
        assert found.right_N is not None
        assert found.nll_sum_N[place] == pytest.approx(-q.gather(-1, gold[:, None]).sum().item(), rel=1e-5)
        assert found.kl_sum_N[place] == pytest.approx((p.exp() * (p - q)).sum().item(), rel=1e-4)
        assert found.right_N[place] == (q.argmax(-1) == gold).sum()
        assert found.agreed_N[place] == (q.argmax(-1) == p.argmax(-1)).sum()


def outputs(nll: list[float], right: list[int], kl: list[float] | None = None) -> SystemOutputs:
    tokens = np.asarray([1, 3, 2])
    return SystemOutputs(
        tokens,
        np.asarray(nll),
        kl_sum_N=None if kl is None else np.asarray(kl),
        agreed_N=None if kl is None else np.asarray([1, 1, 1]),
        right_N=np.asarray(right),
    )


def test_figures_are_per_masked_token() -> None:
    systems = [System(name="teacher", title="Teacher", role="teacher"), System(name="own", title="Own", role="main")]
    measured = measure_masked(
        systems, {"teacher": {0: outputs([1, 2, 3], [1, 2, 2])}, "own": {0: outputs([2, 4, 6], [0, 2, 1], [1, 1, 4])}}
    )
    assert measured.headline == "nll"
    assert value(measured, "teacher", "nll") == 1.0
    assert value(measured, "own", "nll") == 2.0
    assert value(measured, "own", "accuracy") == 0.5
    assert value(measured, "own", "kl") == 1.0
    assert value(measured, "own", "agreement") == 0.5
    assert {figure.metric for figure in measured.figures if figure.system == "teacher"} == {"nll", "accuracy"}
    (compared,) = [one for one in measured.comparisons if one.metric == "nll"]
    assert (compared.first, compared.second, compared.value) == ("own", "teacher", 1.0)


def test_a_loss_that_is_not_finite_is_not_shown() -> None:
    systems = [System(name="own", title="Own", role="main")]
    measured = measure_masked(systems, {"own": {0: outputs([2, float("inf"), 6], [0, 2, 1])}})
    assert {figure.metric for figure in measured.figures} == {"accuracy"}
    assert measured.warnings == ["Own, seed 0: its loss is not finite on some held-out texts, so it is not shown."]
