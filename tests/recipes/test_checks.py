"""Shares."""

from __future__ import annotations

import math

import pytest

from limbeck.errors import ConfigError
from limbeck.recipes.checks import require_share


@pytest.mark.parametrize("value", [0, 0.0, 0.5, 1])
def test_shares(value: float) -> None:
    require_share("label_weight", value)


@pytest.mark.parametrize("value", [-0.01, 1.01, math.nan, math.inf])
def test_what_is_no_share(value: float) -> None:
    with pytest.raises(ConfigError, match=r"recipe\.label_weight must be between 0 and 1, not"):
        require_share("label_weight", value)
