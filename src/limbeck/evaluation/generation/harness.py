"""Tasks of EleutherAI's Language Model Evaluation Harness (package ``lm-eval``, an extra), as commonly reported."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from limbeck.errors import ConfigError
from limbeck.results.sections import HarnessFigure

__all__ = ["harness_figures", "require_harness"]

_ROWS = 16


def require_harness() -> None:
    """Check early that the extra is installed. Raises `ConfigError`."""
    try:
        import lm_eval  # noqa: F401
    except ImportError as error:
        raise ConfigError("--lm-eval needs the package lm-eval: pip install 'limbeck[lm-eval]'") from error


def harness_figures(
    system: str, model: Any, tokenizer: Any, tasks: Sequence[str], *, max_length: int, chat: bool
) -> list[HarnessFigure]:
    """Return a model's figures on the harness's tasks, each with the task's own shots and metrics.

    Args:
        system: name of the system in the figures.
        model: a language model, on its device.
        tokenizer: the tokenizer of the model.
        tasks: names of tasks, groups or tags, or YAML files of tasks.
        max_length: longest text in tokens; longer ones lose their beginning.
        chat: format questions with the tokenizer's chat template.

    Raises:
        ConfigError: the extra is not installed, a task is unknown, its data cannot be loaded, or it does not run.
    """
    require_harness()
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM

    was_training = model.training
    with _quiet():
        wrapped = HFLM(pretrained=model.eval(), tokenizer=tokenizer, batch_size=_ROWS, max_length=max_length)
        try:
            found = simple_evaluate(wrapped, tasks=list(tasks), apply_chat_template=chat, log_samples=False)
        except Exception as error:  # of any kind: tasks and data are third-party
            words = str(error).strip().splitlines() or [""]
            raise ConfigError(
                f"lm-eval could not run {', '.join(tasks)}: {type(error).__name__}: {words[0]}. `lm-eval ls tasks` "
                "lists the existing tasks; most load their data from the Hugging Face hub"
            ) from error
        finally:
            model.train(was_training)
    assert found is not None
    return _figures(system, found)


def _figures(system: str, found: Mapping[str, Any]) -> list[HarnessFigure]:
    """Read the harness's table: ``metric,filter`` and ``metric_stderr,filter``."""
    figures = []
    for task, values in found["results"].items():
        for key, value in values.items():
            metric, comma, kind = key.partition(",")
            if not comma or metric.endswith("_stderr") or not isinstance(value, int | float):
                continue
            error = values.get(f"{metric}_stderr,{kind}")
            figures.append(
                HarnessFigure(
                    system=system,
                    task=task,
                    metric=metric if kind == "none" else f"{metric} ({kind})",
                    value=float(value),
                    standard_error=float(error) if isinstance(error, int | float) else None,
                    higher_is_better=found.get("higher_is_better", {}).get(task, {}).get(metric),
                    samples=found.get("n-samples", {}).get(task, {}).get("effective"),
                    shots=found.get("n-shot", {}).get(task),
                    version=str(found.get("versions", {}).get(task)),
                )
            )
    return figures


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the harness's progress bars and messages off the terminal; errors are exceptions."""
    logger = logging.getLogger("lm_eval")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)
