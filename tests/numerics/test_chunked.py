"""The chunked path against plain logits and autograd: every loss, source, dtype and shape of a step."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from limbeck.errors import ConfigError
from limbeck.numerics import chunked, divergences, logits
from limbeck.numerics.chunked import chunked_loss, label_log_probs, token_statistics
from limbeck.numerics.sparse import top_k
from limbeck.numerics.token_losses import LabelLoss, TokenDivergence, TokenLoss
from limbeck.types import DenseLogits, LazyLogits, LogitSource, SparseLogits

S, V, D, K = 7, 11, 4, 3
LOSSES: dict[str, TokenLoss] = {
    "label": LabelLoss(),
    "forward_kl": TokenDivergence("forward_kl", loss_temperature=2.0),
    "reverse_kl": TokenDivergence("reverse_kl"),
    "jensen_shannon": TokenDivergence("jensen_shannon", loss_temperature=2.0, beta=0.9, normalise=True),
    "interpolated_kl": TokenDivergence("interpolated_kl", loss_temperature=2.0, beta=0.3),
    "total_variation": TokenDivergence("total_variation", loss_temperature=2.0, temperature_squared=False),
    "skew_forward_kl": TokenDivergence("skew_forward_kl"),
    "skew_reverse_kl": TokenDivergence("skew_reverse_kl"),
    "alpha_beta": TokenDivergence("alpha_beta", loss_temperature=2.0, alpha=0.4, beta=0.7),
    "adaptive_kl": TokenDivergence("adaptive_kl", loss_temperature=2.0),
    "soft_cross_entropy": TokenDivergence("soft_cross_entropy"),
    "reverse_cross_entropy": TokenDivergence("reverse_cross_entropy", loss_temperature=2.0),
    "logit_mse": TokenDivergence("logit_mse", loss_temperature=2.0),
    "probability_mse": TokenDivergence("probability_mse"),
}
Source = DenseLogits | LazyLogits


def random(*shape: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).to(dtype)


def lazy(seed: int, dtype: torch.dtype = torch.float64, *, width: int = D, bias: bool = False) -> LazyLogits:
    return LazyLogits(
        random(S, width, seed=seed, dtype=dtype),
        random(V, width, seed=seed + 1, dtype=dtype),
        random(V, seed=seed + 2, dtype=dtype) if bias else None,
    )


STUDENTS: dict[str, Callable[[], Source]] = {
    "dense": lambda: DenseLogits(2 * random(S, V, seed=0)),
    "lazy": lambda: lazy(0),
    "lazy-bias": lambda: lazy(0, bias=True),
    "lazy-scale": lambda: replace(lazy(0), scale=0.3),
    "lazy-softcap": lambda: replace(lazy(0), softcap=3.0),
    "lazy-bias-softcap-scale": lambda: replace(lazy(0, bias=True), softcap=3.0, scale=0.6),
}
TEACHERS: dict[str, Callable[[], Source]] = {
    "dense": lambda: DenseLogits(2 * random(S, V, seed=9)),
    "lazy": lambda: replace(lazy(9, width=6, bias=True), softcap=5.0, scale=1.3),
    "sparse": lambda: lazy(9, width=6),
}


def leaves(source: Source) -> tuple[Source, list[Tensor]]:
    """The source with tensors that want gradients, and these."""
    tensors = [None if t is None else t.clone().requires_grad_() for t in logits.source_tensors(source)]
    return logits.with_tensors(source, tensors), [t for t in tensors if t is not None]


def plain_logits(source: Source) -> Tensor:
    if isinstance(source, DenseLogits):
        return source.logits_SV
    z = source.hidden_SD @ source.weight_VD.T
    if source.bias_V is not None:
        z = z + source.bias_V
    if source.softcap is not None:
        z = source.softcap * torch.tanh(z / source.softcap)
    return source.scale * z


def plain_loss(loss: TokenLoss, teacher: LogitSource | None, student: Tensor, labels: Tensor | None) -> Tensor:
    if isinstance(loss, LabelLoss):
        assert labels is not None
        return torch.nn.functional.cross_entropy(student, labels, reduction="none")
    assert teacher is not None
    options: dict[str, Any] = {"temperature_squared": loss.temperature_squared}
    options |= {name: getattr(loss, name) for name in ("alpha", "beta") if getattr(loss, name) is not None}
    options |= {"normalise": True} if loss.normalise else {}
    T = loss.loss_temperature
    if isinstance(teacher, SparseLogits):  # K + 1 cells, as logits that are softened already
        log_q = torch.log_softmax(student / T, dim=-1)
        rest = log_q.scatter(-1, teacher.ids_SK, -math.inf).logsumexp(-1, keepdim=True)
        student = T * torch.cat([log_q.gather(-1, teacher.ids_SK), rest], dim=-1)
        teacher_logits = T * torch.cat([teacher.log_probs_SK, teacher.tail_S[:, None]], dim=-1)
    else:
        teacher_logits = plain_logits(teacher)
    function = getattr(divergences, loss.kind)
    value: Tensor = function(teacher_logits=teacher_logits, student_logits=student, loss_temperature=T, **options)
    return value


def compare(
    student: Source,
    teacher: LogitSource | None,
    losses: Sequence[TokenLoss],
    weights: Sequence[Tensor],
    labels: Tensor | None = None,
    *,
    chunk_rows: int | None = None,
    tolerance: float = 1e-9,
) -> None:
    """Totals, values and gradients of the chunked path are those of plain logits and autograd."""
    source, tensors = leaves(student)
    total, values = chunked_loss(source, teacher, losses, weights, labels, chunk_rows=chunk_rows)
    found = torch.autograd.grad(3 * total, tensors)
    plain, plain_tensors = leaves(student)
    counted = torch.stack(list(weights)).ne(0).any(dim=0)
    expected_values = [plain_loss(loss, teacher, plain_logits(plain), labels) for loss in losses]
    expected = sum((w * v).sum() for w, v in zip(weights, expected_values, strict=True))
    assert isinstance(expected, Tensor)
    torch.testing.assert_close(total, expected, rtol=tolerance, atol=tolerance)
    for value, expected_value in zip(values, expected_values, strict=True):
        torch.testing.assert_close(value, expected_value.detach() * counted, rtol=tolerance, atol=tolerance)
        assert not value.requires_grad
    for gradient, other in zip(found, torch.autograd.grad(3 * expected, plain_tensors), strict=True):
        torch.testing.assert_close(gradient, other, rtol=tolerance, atol=tolerance)


def some_weights(count: int = 1) -> list[Tensor]:
    """Weights of which some are 0: row 2 in all losses, row 4 in the first."""
    weights = random(count, S, seed=50).abs()
    weights[:, 2] = 0
    weights[0, 4] = 0
    return list(weights)


def some_labels() -> Tensor:
    return torch.randint(V, (S,), generator=torch.Generator().manual_seed(3))


@pytest.mark.fast_cases(60)
@pytest.mark.parametrize("loss", list(LOSSES.values()), ids=list(LOSSES))
@pytest.mark.parametrize("teacher", list(TEACHERS))
@pytest.mark.parametrize("student", list(STUDENTS))
def test_equal_to_dense_autograd(student: str, teacher: str, loss: TokenLoss) -> None:
    signal: LogitSource = TEACHERS[teacher]()
    if teacher == "sparse":
        if isinstance(loss, TokenDivergence) and loss.needs_every_token:
            pytest.skip("refused")
        assert not isinstance(signal, SparseLogits)
        signal = top_k(signal, K, getattr(loss, "loss_temperature", 1.0))
    compare(STUDENTS[student](), signal, [loss], some_weights(), some_labels(), chunk_rows=3)


COMBINATIONS: dict[str, list[TokenLoss]] = {
    "one temperature": [TokenDivergence("forward_kl"), LabelLoss()],
    "label first": [LabelLoss(), TokenDivergence("forward_kl", loss_temperature=2.0)],
    "two temperatures": [TokenDivergence("reverse_kl", loss_temperature=2.0), TokenDivergence("forward_kl")],
    "and back": [
        TokenDivergence("forward_kl"),
        TokenDivergence("jensen_shannon", loss_temperature=2.0),
        LabelLoss(),
        TokenDivergence("total_variation"),
    ],
    "one distribution four times": [
        TokenDivergence(kind) for kind in ("skew_forward_kl", "total_variation", "reverse_kl", "forward_kl")
    ],
    "logits as well": [TokenDivergence("forward_kl"), TokenDivergence("logit_mse"), LabelLoss()],
    "labels twice": [LabelLoss(), LabelLoss()],
}


@pytest.mark.parametrize("student", ["dense", "lazy-bias-softcap-scale"])
@pytest.mark.parametrize("losses", list(COMBINATIONS.values()), ids=list(COMBINATIONS))
def test_several_losses_in_one_pass(losses: list[TokenLoss], student: str) -> None:
    teacher = TEACHERS["lazy"]()
    compare(STUDENTS[student](), teacher, losses, some_weights(len(losses)), some_labels(), chunk_rows=3)


def test_several_losses_on_a_sparse_teacher_and_labels() -> None:
    losses = [LabelLoss(), TokenDivergence("forward_kl"), TokenDivergence("reverse_kl")]
    compare(lazy(0), top_k(lazy(9), K), losses, some_weights(3), some_labels(), chunk_rows=3)


@pytest.mark.parametrize("chunk_rows", [1, 2, 5, 7, 100, None], ids=str)
@pytest.mark.parametrize("block_rows", [1, 2, 100])
def test_chunks_and_blocks_do_not_matter(
    chunk_rows: int | None, block_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logits, "_BLOCK_ELEMENTS", block_rows * V)
    losses = [TokenDivergence("jensen_shannon"), LabelLoss()]
    for teacher in (TEACHERS["dense"](), top_k(lazy(9), K)):
        compare(lazy(0, bias=True), teacher, losses, some_weights(2), some_labels(), chunk_rows=chunk_rows)


HEAD = {"softcap": 3.0, "scale": 0.6}
OF_TENSORS: dict[str, tuple[list[Tensor], Callable[..., Source]]] = {
    "dense": ([2 * random(S, V, seed=0)], DenseLogits),
    "lazy": (
        [random(S, D, seed=0), random(V, D, seed=1), random(V, seed=2)],
        lambda hidden, weight, bias: LazyLogits(hidden, weight, bias, **HEAD),
    ),
    # The hidden states come of the embedding that is the head as well.
    "tied": (
        [random(V, D, seed=1), random(V, seed=2)],
        lambda table, bias: LazyLogits(torch.tanh(table[some_labels()]), table, bias, **HEAD),
    ),
}
"""Students as what has a gradient, and what makes logits of it."""


every_divergence = pytest.mark.parametrize("name", [name for name in LOSSES if name != "label"])
every_student = pytest.mark.parametrize("student", list(OF_TENSORS))
every_teacher = pytest.mark.parametrize("teacher", list(TEACHERS))


def on(device: str, source: Source, dtype: torch.dtype) -> Source:
    return logits.with_tensors(
        source, [None if t is None else t.to(device, dtype) for t in logits.source_tensors(source)]
    )


def require_near_dense_float64(
    name: str, student: str, teacher: str, dtype: torch.dtype, tolerance: float, device: str = "cpu"
) -> None:
    """With cross-entropy in the same pass and chunks that do not divide. Of a sparse teacher, as a store has it."""
    loss = LOSSES[name]
    assert isinstance(loss, TokenDivergence)
    if teacher == "sparse" and loss.needs_every_token:
        pytest.skip("refused")
    tensors, make = OF_TENSORS[student]
    given = TEACHERS[teacher]()
    signal: LogitSource = on(device, given, dtype)
    exact: LogitSource = on("cpu", on("cpu", given, dtype), torch.float64)
    if teacher == "sparse":
        exact = kept = top_k(given, K, loss.loss_temperature)
        signal = SparseLogits(kept.ids_SK.to(device), kept.log_probs_SK.to(device).float(),
                              kept.tail_S.to(device).float(), V, loss.loss_temperature)  # fmt: skip
    losses, weights = [loss, LabelLoss()], [weight / S for weight in some_weights(2)]

    mine = [t.to(device, dtype).requires_grad_() for t in tensors]
    total, values = chunked_loss(
        make(*mine), signal, losses, [w.to(device) for w in weights], some_labels().to(device), chunk_rows=3
    )
    assert total.dtype == values[0].dtype == torch.float32
    found = torch.autograd.grad(total, mine)
    theirs = [t.detach().cpu().double().requires_grad_() for t in mine]
    plain = [plain_loss(one, exact, plain_logits(make(*theirs)), some_labels()) for one in losses]
    expected = sum((w * v).sum() for w, v in zip(weights, plain, strict=True))
    assert isinstance(expected, Tensor)
    assert total.item() == pytest.approx(expected.item(), rel=tolerance)
    for gradient, other in zip(found, torch.autograd.grad(expected, theirs), strict=True):
        assert gradient.dtype == dtype
        largest = float(other.abs().max())
        torch.testing.assert_close(gradient.cpu().double(), other, rtol=0, atol=tolerance * largest)


@pytest.mark.fast_cases(60)
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 6e-2), (torch.float16, 1e-2)], ids=str
)
@every_teacher
@every_student
@every_divergence
def test_every_dtype_is_near_dense_float64(
    name: str, student: str, teacher: str, dtype: torch.dtype, tolerance: float
) -> None:
    require_near_dense_float64(name, student, teacher, dtype, tolerance)


@pytest.mark.gpu
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 6e-2)], ids=str)
@every_teacher
@every_student
@every_divergence
def test_a_gpu_is_near_dense_float64(
    name: str, student: str, teacher: str, dtype: torch.dtype, tolerance: float
) -> None:
    require_near_dense_float64(name, student, teacher, dtype, tolerance, "cuda")


@pytest.mark.gpu
def test_autocast_on_a_gpu_sets_the_dtype_of_products_only() -> None:
    student, teacher = on("cuda", lazy(0), torch.float32), on("cuda", lazy(9), torch.float32)
    source, tensors = leaves(student)
    with torch.autocast("cuda", dtype=torch.bfloat16):
        total, _ = chunked_loss(source, teacher, [TokenDivergence("forward_kl")], [torch.ones(S, device="cuda")])
    exact, _ = chunked_loss(student, teacher, [TokenDivergence("forward_kl")], [torch.ones(S, device="cuda")])
    assert total.dtype == torch.float32
    assert total.item() != exact.item()
    assert total.item() == pytest.approx(exact.item(), rel=3e-2)
    assert all(gradient.dtype == torch.float32 for gradient in torch.autograd.grad(total, tensors))


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_likeliest_tokens_on_a_gpu_are_those_on_a_cpu(dtype: torch.dtype) -> None:
    source = lazy(0, dtype, bias=True)
    found, expected = top_k(on("cuda", source, dtype), K, 2.0), top_k(source, K, 2.0)
    assert found.ids_SK.device.type == "cuda"
    torch.testing.assert_close(found.log_probs_SK.cpu(), expected.log_probs_SK, rtol=2e-2, atol=2e-2)
    torch.testing.assert_close(found.tail_S.cpu(), expected.tail_S, rtol=2e-2, atol=2e-2)


def test_sums_over_a_large_vocabulary_are_exact_but_for_log_softmax() -> None:
    size = 128_256
    hidden, weight = random(2, 8, seed=0), random(size, 8, seed=1)
    teacher = LazyLogits(random(2, 8, seed=2), random(size, 8, seed=3))
    losses = [TokenDivergence(kind) for kind in ("forward_kl", "reverse_kl", "jensen_shannon", "soft_cross_entropy")]
    weights = [torch.ones(2)] * len(losses)
    _, exact = chunked_loss(LazyLogits(hidden, weight), teacher, losses, weights)
    low = LazyLogits(teacher.hidden_SD.float(), teacher.weight_VD.float())
    _, found = chunked_loss(LazyLogits(hidden.float(), weight.float()), low, losses, weights)
    # torch's own float32 log_softmax is off by up to 1e-4 here, on some CPUs more than on others; one float32 dot
    # product would be by 1e-3.
    torch.testing.assert_close([value.double() for value in found], exact, rtol=5e-5, atol=0)


def test_tables_padded_to_different_sizes_are_cut_before_softmax() -> None:
    """Qwen2.5's 151,936 and 152,064 rows for 151,665 tokens: as if each had been scaled to its real tokens."""
    tokens, rows = 151_665, 3
    student = random(rows, D, seed=0), random(151_936, D, seed=1).requires_grad_()
    teacher = random(rows, D, seed=2), random(152_064, D, seed=3)
    cut = LazyLogits(teacher[0], teacher[1][:tokens])
    loss, weights = TokenDivergence("forward_kl"), [torch.full((rows,), 1 / rows, dtype=torch.float64)]
    total, _ = chunked_loss(LazyLogits(student[0], student[1][:tokens]), cut, [loss], weights)
    (gradient,) = torch.autograd.grad(total, student[1])
    assert (gradient[tokens:] == 0).all()
    p, q = (torch.softmax(hidden @ table.detach().T, -1)[:, :tokens] for hidden, table in (teacher, student))
    p, q = p / p.sum(-1, keepdim=True), q / q.sum(-1, keepdim=True)
    assert total.item() == pytest.approx((p * (p / q).log()).sum().item() / rows, rel=1e-9)
    torch.testing.assert_close(gradient[:tokens], (q - p).T @ student[0] / rows)
    with pytest.raises(ConfigError, match=r"the teacher has 152064 and the student 151936; cut padded ones"):
        chunked_loss(LazyLogits(*student), LazyLogits(*teacher), [loss], weights)


