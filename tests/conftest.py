"""What all tests share."""

from __future__ import annotations

from hypothesis import settings

import landmarks as _landmarks  # noqa: F401 - first: it keeps libraries from reporting to their makers

settings.register_profile("suite", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("suite")
