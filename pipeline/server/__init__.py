"""Masks over HTTP: an app, a pool of worker processes behind it, and pages to look at."""