@pytest.mark.parametrize("teacher", list(TEACHERS))
@pytest.mark.parametrize(
    "loss", [loss for name, loss in LOSSES.items() if name != "label"], ids=lambda loss: loss.kind
)
def test_a_student_like_its_teacher_has_no_loss_and_no_gradient(loss: TokenDivergence, teacher: str) -> None:
    cross_entropy = loss.kind in ("soft_cross_entropy", "reverse_cross_entropy")
    if cross_entropy or (teacher == "sparse" and loss.needs_every_token):
        pytest.skip("its entropy remains, or it is refused")
    student = lazy(0, bias=True)
    signal = {"dense": DenseLogits(plain_logits(student)), "lazy": student}.get(teacher)
    signal = top_k(student, K, loss.loss_temperature) if signal is None else signal
    source, tensors = leaves(student)
    total, (value,) = chunked_loss(source, signal, [loss], [torch.ones(S)])
    torch.testing.assert_close(value, torch.zeros_like(value), rtol=0, atol=1e-12)
    if (loss.kind, teacher) == ("total_variation", "sparse"):
        return  # a sign: that of rounding
    for gradient in torch.autograd.grad(total, tensors):
        torch.testing.assert_close(gradient, torch.zeros_like(gradient), rtol=0, atol=1e-12)


