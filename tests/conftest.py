"""Settings for all tests: hypothesis tries the same examples in every run, and fewer of them in `make test-fast`."""

from __future__ import annotations

import pytest
from hypothesis import settings

settings.register_profile("all", derandomize=True, deadline=None)
settings.register_profile("fast", derandomize=True, deadline=None, max_examples=20)


def pytest_configure(config: pytest.Config) -> None:
    """Choose the profile before tests are collected."""
    settings.load_profile("fast" if config.getoption("markexpr") == "not slow" else "all")
