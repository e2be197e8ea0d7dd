"""Options of saved students: checked by their kind, refused in one sentence."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import PositiveInt, model_validator

from limbeck.errors import ConfigError
from limbeck.tasks.options import Options, checked_options


class Dancing(Options):
    max_steps: PositiveInt = 8
    partner: str | None = None

    @model_validator(mode="after")
    def _no_tango_alone(self) -> Dancing:
        if self.max_steps == 2 and self.partner is None:
            raise ValueError("--max-steps 2 goes with --partner")
        return self


def test_what_is_given_is_checked_and_the_rest_has_defaults() -> None:
    assert checked_options(Dancing, {}, "students that dance") == Dancing()
    assert checked_options(Dancing, {"max_steps": 2, "partner": "x"}, "students that dance").partner == "x"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"top": 3}, "--top is not for students that dance"),
        ({"top": 3, "lang_field": "l", "partner": "x"}, "--top and --lang-field are not for students that dance"),
        ({"max_steps": 0}, "--max-steps: Input should be greater than 0"),
        ({"max_steps": 2}, "--max-steps 2 goes with --partner"),
    ],
)
def test_what_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        checked_options(Dancing, given, "students that dance")
    assert str(raised.value) == message
