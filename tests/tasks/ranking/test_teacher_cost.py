"""Who pays for the teacher of a cross-lingual run?"""

from __future__ import annotations

from typing import Any

import pytest

import limbeck
from limbeck.results.sections import SystemCosts

pytestmark = pytest.mark.slow


def test_a_student_that_starts_from_the_backbone_still_pays_for_its_teacher(
    toy_run: dict[str, Any], light: None
) -> None:
    toy_run["recipe"]["start"] = "backbone"
    toy_run["baselines"] = ["ml_dft"]
    results = limbeck.distill(**toy_run)
    costs = results.section(SystemCosts)
    assert costs is not None
    hours = {cost.system: (cost.teacher_hours, cost.device_hours) for cost in costs.systems}
    english = hours["teacher"][0]
    assert english > 0
    assert hours["ml_ipd"][0] == english
    assert hours["ml_ipd"][1] > english
    assert hours["ml_dft"][0] == 0
