"""Runs to export, written once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.exports.runs import SHOTS, crowd, write_run_of


@pytest.fixture(scope="package")
def upright_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs of every kind; masks upright, whole where faces overlap."""
    return write_run_of(tmp_path_factory.mktemp("upright"), (*SHOTS, crowd()))


@pytest.fixture(scope="package")
def stored_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with masks on the stored grid."""
    return write_run_of(tmp_path_factory.mktemp("stored"), orientation="stored")
