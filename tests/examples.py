"""On how many examples a property is tried."""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, settings

EXAMPLES = settings().max_examples
"""Of each property; ``--hypothesis-profile=thorough`` asks for more (``conftest.py``)."""


def bounded(examples: int) -> settings:
    """The same examples each time, none kept on disk; composing is too slow to shrink them."""
    return settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=[HealthCheck.too_slow],
    )
