"""The memory plan against measured peaks: students of three sizes, with and without adapter, on a CPU.

    python benchmarks/plan.py WORK_FOLDER [--only SIZE] [--write docs/results/plan.md]

Each run is planned in one fresh process and carried out in another, whose resident peak is read at its end. The
students have random weights, for what a model knows takes no memory. Runs that are done are not run again.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

SIZES = {"small": (4, 256), "medium": (6, 512), "large": (8, 768)}
"""Layers and width of a BERT with a vocabulary of 30,000."""
ADAPTERS: dict[str, dict[str, Any] | None] = {
    "none": None,
    "lora, rank 8": {"kind": "lora", "rank": 8},
}
VOCABULARY, ROWS, HELD_OUT, TOKENS, BATCH, STEPS = 30_000, 32, 8, 128, 16, 2

PLAN = """
import sys
from pathlib import Path
from limbeck.runs.config import load_run_file
from limbeck.runs.plan import plan_memory
plan = plan_memory(load_run_file(Path(sys.argv[1])))
import json
print(json.dumps({"phase": plan.worst.name, "items": {item.name: item.bytes for item in plan.worst.items}}))
"""
RUN = """
import sys
from pathlib import Path
from limbeck.numerics.memory import peak_memory_bytes
from limbeck.runs.config import load_run_file
from limbeck.runs.distill import run
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
            {"text": " ".join(f"w{rng.randrange(VOCABULARY - 5)}" for _ in range(TOKENS)), "teacher": "ab"[i % 2]}
            for i in range(count)
        ]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def make_model(folder: Path, layers: int, width: int) -> None:
    """Write an encoder with random weights and a tokenizer of whole words."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{i}" for i in range(VOCABULARY - 5))]
    inner = Tokenizer(models.WordLevel({name: i for i, name in enumerate(names)}, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    config = BertConfig(
        vocab_size=VOCABULARY, hidden_size=width, num_hidden_layers=layers, num_attention_heads=width // 64,
        intermediate_size=4 * width,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
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


def measure(work: Path, sizes: list[str]) -> list[dict[str, Any]]:
    """Plan and carry out every run of these sizes that is not done yet, and return all that are done."""
    for size in sizes:
        layers, width = SIZES[size]
        model = work / size
        if not (model / "config.json").exists():
            make_model(model, layers, width)
        for adapter, section in ADAPTERS.items():
            name = f"{size}-{adapter.split(',')[0]}"
            done = work / f"{name}.json"
            if done.exists():
                continue
            student = {"model": str(model)} | ({"adapter": section} if section else {})
            run_file = work / f"{name}.yaml"
            run_file.write_text(json.dumps({
                "task": {"labels": ["a", "b"]},
                "data": {"train": str(work / "train.jsonl"), "test": str(work / "test.jsonl")},
                "teacher": {"column": "teacher"},
                "student": student,
                "recipe": {"name": "word_level_kd", "label_weight": 0},
                "training": {"steps": STEPS, "batch_size": BATCH, "max_length": TOKENS},
                "output": str(work / f"run-{name}"),
            }), encoding="utf-8")  # fmt: skip
            plan, peak = in_a_process(PLAN, run_file), in_a_process(RUN, run_file)["peak"]
            done.write_text(json.dumps({"size": size, "adapter": adapter, "peak": peak, **plan}), encoding="utf-8")
            print(done.read_text(encoding="utf-8"), flush=True)
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(work.glob("*-*.json"))]


def table(runs: list[dict[str, Any]]) -> str:
    """Return the table of plans and peaks in Markdown; MB are 1e6 bytes."""
    lines = [
        "| student | adapter | libraries | weights | optimiser | gradients, activations | not given back | states "
        "| plan | measured | plan / measured | without libraries |",
        "| --- | --- " + "| ---: " * 10 + "|",
    ]
    order = {(size, adapter): i for i, (size, adapter) in enumerate((s, a) for s in SIZES for a in ADAPTERS)}
    for run in sorted(runs, key=lambda r: order[r["size"], r["adapter"]]):
        layers, width = SIZES[run["size"]]
        items, peak = run["items"], run["peak"]
        parts = [
            items["Python and libraries"],
            items["student's weights"],
            items["student's optimiser"],
            items["student's gradients"] + items["student's activations"],
            items["freed and not given back"],
            items.get("student's kept states", 0),
        ]
        planned = sum(items.values())
        cells = [f"{layers} x {width}", run["adapter"], *(f"{part / 1e6:.0f}" for part in [*parts, planned, peak])]
        rest = (planned - parts[0]) / (peak - parts[0])
        lines.append("| " + " | ".join([*cells, f"{planned / peak:.2f}", f"{rest:.2f}"]) + " |")
    return "\n".join(lines)


def main() -> None:
    """Measure what is missing and print the table, or put it into a page between its two marks."""
    work = Path(sys.argv[1])
    work.mkdir(parents=True, exist_ok=True)
    if not (work / "train.jsonl").exists():
        make_data(work)
    sizes = [sys.argv[sys.argv.index("--only") + 1]] if "--only" in sys.argv else list(SIZES)
    text = table(measure(work, sizes))
    if "--write" in sys.argv:
        page = Path(sys.argv[sys.argv.index("--write") + 1])
        before, rest = page.read_text(encoding="utf-8").split("<!-- table -->\n", 1)
        after = rest.split("<!-- end -->", 1)[1]
        page.write_text(f"{before}<!-- table -->\n{text}\n<!-- end -->{after}", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