def test_a_tied_head_gets_both_parts_of_its_gradient() -> None:
    ids = torch.arange(S) % V

    def gradient(chunks: bool) -> Tensor:
        embedding = random(V, D, seed=0).requires_grad_()
        student = LazyLogits(torch.tanh(embedding[ids]), embedding)
        if chunks:
            total, _ = chunked_loss(student, None, [LabelLoss()], [torch.ones(S)], some_labels(), chunk_rows=2)
        else:
            total = plain_loss(LabelLoss(), None, plain_logits(student), some_labels()).sum()
        return torch.autograd.grad(total, embedding)[0]

    torch.testing.assert_close(gradient(True), gradient(False))


@pytest.mark.parametrize("frozen", ["hidden_SD", "weight_VD", "bias_V"])
def test_only_gradients_that_are_needed_are_computed(frozen: str) -> None:
    student = replace(lazy(0, bias=True), softcap=4.0)
    others = [name for name in ("hidden_SD", "weight_VD", "bias_V") if name != frozen]
    alone = replace(student, **{name: getattr(student, name).clone().requires_grad_() for name in others})
    sums = logits.SourceGradient(student, [name != frozen for name in ("hidden_SD", "weight_VD", "bias_V")])
    assert [tensor is None for tensor in sums.tensors] == [
        name == frozen for name in ("hidden_SD", "weight_VD", "bias_V")
    ]
    total, _ = chunked_loss(alone, TEACHERS["lazy"](), [LOSSES["forward_kl"]], some_weights())
    total.backward()  # type: ignore[no-untyped-call]
    assert getattr(alone, frozen).grad is None
    plain = replace(student, **{name: getattr(student, name).clone().requires_grad_() for name in others})
    (
        some_weights()[0] * plain_loss(LOSSES["forward_kl"], TEACHERS["lazy"](), plain_logits(plain), None)
    ).sum().backward()
    for name in others:
        torch.testing.assert_close(getattr(alone, name).grad, getattr(plain, name).grad)


