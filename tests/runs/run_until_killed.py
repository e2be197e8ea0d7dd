"""Program of `test_text_kills.py`: carries out `limbeck store` and `limbeck distill` of texts."""

from __future__ import annotations

from forge import carry_out_commands


def prepare() -> None:
    import scipy.stats  # noqa: F401
    from transformers import Trainer, TrainingArguments  # noqa: F401
    from transformers.models.llama import modeling_llama  # noqa: F401

    import limbeck.cli.show_texts
    import limbeck.evaluation.generation.measure as measure
    import limbeck.report.page as page
    import limbeck.runs.distill  # noqa: F401
    import limbeck.runs.text_outcome as outcome
    import limbeck.runs.text_store as text_store
    from limbeck.generation_results import GenerationSpeed

    unknown = dict.fromkeys(("tokens_per_second", "batch_size", "peak_memory_bytes"))
    outcome.writing_speed = lambda *words: GenerationSpeed(parameters=1, size_bytes=1, **unknown)
    measure._RESAMPLES = 20
    page.write_report = lambda results, path: path.touch()
    text_store._SYNC_EVERY = 2  # more moments that differ


if __name__ == "__main__":
    carry_out_commands(prepare)
