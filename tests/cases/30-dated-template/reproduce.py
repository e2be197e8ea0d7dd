"""A chat template that writes today's date: a store filled yesterday."""

import datetime
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "common"))
import make_writers as tiny
import torch
import transformers as hf
import transformers.utils.chat_template_utils as templates
from typer.testing import CliRunner

from limbeck.cli.app import app

for name, count, seed in (("train", 120, 1), ("test", 16, 2)):
    Path(f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in tiny.rows(count, seed)))
torch.manual_seed(0)


class Clock(datetime.datetime):
    today_is = 1

    @classmethod
    def now(cls, tz=None):
        return datetime.datetime(2026, 11, cls.today_is)


templates.datetime = Clock  # what strftime_now of a template reads
dated = "{{ '<|im_start|>system\\nToday Date: ' + strftime_now('%d %b %Y') + '<|im_end|>\\n' }}" + tiny.CHAT
tokenizer = tiny.tokenizer(dated)
same = {
    "vocab_size": len(tokenizer),
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "bos_token_id": 0,
    "eos_token_id": 0,
}
tiny.trained(
    hf.Qwen2ForCausalLM(hf.Qwen2Config(hidden_size=48, intermediate_size=96, **same)),
    tokenizer,
    "teacher",
    steps=100,
    ends=[2, 0],
)
tiny.trained(
    hf.Qwen2ForCausalLM(hf.Qwen2Config(hidden_size=32, intermediate_size=64, **same)),
    tokenizer,
    "student",
    steps=2,
    ends=0,
)
Path("run.yaml").write_text("""task: {kind: generation, prompt: prompt, completion: answer}
data: {train: train.jsonl, test: test.jsonl}
teacher: {model: teacher, store: store}
student: {model: student}
recipe: {name: kd}
training: {max_steps: 20, batch_size: 16, max_length: 96}
answers: {rows: 0}
baselines: []
output: run
""")
for day, command in ((1, "store"), (2, "distill"), (1, "distill")):
    Clock.today_is = day
    result = CliRunner().invoke(app, [command, "run.yaml"])
    print(f"day {day}: {command}: exit code {result.exit_code}", result.exception or "")
