"""The output head and loss alone: CPU seconds and memory, chunked against plain logits and autograd.

    OMP_NUM_THREADS=1 python benchmarks/step/head.py

Hidden states of a student (256 wide) and a teacher (512 wide) at 2048 positions, random, float32, one thread; for each
loss the value, and the gradients by the student's hidden states and head weight. In each round of a process, in turn:

peak     a product of two 1024 x 1024 matrices: what this core gives at that moment
plain    ``hidden @ weight.T`` of both, the formula of `limbeck.numerics.divergences`, `backward`
chunked  `limbeck.numerics.chunked.chunked_loss`, `backward`

Time is CPU time, since other programs disturb the clock on the wall; a busy machine still takes cache and memory
bandwidth away. The share of the peak counts the operations of the four matrix products (student's logits, teacher's
logits, both gradients) and the time of everything. Memory is the peak of a process of its own for each contender,
less what it held before the first loss. Gradients of both are compared. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from resident import peak_bytes, spread, start_anew

ROWS, STUDENT_WIDTH, TEACHER_WIDTH = 2048, 256, 512
VOCABULARIES = (32_000, 128_256)
LOSSES = {
    "labels": (("label",), 1.0),
    "forward KL": (("forward_kl",), 1.0),
    "reverse KL": (("reverse_kl",), 1.0),
    "Jensen-Shannon": (("jensen_shannon",), 1.0),
    "skew forward KL": (("skew_forward_kl",), 1.0),
    "total variation": (("total_variation",), 1.0),
    "forward KL, T = 2, and labels": (("forward_kl", "label"), 2.0),
    "forward KL, top 64 stored": (("sparse",), 1.0),
}
CONTENDERS = ("plain", "chunked")
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
SQUARE, SQUARES = 1024, 10
TOLERANCE = 1e-5


class Work:
    """Random hidden states and heads, and the loss by either way."""

    def __init__(self, vocabulary: int, loss: str) -> None:
        import torch

        from limbeck.numerics.sparse import top_k
        from limbeck.numerics.token_losses import LabelLoss, TokenDivergence
        from limbeck.types import LazyLogits

        torch.set_num_threads(1)
        generator = torch.Generator().manual_seed(0)

        def random(*shape: int) -> Any:
            return torch.randn(*shape, generator=generator)

        kinds, temperature = LOSSES[loss]
        self.hidden = random(ROWS, STUDENT_WIDTH).requires_grad_()
        self.weight = (random(vocabulary, STUDENT_WIDTH) / STUDENT_WIDTH**0.5).requires_grad_()
        self.labels = torch.randint(vocabulary, (ROWS,), generator=generator)
        self.sparse = kinds == ("sparse",)
        self.kinds = ("forward_kl",) if self.sparse else kinds
        self.temperature = temperature
        self.losses = [
            LabelLoss() if kind == "label" else TokenDivergence(kind, loss_temperature=temperature)
            for kind in self.kinds
        ]
        self.teacher: Any = None
        if self.kinds != ("label",):
            weight = 3 * random(vocabulary, TEACHER_WIDTH) / TEACHER_WIDTH**0.5
            self.teacher = LazyLogits(random(ROWS, TEACHER_WIDTH), weight)
        self.signal = top_k(self.teacher, 64) if self.sparse else self.teacher
        self.teacher_flops = 0 if self.teacher is None else 2 * ROWS * vocabulary * TEACHER_WIDTH
        self.student_flops = 3 * 2 * ROWS * vocabulary * STUDENT_WIDTH

    def flops(self, contender: str) -> int:
        """Return the operations of the matrix products."""
        return self.student_flops + (0 if self.sparse and contender == "chunked" else self.teacher_flops)

    def plain(self) -> Any:
        """Return the loss from all logits; of the stored teacher's from the live one."""
        import torch
        from torch.nn.functional import cross_entropy

        from limbeck.numerics import divergences

        student = self.hidden @ self.weight.T
        total: Any = 0.0
        for kind in self.kinds:
            if kind == "label":
                total = total + cross_entropy(student, self.labels)
                continue
            with torch.no_grad():
                teacher = self.teacher.hidden_SD @ self.teacher.weight_VD.T
            function = getattr(divergences, kind)
            value = function(teacher_logits=teacher, student_logits=student, loss_temperature=self.temperature)
            total = total + value.mean()
        return total

    def chunked(self) -> Any:
        """Return the loss in chunks."""
        import torch

        from limbeck.numerics.chunked import chunked_loss
        from limbeck.types import LazyLogits

        weights = [torch.full((ROWS,), 1 / ROWS)] * len(self.losses)
        student = LazyLogits(self.hidden, self.weight)
        return chunked_loss(student, self.signal, self.losses, weights, self.labels)[0]

    def step(self, contender: str) -> list[Any]:
        """Return loss and gradients."""
        self.hidden.grad = self.weight.grad = None
        loss = getattr(self, contender)()
        loss.backward()
        return [loss.detach(), self.hidden.grad, self.weight.grad]


