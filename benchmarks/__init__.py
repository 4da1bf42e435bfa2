"""Measurements: two things in one run, compared as ratios, with the machine named."""
