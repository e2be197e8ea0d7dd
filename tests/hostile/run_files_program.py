"""Program of `test_run_files.py`: carries out batches of commands that read run files and their kin."""

from __future__ import annotations

import contextlib
import io
import json
import sys
import traceback
from pathlib import Path

from forge import carry_out_commands


def prepare() -> None:
    from transformers import Trainer, TrainingArguments  # noqa: F401
    from transformers.models.bert import modeling_bert  # noqa: F401
    from transformers.models.llama import modeling_llama  # noqa: F401


def carry_out(words: list[str]) -> None:
    """Carry out the commands in a file, one after the other, and say beside it how each ended."""
    batch = Path(words[0])
    with batch.with_suffix(".ended").open("w", encoding="utf-8") as ended:
        for command in json.loads(batch.read_text(encoding="utf-8")):
            code, output = _carried_out(command["words"], command["stdin"])
            ended.write(json.dumps([code, output]) + "\n")
            ended.flush()


def _carried_out(words: list[str], stdin: str) -> tuple[int, str]:
    from limbeck.cli.app import main

    sys.argv, sys.stdin = ["limbeck", *words], io.TextIOWrapper(io.BytesIO(stdin.encode()))
    written = io.BytesIO()
    with io.TextIOWrapper(written, encoding="utf-8", errors="strict", write_through=True) as both:
        with contextlib.redirect_stdout(both), contextlib.redirect_stderr(both):
            try:
                main()
                code = 0
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else int(end.code is not None)
            except BaseException:
                traceback.print_exc()
                code = 1
        return code, written.getvalue().decode()


if __name__ == "__main__":
    carry_out_commands(prepare, carry_out)