def cpu_seconds(work: Callable[[], object]) -> float:
    """Return user and system seconds of `work`."""
    start = time.process_time()
    work()
    return time.process_time() - start


def measure_time(vocabulary: int, loss: str, repeats: int) -> dict[str, Any]:
    """Return CPU seconds of each contender and operations per second of the peak, by round."""
    import torch

    work = Work(vocabulary, loss)
    square = torch.randn(SQUARE, SQUARE)
    out = torch.empty_like(square)
    results = {contender: [tensor.clone() for tensor in work.step(contender)] for contender in CONTENDERS}
    if not work.sparse:
        for plain, chunked in zip(*results.values(), strict=True):
            assert (plain - chunked).abs().max() <= TOLERANCE * plain.abs().max().clamp(min=1e-3), "they differ"
    del results
    figures: dict[str, Any] = {name: [] for name in ("peak", *CONTENDERS)}
    for _ in range(repeats):
        seconds = cpu_seconds(lambda: [torch.mm(square, square, out=out) for _ in range(SQUARES)])
        figures["peak"].append(SQUARES * 2 * SQUARE**3 / seconds)
        for contender in CONTENDERS:
            figures[contender].append(cpu_seconds(lambda name=contender: work.step(name)))  # type: ignore[misc]
    return {**figures, "flops": {contender: work.flops(contender) for contender in CONTENDERS}}


def measure_memory(vocabulary: int, loss: str, contender: str) -> dict[str, Any]:
    """Return the most that was resident during one step, less what was before it, in bytes (Linux)."""
    work = Work(vocabulary, loss)
    before = start_anew()
    work.step(contender)
    return {"bytes": peak_bytes() - before}


def in_a_process(*arguments: str) -> dict[str, Any]:
    """Measure in a process of its own."""
    command = [sys.executable, __file__, "--child", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **ENVIRONMENT}, check=False)
    if done.returncode:
        raise SystemExit(f"{shlex.join(arguments)} failed:\n{done.stderr[-4000:]}")
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def lines(options: argparse.Namespace) -> Iterator[str]:
    """Yield the table, a line when it is measured."""
    titles = ["Vocabulary", "Loss", "Plain, CPU s", "Chunked, CPU s", "Times faster", "Share of peak, plain / chunked"]
    titles += ["Plain, MiB", "Chunked, MiB", "Times less"]
    yield "| " + " | ".join(titles) + " |"
    yield "|" + " --- |" * len(titles)
    for vocabulary in options.vocabularies:
        for loss in options.losses:
            timed = in_a_process("time", str(vocabulary), loss, str(options.repeats))
            speedups = [plain / chunked for plain, chunked in zip(timed["plain"], timed["chunked"], strict=True)]
            shares = [share_of_peak(timed, contender) for contender in CONTENDERS]
            memory = [in_a_process("memory", str(vocabulary), loss, name)["bytes"] / 2**20 for name in CONTENDERS]
            cells = [f"{vocabulary:,}", loss, spread(timed["plain"]), spread(timed["chunked"]), spread(speedups)]
            cells += [f"{shares[0]:.0%} / {shares[1]:.0%}", *(f"{mebi:,.0f}" for mebi in memory)]
            yield "| " + " | ".join([*cells, f"{memory[0] / memory[1]:.1f}"]) + " |"


def share_of_peak(timed: dict[str, Any], contender: str) -> float:
    """Return the median share of the peak measured in the same round."""
    flops = timed["flops"][contender]
    return statistics.median(
        flops / seconds / peak for seconds, peak in zip(timed[contender], timed["peak"], strict=True)
    )


def main() -> None:
    """Compare both ways, or measure one thing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3, help="rounds (default: %(default)s)")
    parser.add_argument("--vocabularies", type=int, nargs="+", default=list(VOCABULARIES), help="sizes")
    parser.add_argument("--losses", nargs="+", choices=list(LOSSES), default=list(LOSSES), help="which losses")
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        what, vocabulary, loss, last = options.child
        if what == "time":
            print(json.dumps(measure_time(int(vocabulary), loss, int(last))))
        else:
            print(json.dumps(measure_memory(int(vocabulary), loss, last)))
        return
    for line in lines(options):
        print(line, flush=True)
    print("\nCommand: " + shlex.join(["python", *sys.argv]))


if __name__ == "__main__":
    main()
