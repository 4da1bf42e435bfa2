"""Measurements: two things in one run, compared as ratios, with the machine named."""

import landmarks as _landmarks  # noqa: F401 - first: it keeps libraries from reporting to their makers