def test_without_gradients_only_values_are_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    source, _ = leaves(lazy(0))
    losses, weights = [TokenDivergence("skew_reverse_kl"), LabelLoss()], some_weights(2)
    expected, expected_values = chunked_loss(source, TEACHERS["lazy"](), losses, weights, some_labels())
    monkeypatch.setattr(logits.SourceGradient, "add", None)
    monkeypatch.setattr(chunked, "head_slope", None)
    with torch.no_grad():
        total, values = chunked_loss(source, TEACHERS["lazy"](), losses, weights, some_labels())
    assert not total.requires_grad
    torch.testing.assert_close([total, *values], [expected.detach(), *expected_values])
    total, _ = chunked_loss(lazy(0), TEACHERS["lazy"](), losses, weights, some_labels())
    torch.testing.assert_close(total, expected.detach())


def test_rows_without_weight_are_skipped_and_may_hold_anything() -> None:
    student, teacher = DenseLogits(random(S, V, seed=0)), DenseLogits(random(S, V, seed=1))
    weights = some_weights()
    expected, (expected_value,) = chunked_loss(student, teacher, [LOSSES["reverse_kl"]], weights)
    student.logits_SV[2], teacher.logits_SV[2] = math.nan, math.nan
    source, tensors = leaves(student)
    total, (value,) = chunked_loss(source, teacher, [LOSSES["reverse_kl"]], weights)
    torch.testing.assert_close([total, value], [expected, expected_value])
    assert value[2] == 0
    (gradient,) = torch.autograd.grad(total, tensors)
    assert gradient.isfinite().all()
    assert (gradient[2] == 0).all()


