"""Who pays for the teacher of a cross-lingual run?"""

from __future__ import annotations

from typing import Any

import limbeck
from limbeck.language_results import LanguageResults


def test_a_student_that_starts_from_the_backbone_still_pays_for_its_teacher(
    toy_run: dict[str, Any], light: None
) -> None:
    toy_run["recipe"]["start"] = "backbone"
    toy_run["baselines"] = ["ml_dft"]
    results = limbeck.distill(**toy_run)
    assert isinstance(results, LanguageResults)
    hours = {cost.name: (cost.english_model_hours, cost.device_hours) for cost in results.costs}
    english = hours["english_model"][0]
    assert english > 0
    assert hours["ml_ipd"][0] == english
    assert hours["ml_ipd"][1] > english
    assert hours["ml_dft"][0] == 0
