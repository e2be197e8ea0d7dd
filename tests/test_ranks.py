"""Numbers that processes agree on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from limbeck.errors import ConfigError
from limbeck.ranks import from_main, require_data_parallel, require_precision, sum_over_ranks

PROGRAM = """
import atexit
import torch
import torch.distributed

atexit.register(lambda: print("still there" if torch.distributed.is_initialized() else "left"))  # called last

from limbeck.ranks import from_main, rank, sum_over_ranks

assert sum_over_ranks([1.0 + rank(), 1 / 3]) == [3.0, 2 / 3], "in float64"
assert from_main(739_584.0 + rank()) == 739_584.0

# Returns of two texts on each rank, by the other three of the step.
from limbeck.sequences.on_policy import OnPolicy, OnPolicyWriter

rewards = [[5.0, 1.0], [-2.0, 4.0]][rank()]

def write_rows(rows, decoding, seed):
    return {"labels_BT": torch.ones(len(rows), 1, dtype=torch.int64),
            "rewards_B": torch.tensor([rewards[row] for row in rows])}

writer = OnPolicyWriter(OnPolicy(1.0, reward="a:b"), write_rows, seed=0, rank=rank(), ranks=2, add_up=sum_over_ranks)
batches = [{"rows_B": torch.tensor([row])} for row in range(2)]
returns = [batch["returns_BT"].item() for batch in writer.write(0, batches)]
expected = [reward - (8.0 - reward) / 3 for reward in rewards]
assert torch.allclose(torch.tensor(returns), torch.tensor(expected)), returns

from limbeck.numerics.returns import whitened

values = torch.tensor([1.0, 2.0, 5.0, 8.0, -3.0], dtype=torch.float64)
part = values[:2] if rank() == 0 else values[2:]
expected = (part - values.mean()) / (values.var(correction=0) + 1e-8) ** 0.5
assert torch.allclose(whitened(part, sum_over_ranks), expected)
print("agreed")
"""


def test_a_single_process_has_its_own_numbers() -> None:
    assert sum_over_ranks([2.5, 1]) == [2.5, 1]
    assert from_main(7.0) == 7.0


@pytest.mark.slow
def test_two_processes_have_the_same(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM, encoding="utf-8")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(program)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    assert answer.returncode == 0, answer.stderr  # one ended by gloo's threads would have -6
    assert answer.stdout.count("agreed") == 2
    assert answer.stdout.count("left") == 2


@pytest.mark.parametrize(
    ("variable", "value", "name"),
    [
        ("ACCELERATE_USE_FSDP", "true", "FSDP"),
        ("ACCELERATE_USE_FSDP", "1", "FSDP"),
        ("ACCELERATE_USE_DEEPSPEED", "True", "DeepSpeed"),
        ("ACCELERATE_USE_MEGATRON_LM", "true", "Megatron-LM"),
        ("ACCELERATE_USE_PARALLELISM_CONFIG", "true", "tensor, context or sequence parallelism"),
        ("ACCELERATE_SAGEMAKER_DISTRIBUTED_TYPE", "MODEL_PARALLEL", "SageMaker's own parallelism"),
    ],
)
def test_back_ends_that_share_out_a_model_are_refused_by_name(
    variable: str, value: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigError, match=rf"asks for {name} \({variable}\).*torchrun.*limbeck plan"):
        require_data_parallel()


@pytest.mark.parametrize("value", ["", "false", "False", "0", "no", "NO"])
def test_what_is_switched_off_is_none(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("ACCELERATE_USE_FSDP", "ACCELERATE_USE_DEEPSPEED", "ACCELERATE_SAGEMAKER_DISTRIBUTED_TYPE"):
        monkeypatch.setenv(variable, value)
    monkeypatch.setenv("FSDP_VERSION", "2")  # set by a plain launch as well
    monkeypatch.setenv("ACCELERATE_DYNAMO_BACKEND", "inductor")
    require_data_parallel()


def test_the_launcher_s_precision_is_the_run_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.accelerator.is_available", lambda: True)
    require_precision("float32")
    for asked, wanted in (("no", "float32"), ("no", "bf16"), ("bf16", "bf16"), ("fp16", "fp16")):
        monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", asked)
        require_precision(wanted)
    for asked, wanted, to_set in (("bf16", "float32", "bf16"), ("fp16", "bf16", "fp16"), ("fp8", "bf16", "bf16")):
        monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", asked)
        said = f"mixed precision {asked}, but training.precision is {wanted}.*training.precision: {to_set}"
        with pytest.raises(ConfigError, match=said):
            require_precision(wanted)
