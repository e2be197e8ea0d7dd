"""The memory plan against measured peaks: students of three sizes, with and without adapter, and others, on a CPU.

    python benchmarks/plan.py WORK_FOLDER [--only NAME ...] [--write docs/results/plan.md]

Each run is planned in one fresh process and carried out in another, whose resident peak is read at its end. The
models have random weights, for what a model knows takes no memory. Runs that are done are not run again.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

VOCABULARY, ROWS, HELD_OUT, STEPS = 30_000, 64, 8, 2
LORA = {"kind": "lora", "rank": 8}
PARTS = {
    "libraries": ("Python and libraries",),
    "weights": ("student's weights", "teacher's weights"),
    "optimiser": ("student's optimiser",),
    "gradients, activations": ("student's gradients", "student's activations", "teacher's activations"),
    "allocator": ("allocator",),
    "states": ("student's kept states",),
}
"""Columns of the table, and the items of the plan in each."""


@dataclass(frozen=True)
class Case:
    """One run. `kind` is BERT or Llama, the student all of the model or, beside it as teacher, two of its layers."""

    layers: int
    width: int
    adapter: dict[str, Any] | None = None
    kind: str = "bert"
    batch: int = 16
    micro_batch: int | None = None
    tokens: int = 128
    teacher: bool = False

    @property
    def model(self) -> str:
        """Name of the model's folder."""
        return f"{self.kind}-{self.layers}x{self.width}"

    def sections(self, work: Path) -> dict[str, Any]:
        """Return the run file without data and output."""
        model = str(work / self.model)
        training = {"max_steps": STEPS, "batch_size": self.batch, "max_length": self.tokens}
        if self.teacher:
            student: dict[str, Any] = {"from_teacher": {"layers": "spread", "keep": 2}}
        else:
            student = {"model": model} | ({"adapter": self.adapter} if self.adapter else {})
        return {
            "teacher": {"model": model} if self.teacher else {"column": "teacher"},
            "student": student,
            "recipe": {"name": "distilbert"} if self.teacher else {"name": "kd", "label_weight": 0},
            "training": training | ({"micro_batch_size": self.micro_batch} if self.micro_batch else {}),
        }


CASES = {
    "small": Case(4, 256),
    "small-lora": Case(4, 256, LORA),
    "medium": Case(6, 512),
    "medium-lora": Case(6, 512, LORA),
    "large": Case(8, 768),
    "large-lora": Case(8, 768, LORA),
}
OTHER_CASES = {
    "llama": Case(4, 384, kind="llama", batch=8, tokens=200),
    "houlsby": Case(6, 512, {"kind": "houlsby", "width": 32}, batch=32, tokens=64),
    "micro-batches": Case(6, 512, batch=32, micro_batch=4),
    "teacher": Case(6, 512, batch=8, teacher=True),
}
"""Runs of other kinds: they decided nothing in the planner."""

PLAN = """
import sys
from pathlib import Path
from limbeck.runs.config import load_run_file
from limbeck.tasks.classification.memory import plan_memory
plan = plan_memory(load_run_file(Path(sys.argv[1])))
import json
print(json.dumps({"phase": plan.worst.name, "items": {item.name: item.bytes for item in plan.worst.items}}))
"""
RUN = """
import sys
from pathlib import Path
from limbeck.numerics.memory import peak_memory_bytes
from limbeck.runs.config import load_run_file
from limbeck.runs.flow import run
from limbeck.types import SilentProgress
run(load_run_file(Path(sys.argv[1])), progress=SilentProgress())
import json
print(json.dumps({"peak": peak_memory_bytes()}))
"""