@pytest.mark.parametrize("student", list(STUDENTS))
@pytest.mark.parametrize("empty", ["no rows", "no weights"])
def test_nothing_to_learn_from_gives_zero_and_a_zero_gradient(student: str, empty: str) -> None:
    made, rows = STUDENTS[student](), 0 if empty == "no rows" else S
    tensors = logits.source_tensors(made)
    source, wanting = leaves(logits.with_tensors(made, [tensors[0][:rows], *tensors[1:]]))  # type: ignore[index]
    losses, weights = [TokenDivergence("forward_kl"), LabelLoss()], [torch.zeros(rows)] * 2
    for teacher in (DenseLogits(random(rows, V, seed=1)), top_k(DenseLogits(random(rows, V, seed=1)), K)):
        total, values = chunked_loss(source, teacher, losses, weights, some_labels()[:rows])
        assert total.item() == 0
        assert [len(value) for value in values] == [rows, rows]
        for gradient, tensor in zip(torch.autograd.grad(total, wanting), wanting, strict=True):
            torch.testing.assert_close(gradient, torch.zeros_like(tensor))


def test_a_second_backward_gives_the_same_gradients() -> None:
    source, tensors = leaves(lazy(0))
    total, _ = chunked_loss(source, TEACHERS["lazy"](), [LOSSES["forward_kl"]], some_weights())
    first = [g.clone() for g in torch.autograd.grad(total, tensors, retain_graph=True)]
    torch.autograd.grad(5 * total, tensors, retain_graph=True)
    torch.testing.assert_close(list(torch.autograd.grad(total, tensors)), first)


