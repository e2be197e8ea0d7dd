"""The peak of this process."""

from __future__ import annotations

import pytest
import torch

from limbeck.numerics.memory import peak_memory_bytes


@pytest.mark.skipif(torch.cuda.is_available(), reason="measures the GPU where there is one")
def test_the_peak_is_in_bytes_and_never_below_what_is_in_use() -> None:
    psutil = pytest.importorskip("psutil")
    in_use = psutil.Process().memory_info().rss
    peak = peak_memory_bytes()
    assert 0.9 * in_use <= peak < psutil.virtual_memory().total
    assert peak_memory_bytes() >= peak