def make_data(folder: Path) -> None:
    """Write rows of random words, every row longer than the limit of tokens."""
    rng = random.Random(0)
    for name, count in {"train": ROWS, "test": HELD_OUT}.items():
        lines = [
            {"text": " ".join(f"w{rng.randrange(VOCABULARY - 5)}" for _ in range(256)), "teacher": "ab"[i % 2],
             "label": "ab"[i % 2]}
            for i in range(count)
        ]  # fmt: skip
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def make_model(folder: Path, case: Case) -> None:
    """Write a classifier with random weights and a tokenizer of whole words."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedTokenizerFast

    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{i}" for i in range(VOCABULARY - 5))]
    inner = Tokenizer(models.WordLevel({name: i for i, name in enumerate(names)}, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    config = AutoConfig.for_model(
        case.kind, vocab_size=VOCABULARY, hidden_size=case.width, num_hidden_layers=case.layers,
        num_attention_heads=case.width // 64, intermediate_size=4 * case.width, pad_token_id=0,
        id2label={0: "a", 1: "b"}, label2id={"a": 0, "b": 1},
    )  # fmt: skip
    AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
    PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
        mask_token="[MASK]", model_max_length=512,
    ).save_pretrained(folder)  # fmt: skip


def in_a_process(code: str, run_file: Path) -> dict[str, Any]:
    """Run `code` on a run file in a process of its own and return the JSON of its last line."""
    environment = os.environ | {"HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code, str(run_file)], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def measure(work: Path, name: str, case: Case) -> dict[str, Any]:
    """Plan and carry out a run, unless it is done, and return the items of the plan and the measured peak."""
    done = work / f"{name}.json"
    if not done.exists():
        if not (work / case.model / "config.json").exists():
            make_model(work / case.model, case)
        run_file = work / f"{name}.yaml"
        run_file.write_text(json.dumps({
            "task": {"labels": ["a", "b"]},
            "data": {"train": str(work / "train.jsonl"), "test": str(work / "test.jsonl")},
            **case.sections(work),
            "baselines": [],
            "output": str(work / f"run-{name}"),
        }), encoding="utf-8")  # fmt: skip
        plan, peak = in_a_process(PLAN, run_file), in_a_process(RUN, run_file)["peak"]
        done.write_text(json.dumps({"peak": peak, **plan}), encoding="utf-8")
        print(name, done.read_text(encoding="utf-8"), flush=True)
    found: dict[str, Any] = json.loads(done.read_text(encoding="utf-8"))
    return found


def table(work: Path, cases: dict[str, Case]) -> str:
    """Return the table of plans and peaks in Markdown; MB are 1e6 bytes."""
    heads = ["student", "adapter", "batch", *PARTS, "plan", "measured", "plan / measured", "without libraries"]
    lines = ["| " + " | ".join(heads) + " |", "| --- | --- | --- " + "| ---: " * (len(heads) - 3) + "|"]
    for name, case in cases.items():
        run = measure(work, name, case)
        items, peak = run["items"], run["peak"]
        parts = [sum(items.pop(item, 0) for item in names) for names in PARTS.values()]
        assert not items, f"no column for {items}"
        planned = sum(parts)
        student = f"{case.kind} {case.layers} x {case.width}"
        student = f"2 layers of teacher {student}" if case.teacher else student
        batch = f"{case.micro_batch or case.batch} x {case.tokens}"
        ratios = [planned / peak, (planned - parts[0]) / (peak - parts[0])]
        lines.append("| " + " | ".join([
            student,
            " ".join(str(value) for value in (case.adapter or {"kind": "none"}).values()),
            f"{batch} of {case.batch}" if case.micro_batch else batch,
            *(f"{part / 1e6:.0f}" for part in [*parts, planned, peak]),
            *(f"{ratio:.2f}" for ratio in ratios),
        ]) + " |")  # fmt: skip
    return "\n".join(lines)


def main() -> None:
    """Measure what is missing and print the tables, or put them into a page between their marks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path, help="folder for models, runs and figures")
    parser.add_argument("--only", nargs="*", choices=[*CASES, *OTHER_CASES], help="measure and print these alone")
    parser.add_argument("--write", type=Path, help="page that the tables go to")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    if not (options.work / "train.jsonl").exists():
        make_data(options.work)
    if options.only:
        print(table(options.work, {name: (CASES | OTHER_CASES)[name] for name in options.only}))
        return
    for mark, cases in {"table": CASES, "others": OTHER_CASES}.items():
        text = table(options.work, cases)
        print(text)
        if options.write:
            before, rest = options.write.read_text(encoding="utf-8").split(f"<!-- {mark} -->\n", 1)
            after = rest.split("<!-- end -->", 1)[1]
            page = f"{before}<!-- {mark} -->\n{text}\n<!-- end -->{after}"
            options.write.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