def test_no_gradient_reaches_the_teacher_or_the_weights() -> None:
    student, tensors = leaves(lazy(0))
    teacher, teacher_tensors = leaves(TEACHERS["lazy"]())
    weights = some_weights()[0].requires_grad_()
    total, _ = chunked_loss(student, teacher, [LOSSES["forward_kl"]], [weights])
    total.backward()  # type: ignore[no-untyped-call]
    assert all(tensor.grad is not None for tensor in tensors)
    assert all(tensor.grad is None for tensor in [*teacher_tensors, weights])


def test_replacing_the_teacher_changes_every_divergence() -> None:
    for name, loss in LOSSES.items():
        if name == "label":
            continue
        gradients = []
        for seed in (9, 20):
            source, tensors = leaves(lazy(0))
            total, _ = chunked_loss(source, lazy(seed), [loss], some_weights())
            gradients.append(torch.autograd.grad(total, tensors)[0])
        assert not torch.allclose(*gradients), name


@pytest.mark.parametrize("loss", list(LOSSES.values()), ids=list(LOSSES))
def test_a_padded_vocabulary_of_minus_infinity_is_as_good_as_none(loss: TokenLoss) -> None:
    pads = torch.full((S, 3), -math.inf)
    source, tensors = leaves(DenseLogits(torch.cat([random(S, V, seed=0).float(), pads], dim=1)))
    teacher = DenseLogits(torch.cat([random(S, V, seed=1).float(), pads], dim=1))
    total, _ = chunked_loss(source, teacher, [loss], [torch.ones(S)], some_labels())
    (gradient,) = torch.autograd.grad(total, tensors)
    cut, cut_tensors = leaves(DenseLogits(random(S, V, seed=0).float()))
    expected, _ = chunked_loss(cut, DenseLogits(random(S, V, seed=1).float()), [loss], [torch.ones(S)], some_labels())
    share = V / (V + 3) if isinstance(loss, TokenDivergence) and loss.needs_every_token else 1
    torch.testing.assert_close(total, share * expected)
    torch.testing.assert_close(gradient[:, :V], share * torch.autograd.grad(expected, cut_tensors)[0])
    assert (gradient[:, V:] == 0).all()


def test_a_token_that_a_bias_rules_out_gets_no_gradient() -> None:
    bias = torch.zeros(V)
    bias[3] = -math.inf
    student = replace(lazy(0, torch.float32), bias_V=bias)
    teacher = replace(lazy(9, torch.float32), bias_V=bias)
    for loss in (loss for name, loss in LOSSES.items() if name != "label"):
        source, tensors = leaves(student)
        total, _ = chunked_loss(source, teacher, [loss], [torch.ones(S)])
        assert total.isfinite()
        for gradient in torch.autograd.grad(total, tensors):
            assert gradient.isfinite().all()


