"""Program of `test_cases.py`: carries out commands of limbeck and scripts that use it."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

from forge import carry_out_commands, run_limbeck


def prepare() -> None:
    import aiohttp  # noqa: F401
    import scipy.stats  # noqa: F401
    import sklearn.metrics  # noqa: F401
    from transformers import Trainer, TrainingArguments, pipeline  # noqa: F401
    from transformers.models.bert import modeling_bert  # noqa: F401
    from transformers.models.llama import modeling_llama  # noqa: F401

    import limbeck.runs.flow  # noqa: F401
    from limbeck.teachers.chat.transport import known_certificates

    known_certificates()


def carry_out(words: list[str]) -> None:
    """Run a script (`script FILE WORD ...`), or a command of limbeck."""
    if words[0] == "script":
        from limbeck.errors import LimbeckError

        sys.argv = words[1:]
        sys.path.insert(0, str(Path(words[1]).parent))
        try:
            runpy.run_path(words[1], run_name="__main__")
        except LimbeckError as error:
            print(f"{type(error).__name__}: {error}")
            sys.exit(2)
    else:
        run_limbeck(words)


if __name__ == "__main__":
    carry_out_commands(prepare, carry_out)
