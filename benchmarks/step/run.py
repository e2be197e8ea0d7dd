"""Speed and memory of a distillation step: limbeck, TRL, and a plain PyTorch loop.

    pip install -c constraints.txt '.[test]'
    python -m venv /tmp/trl && /tmp/trl/bin/pip install torch==2.13.0 trl==1.16.0 transformers==5.23.0
    python benchmarks/step/run.py --peer /tmp/trl/bin/python

A Llama-shaped teacher (12 layers, 512 wide) is distilled into a student (4 layers, 256 wide) on 4 rows of 512 tokens,
in float32, on one thread, without gradient checkpointing; weights and rows are random. Each arm runs its library's
trainer, with the same rows, first weights, optimiser (fused AdamW), schedule and clipping, in a process of its own.
The arms of a group are all alive and take turns: one step each, round after round, a step of matrix products alone
(`gemm`) among them. What a step is and how it is measured: `clock.py`.

Prints a JSON line for each step to stderr, and tables to stdout.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from resident import spread
from work import BATCH, LENGTH, NEW_TOKENS, PROMPT, step_flops

HERE = Path(__file__).parent
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "CUDA_VISIBLE_DEVICES": "",
    "HF_HUB_OFFLINE": "1",
    "PYTHONWARNINGS": "ignore",
    "PYTHONPATH": str(HERE.parents[1] / "src"),
}
SMALL, LARGE = 32_000, 128_256
GROUPS: dict[str, tuple[int, list[str]]] = {
    "large": (LARGE, ["ours kl", "peer chunked", "plain loop"]),
    "small": (SMALL, ["ours kl", "ours jsd", "ours store", "peer kl", "peer jsd", "plain loop"]),
    "on-policy": (SMALL, ["ours on-policy", "peer on-policy"]),
    "supervised": (SMALL, ["ours kl", "ours kl:0.3", "ours kl:0"]),
    "supervised-large": (LARGE, ["ours kl", "ours kl:0.3", "ours kl:0"]),
    "memory": (LARGE, ["ours kl", "peer kl"]),
}
"""Vocabulary and arms, the first of which the others are compared with."""


@dataclass
class Arm:
    """A process that steps when told to, and what its steps cost."""

    name: str
    process: subprocess.Popen[str]
    steps: list[dict[str, Any]] = field(default_factory=list)

    def read(self) -> dict[str, Any]:
        """Return the next line of the process."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} ended with {self.process.wait()}")
        values: dict[str, Any] = json.loads(line)
        return values

    def step(self) -> dict[str, Any]:
        """Order a step and wait for it."""
        assert self.process.stdin is not None
        print("step", file=self.process.stdin, flush=True)
        return self.read()


def start(name: str, vocabulary: int, options: argparse.Namespace) -> Arm:
    """Start an arm and wait for its first step, of short rows."""
    program, _, arm = name.partition(" ")
    python = options.peer if program == "peer" else sys.executable
    command = [python, str(HERE / f"{program}.py"), arm or program, "--vocabulary", str(vocabulary)]
    if options.tied:
        command.append("--tied")
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=None if options.verbose else subprocess.DEVNULL,
        text=True,
        env={**os.environ, **ENVIRONMENT},
    )
    started = Arm(name, process)
    started.read()
    return started


def run_group(group: str, options: argparse.Namespace) -> dict[str, list[dict[str, Any]]]:
    """Let the arms of a group take turns; the first full step of each is a warm-up, of which the memory counts."""
    vocabulary, names = GROUPS[group]
    names = [name for name in names if options.peer or not name.startswith("peer")]
    arms: list[Arm] = []
    try:
        for name in ["plain gemm", *names]:
            arms.append(start(name, vocabulary, options))
        for number in range(options.rounds + 1):
            for arm in arms:
                said = {"group": group, "arm": arm.name, "round": number, **arm.step()}
                print(json.dumps(said), file=sys.stderr, flush=True)
                arm.steps.append(said)
    finally:
        for arm in arms:
            arm.process.kill()
            arm.process.wait()
    return {arm.name: arm.steps for arm in arms}


def table(group: str, arms: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Return the lines of a group's table. Ratios are of the arms' steps within one round, then their median."""
    vocabulary, (own, *_) = GROUPS[group]
    lines = [
        f"### {group}: V = {vocabulary:,}",
        "",
        f"| arm | CPU s a step | times {own} | memory of the step, MB | times {own} | of the GEMM peak | loss |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    timed = {name: steps[1:] or steps for name, steps in arms.items()}
    peaks = [step["flops_per_second"] for step in timed.pop("plain gemm")]
    for name, steps in timed.items():
        seconds = [step["seconds"] for step in steps]
        ratios = [step["seconds"] / other["seconds"] for step, other in zip(steps, timed[own], strict=True)]
        memory = arms[name][0]["memory"] / 1e6
        share = "" if (flops := flops_of(name, vocabulary)) is None else _shares(flops, seconds, peaks)
        of_own = arms[name][0]["memory"] / arms[own][0]["memory"]
        cells = [name, spread(seconds), spread(ratios), f"{memory:.0f}", f"{of_own:.1f}", share]
        lines.append("| " + " | ".join([*cells, f"{arms[name][0]['loss']:.5f}"]) + " |")
    return [*lines, "", f"GEMM peak: {spread([peak / 1e9 for peak in peaks])} GFLOP/s.", ""]


def _shares(flops: float, seconds: list[float], peaks: list[float]) -> str:
    return spread([100 * flops / (each * peak) for each, peak in zip(seconds, peaks, strict=True)], 0) + " %"


def flops_of(name: str, vocabulary: int) -> float | None:
    """Return the operations that an arm's step cannot do without, where that is one number for all arms."""
    if name == "plain loop" or name.partition(" ")[2] in ("kl", "jsd", "chunked"):
        return step_flops(vocabulary)
    return None


def main() -> None:
    """Run the groups one after the other and print their tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", help="interpreter that has TRL; without it TRL is left out")
    parser.add_argument("--rounds", type=int, default=5, help="measured steps of each arm (default: %(default)s)")
    parser.add_argument("--groups", nargs="+", choices=list(GROUPS), default=list(GROUPS))
    parser.add_argument("--tied", action="store_true", help="both models' heads are their embeddings")
    parser.add_argument("--verbose", action="store_true", help="show what the arms print")
    options = parser.parse_args()
    for group in options.groups:
        print("\n".join(table(group, run_group(group, options))), flush=True)
    print(f"{BATCH} rows of {LENGTH} tokens; on-policy {NEW_TOKENS} tokens after {PROMPT}.")


if __name__ == "__main__":
    main()