def test_logits_that_are_not_finite_show_in_the_value() -> None:
    student = DenseLogits(random(S, V, seed=0))
    student.logits_SV[1, 1] = math.nan
    for loss in LOSSES.values():
        for teacher in (lazy(9), None if isinstance(loss, LabelLoss) else DenseLogits(student.logits_SV)):
            total, _ = chunked_loss(student, teacher, [loss], [torch.ones(S)], some_labels())
            assert total.isnan()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_autocast_sets_the_dtype_of_products_only(dtype: torch.dtype) -> None:
    student, teacher = lazy(0, torch.float32), lazy(9, torch.float32)
    source, tensors = leaves(student)
    with torch.autocast("cpu", dtype=dtype):
        total, _ = chunked_loss(source, teacher, [TokenDivergence("forward_kl")], [torch.full((S,), 1 / S)])
    assert total.dtype == torch.float32
    plain, plain_tensors = leaves(student)
    with torch.autocast("cpu", dtype=dtype):
        student_logits, teacher_logits = plain_logits(plain), plain_logits(teacher)
    expected = divergences.forward_kl(teacher_logits=teacher_logits, student_logits=student_logits).mean()
    assert total.item() == pytest.approx(expected.item(), rel=1e-2)
    exact, _ = chunked_loss(student, teacher, [TokenDivergence("forward_kl")], [torch.full((S,), 1 / S)])
    assert total.item() != exact.item()
    pairs = zip(torch.autograd.grad(total, tensors), torch.autograd.grad(expected, plain_tensors), strict=True)
    for gradient, other in pairs:
        assert gradient.dtype == torch.float32
        torch.testing.assert_close(gradient, other, rtol=3e-2, atol=3e-2)


class LargestTensor(TorchDispatchMode):
    """Keeps the number of elements of the largest tensor that an operation returned."""

    def __init__(self) -> None:
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, (tuple, list)) else [result]:
            if isinstance(tensor, Tensor):
                self.elements = max(self.elements, tensor.numel())
        return result


@pytest.mark.parametrize("teacher", ["lazy", "sparse"])
def test_no_tensor_of_all_logits_is_ever_made(teacher: str) -> None:
    rows, size = 64, 500
    source = LazyLogits(random(rows, D, seed=0).requires_grad_(), random(size, D, seed=1).requires_grad_())
    signal: LogitSource = LazyLogits(random(rows, D, seed=2), random(size, D, seed=3))
    labels = torch.arange(rows)
    with LargestTensor() as largest:
        if teacher == "sparse":
            assert isinstance(signal, LazyLogits)
            signal = top_k(signal, K, chunk_rows=8)
        losses = [TokenDivergence("jensen_shannon"), LabelLoss()]
        total, _ = chunked_loss(source, signal, losses, [torch.ones(rows)] * 2, labels, chunk_rows=8)
        total.backward()  # type: ignore[no-untyped-call]
        label_log_probs(source, labels, chunk_rows=8).sum().backward()
        token_statistics(source, signal, labels, chunk_rows=8)
    assert largest.elements == 8 * size


def test_errors_say_what_to_do() -> None:
    student, teacher, weights = lazy(0), lazy(9), [torch.ones(S)]
    with pytest.raises(ConfigError, match="needs a teacher's logits, but there is no teacher"):
        chunked_loss(student, None, [TokenDivergence("forward_kl")], weights)
    with pytest.raises(ConfigError, match="needs labels"):
        chunked_loss(student, teacher, [LabelLoss()], weights)
    padded = DenseLogits(random(S, V + 1, seed=0))
    with pytest.raises(ConfigError, match=r"the teacher has 12 and the student 11; cut padded ones"):
        chunked_loss(student, padded, [TokenDivergence("forward_kl")], weights)
    sparse = top_k(teacher, K, 2.0)
    with pytest.raises(ConfigError, match=r"kept at temperature 2.0, but reverse_kl asks for 1.0"):
        chunked_loss(student, sparse, [TokenDivergence("reverse_kl")], weights)
    with pytest.raises(ConfigError, match="has only the 3 most likely"):
        chunked_loss(student, sparse, [TokenDivergence("logit_mse", loss_temperature=2.0)], weights)
    with pytest.raises(ConfigError, match=r"kept at temperature 2\.0"):
        token_statistics(student, sparse, some_labels())


