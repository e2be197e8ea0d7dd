"""Program of `test_model_folders.py`: carries out commands on model folders, within bounds of time and memory."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

from forge import carry_out_commands

MOST_SECONDS = 20
MOST_EXTRA_BYTES = 1024**3


def prepare() -> None:
    import scipy.stats  # noqa: F401
    from transformers import Trainer, TrainingArguments  # noqa: F401
    from transformers.models.bert import modeling_bert  # noqa: F401
    from transformers.models.llama import modeling_llama  # noqa: F401
    from transformers.models.xlm_roberta import modeling_xlm_roberta  # noqa: F401

    import limbeck.cli.doctor
    import limbeck.cli.evaluate
    import limbeck.cli.predict
    import limbeck.runs.flow  # noqa: F401
    from limbeck.recipes.kinds import KINDS
    from limbeck.tasks.table import task_of_kind

    for kind in KINDS:
        task_of_kind(kind)


def carry_out(words: list[str]) -> None:
    """Run a command; a process that takes too long or too much memory is ended, or says so with the exit code 3."""
    from limbeck.cli.app import main

    resource.setrlimit(resource.RLIMIT_CPU, (MOST_SECONDS, MOST_SECONDS))
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0])
    most = pages * resource.getpagesize() + 8 * MOST_EXTRA_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sys.argv = ["limbeck", *words]
    try:
        main()
    finally:
        taken = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
        if taken > MOST_EXTRA_BYTES:
            print(f"{taken:,} bytes of memory")
            sys.exit(3)


if __name__ == "__main__":
    carry_out_commands(prepare, carry_out)
