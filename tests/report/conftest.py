"""Fixtures of all tests of reports."""

from tests.report.generation_samples import (  # noqa: F401
    bare_generation_results,
    generation_drawings,
    generation_results,
    hostile_generation_drawings,
    hostile_generation_results,
)
from tests.report.label_samples import (  # noqa: F401
    bare_results,
    full_figures,
    full_results,
    hostile_figures,
    hostile_results,
)
from tests.report.language_samples import (  # noqa: F401
    bare_language_results,
    hostile_language_figures,
    hostile_language_results,
    language_figures,
    language_results,
    official_language_results,
)
