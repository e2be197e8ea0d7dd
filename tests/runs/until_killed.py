"""Program of tests that kill commands: carries out `limbeck`, without what these tests are not about."""

from __future__ import annotations

from dataclasses import replace

from forge import carry_out_commands


def prepare() -> None:
    import aiohttp  # noqa: F401
    import peft  # noqa: F401
    import scipy.stats  # noqa: F401
    from transformers import Trainer, TrainingArguments  # noqa: F401
    from transformers.models.bert import modeling_bert  # noqa: F401
    from transformers.models.gpt2 import modeling_gpt2  # noqa: F401
    from transformers.models.llama import modeling_llama  # noqa: F401
    from transformers.models.xlm_roberta import modeling_xlm_roberta  # noqa: F401

    import limbeck.cli.app
    import limbeck.cli.show
    import limbeck.evaluation.metrics.measure as measure
    import limbeck.evaluation.speed as speed
    import limbeck.filter.flow as run_filter
    import limbeck.prompt_search.tune
    import limbeck.report.page as page
    import limbeck.runs.flow
    import limbeck.tasks.generation.measure as outcome
    import limbeck.tasks.generation.store as text_store
    import limbeck.tasks.generation.task_run  # noqa: F401
    import limbeck.tasks.head_signals as head_signals
    import limbeck.teachers.kept_arrays as kept_arrays
    from limbeck.results.sections import Speed
    from limbeck.teachers.chat.client import ChatTeacher  # noqa: F401
    from limbeck.teachers.chat.journal import Journal
    from limbeck.teachers.chat.transport import known_certificates

    known_certificates()
    # Memory is measured in processes of their own, and speed takes its time.
    speed._measure_on_disk = lambda model, longest: (1, 1)  # type: ignore[assignment]
    speed._LATENCY_ROWS, speed._THROUGHPUT_BATCHES = 2, 1
    unknown = dict.fromkeys(("tokens_per_second", "batch_size", "peak_memory_bytes"))
    outcome.writing_speed = lambda *words: Speed(parameters=1, size_bytes=1, **unknown)
    measure.RESAMPLES = 20
    page.write_report = lambda results, path: path.touch()
    # More moments that differ.
    text_store._SYNC_EVERY = 2
    kept_arrays._SAVE_EVERY_BATCHES, head_signals._BATCH_SEQUENCES = 1, 8
    judge_of, prepare_journal = run_filter.judge_of, Journal._prepare
    run_filter.judge_of = lambda judge, journal: replace(judge_of(judge, journal), batch=16)

    def without_sync(journal: Journal) -> None:
        prepare_journal(journal)
        journal._connection.execute("PRAGMA synchronous = OFF")

    Journal._prepare = without_sync  # type: ignore[method-assign]


if __name__ == "__main__":
    carry_out_commands(prepare)
