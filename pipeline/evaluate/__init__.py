"""Masks against the truth (``uncrop evaluate``)."""
