"""Settings under which a stage cannot train its teacher."""

from __future__ import annotations

from typing import Any

import pytest

from limbeck.errors import ConfigError
from limbeck.losses.hints.hidden import PatientHints
from limbeck.losses.labels import LabelCrossEntropy
from limbeck.losses.logits import ForwardKL
from limbeck.losses.output_distance import OutputDistance
from limbeck.losses.term import WeightedTerm
from limbeck.stages.outer_loop import BiLevel, require_outer_loop
from limbeck.stages.stage import Stage, Training

LABELS = WeightedTerm("labels", LabelCrossEntropy())
SOFT = WeightedTerm("soft", OutputDistance(reaches_teacher=True))


def a_stage(*terms: WeightedTerm, outer: BiLevel | None = None) -> Stage:
    return Stage("taught", terms or (LABELS, SOFT), outer=outer or BiLevel())


@pytest.mark.parametrize(
    ("stage", "training", "devices", "message"),
    [
        (a_stage(), {"micro_batch_size": 4}, 1, r"training.micro_batch_size: .* of all 8 rows at once, not of 4"),
        (a_stage(), {}, 2, "needs one process, and this run has 2: start it without a launcher"),
        (a_stage(), {"precision": "bf16"}, 1, "training.precision: .* float32 and not bf16"),
        (a_stage(LABELS), {}, 1, "needs a term on the teacher, and none has a weight above 0"),
        (a_stage(LABELS, WeightedTerm("soft", SOFT.term, weight=0)), {}, 1, "needs a term on the teacher"),
        (a_stage(SOFT, WeightedTerm("kl", ForwardKL())), {}, 1, r"'kl' \(ForwardKL\) does not. Use OutputDistance"),
        (a_stage(WeightedTerm("hints", PatientHints())), {}, 1, r"'hints' \(PatientHints\) does not"),
    ],
)  # fmt: skip
def test_refusals(stage: Stage, training: dict[str, Any], devices: int, message: str) -> None:
    with pytest.raises(ConfigError, match=f"stage 'taught' trains the teacher .*{message}|{message}"):
        require_outer_loop(stage, Training(batch_size=8, **training), devices)
    require_outer_loop(Stage("taught", stage.terms), Training(batch_size=8, **training), devices)


def test_what_passes() -> None:
    for micro in (None, 8):
        require_outer_loop(a_stage(), Training(batch_size=8, micro_batch_size=micro))


def test_such_a_stage_reads_labels_whatever_its_terms() -> None:
    assert a_stage(SOFT).reads_labels
    assert not Stage("plain", (SOFT,)).reads_labels
    assert Stage("plain", (LABELS,)).reads_labels
