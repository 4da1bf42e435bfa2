"""Photograph in, faces with 68 landmarks and their crop boxes out. Imports nothing of the pipeline."""
