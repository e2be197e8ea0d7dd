"""Program of `test_text_kills.py`: for each line that it reads, forks a process that carries out a command.

A line holds the command's words as JSON. Prints the process's id, and how it ended as `os.waitstatus_to_exitcode`
says it. The processes are forked because importing the libraries takes far longer than what is tested.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import warnings

import limbeck.evaluation.generation.measure as measure
import limbeck.report.page as page
import limbeck.runs.text_outcome as outcome
import limbeck.runs.text_store as text_store
from limbeck.cli.app import main
from limbeck.cli.terminal import quiet_libraries
from limbeck.generation_results import GenerationSpeed


def prepare() -> None:
    """Import what commands import as they go, and leave out what these tests are not about."""
    import scipy.stats  # noqa: F401
    from transformers import Trainer, TrainingArguments  # noqa: F401
    from transformers.models.llama import modeling_llama  # noqa: F401

    import limbeck.cli.show_texts
    import limbeck.runs.distill  # noqa: F401

    unknown = dict.fromkeys(("tokens_per_second", "batch_size", "peak_memory_bytes"))
    outcome.writing_speed = lambda *words: GenerationSpeed(parameters=1, size_bytes=1, **unknown)
    measure._RESAMPLES = 20
    page.write_report = lambda results, path: path.touch()
    text_store._SYNC_EVERY = 2  # more moments that differ
    os.fsync = lambda file: None  # a kill takes nothing from the operating system, and a busy disk takes seconds
    quiet_libraries()


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    prepare()
    gc.freeze()
    print("ready", flush=True)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            sys.argv = ["limbeck", *json.loads(line)]
            main()
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