# Log-probabilities of labels, and statistics


@pytest.mark.parametrize("chunk_rows", [1, 3, None], ids=str)
@pytest.mark.parametrize("student", list(STUDENTS))
def test_label_log_probs_and_their_gradient_for_any_weights(student: str, chunk_rows: int | None) -> None:
    source, tensors = leaves(STUDENTS[student]())
    weights = random(S, seed=4)  # of both signs, as advantages are
    found = label_log_probs(source, some_labels(), chunk_rows=chunk_rows)
    plain, plain_tensors = leaves(STUDENTS[student]())
    expected = -plain_loss(LabelLoss(), None, plain_logits(plain), some_labels())
    torch.testing.assert_close(found, expected)
    gradients = torch.autograd.grad((weights * found.exp()).sum(), tensors)
    expected_gradients = torch.autograd.grad((weights * expected.exp()).sum(), plain_tensors)
    torch.testing.assert_close(gradients, expected_gradients)


def test_label_log_probs_of_no_rows_and_without_gradients() -> None:
    source, tensors = leaves(LazyLogits(random(0, D, seed=0), random(V, D, seed=1)))
    found = label_log_probs(source, some_labels()[:0])
    assert found.shape == (0,)
    for gradient, tensor in zip(torch.autograd.grad(found.sum(), tensors), tensors, strict=True):
        torch.testing.assert_close(gradient, torch.zeros_like(tensor))
    with torch.no_grad():
        assert not label_log_probs(leaves(lazy(0))[0], some_labels()).requires_grad


def test_label_log_probs_under_autocast() -> None:
    source, tensors = leaves(lazy(0, torch.float32))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = label_log_probs(source, some_labels())
    expected = label_log_probs(lazy(0, torch.float32), some_labels())
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=2e-2, atol=2e-2)
    assert not torch.equal(found, expected)
    assert all(gradient.dtype == torch.float32 for gradient in torch.autograd.grad(found.sum(), tensors))


@pytest.mark.parametrize("teacher", [*TEACHERS, None], ids=str)
def test_token_statistics(teacher: str | None) -> None:
    student, labels = lazy(0, bias=True), some_labels()
    full = None if teacher is None else TEACHERS[teacher]()
    signal = top_k(full, K) if teacher == "sparse" and full is not None else full
    found = token_statistics(leaves(student)[0], signal, labels, chunk_rows=3)
    assert not any(column is not None and column.requires_grad for column in found)
    student_logits = plain_logits(student)
    torch.testing.assert_close(found.student_nll_S, plain_loss(LabelLoss(), None, student_logits, labels))
    assert torch.equal(found.right_S, student_logits.argmax(-1) == labels)
    if full is None or signal is None:
        assert (found.teacher_nll_S, found.forward_kl_S, found.agreement_S) == (None, None, None)
        return
    assert found.agreement_S is not None
    teacher_logits = plain_logits(full)
    assert found.agreement_S.dtype == torch.bool
    assert torch.equal(found.agreement_S, student_logits.argmax(-1) == teacher_logits.argmax(-1))
    torch.testing.assert_close(
        found.forward_kl_S, plain_loss(TokenDivergence("forward_kl"), signal, student_logits, None)
    )
    nll = plain_loss(LabelLoss(), None, teacher_logits, labels)
    if isinstance(signal, SparseLogits):
        known = (signal.ids_SK == labels[:, None]).any(-1)
        assert known.any()
        nll[~known] = math.nan
    torch.testing.assert_close(found.teacher_nll_S, nll, equal_nan=True)


def test_token_statistics_of_no_rows() -> None:
    none = LazyLogits(random(0, D, seed=0), random(V, D, seed=1))
    assert [len(column) for column in token_statistics(none, none, some_labels()[:0]) if column is not None] == [0] * 5


def test_a_label_that_the_student_rules_out_is_finite_and_its_gradient_that_of_any_other() -> None:
    """`docs/conventions.md`: 100,000 nats, and q less the label's one-hot."""
    logits = torch.tensor([[0.3, 1.0, -math.inf]], dtype=torch.float64, requires_grad=True)
    total, (values,) = chunked_loss(DenseLogits(logits), None, [LabelLoss()], [torch.ones(1)], torch.tensor([2]))
    assert values.tolist() == [1e5]
    (gradient,) = torch.autograd.grad(total, logits)
    q = torch.softmax(logits.detach(), -1)
    torch.testing.assert_close(gradient, q - torch.tensor([[0, 0, 1.0]], dtype=torch.float64))
