"""The few figures on top."""

from __future__ import annotations

from limbeck.generation_results import GenerationResults, OneAnswer
from limbeck.report.generation_summary import generation_key_figures
from limbeck.report.generation_tables import generation_system
from limbeck.results import Interval


def test_kept_gained_and_paid(generation_results: GenerationResults) -> None:
    kept, gain, size, speed, time = generation_key_figures(generation_results)
    share = next(r for r in generation_results.figures.retention if (r.system, r.metric) == ("distilled", "rouge_l"))
    assert (kept.value, kept.title) == (f"{share.kept.value * 100:.1f} %", "of the teacher's ROUGE-L kept")
    assert gain.title == "ROUGE-L, against plain fine-tuning on the same budget"
    assert gain.value.startswith("+")
    assert "p < 0.001" in gain.detail
    assert (size.value, size.title) == ("4.4 ×", "smaller")
    assert (speed.value, speed.title) == ("4.6 ×", "faster")
    assert (time.value, time.detail) == ("40 min 36 s", "6 stages, 3 seeds")


def test_plain_text_shows_perplexity_and_nats(generation_results: GenerationResults) -> None:
    figures = generation_results.figures.model_copy(update={"headline": "nll_nats"})
    first, second, *_ = generation_key_figures(generation_results.model_copy(update={"figures": figures}))
    assert first.title == "perplexity of the held-out references"
    assert second.title == "loss per token, against plain fine-tuning on the same budget"
    assert second.value.startswith("−")
    assert second.value.endswith(" nats")


def test_a_slower_student_is_called_so(generation_results: GenerationResults) -> None:
    slow = [
        s.model_copy(update={"speed": s.speed.model_copy(update={"tokens_per_second": 155.0})})
        if s.name == "distilled"
        else s
        for s in generation_results.figures.systems
    ]
    figures = generation_results.figures.model_copy(update={"systems": slow})
    titles = {
        f.title: f.value for f in generation_key_figures(generation_results.model_copy(update={"figures": figures}))
    }
    assert titles["slower"] == "2.0 ×"


def test_nothing_known_shows_nothing(bare_generation_results: GenerationResults) -> None:
    assert generation_key_figures(bare_generation_results) == []


def test_a_student_that_one_answer_could_stand_in_for_is_not_headed_by_what_it_keeps(
    generation_results: GenerationResults,
) -> None:
    figures = generation_results.figures
    own = generation_system(figures, "distilled").rouge_l
    answer = OneAnswer(answer="no", rows=3, of_rows=9, rouge_l=own, exact_match=None, numeric_match=None)
    against = figures.comparisons[0].model_copy(
        update={"second": "most_frequent", "metric": "rouge_l", "difference": Interval(value=0, low=-0.1, high=0.1)}
    )
    headline = {"headline": "rouge_l", "one_answer": answer, "comparisons": [*figures.comparisons, against]}
    results = generation_results.model_copy(update={"figures": figures.model_copy(update=headline)})
    first = generation_key_figures(results)[0]
    assert first.title == "ROUGE-L; not shown to be better than one answer to every prompt"
    assert first.value == f"{own.value * 100:.1f} %"
