"""From an output directory to its report."""

from __future__ import annotations

from pathlib import Path

from pipeline.config import recorded_config
from pipeline.manifest.journal import read_manifest, read_run
from pipeline.outputs import write_atomically
from pipeline.report.page import render
from pipeline.report.pictures import face_picture
from pipeline.report.statistics import gather

REPORT_NAME = "report.html"


def write_report(output: Path, path: Path | None = None, *, pictures: bool = True) -> Path:
    """Write the report of a run, finished or not.

    Parameters
    ----------
    output
        The output directory.
    path
        The page; None: `REPORT_NAME` in the output directory.
    pictures
        Whether contact sheets are made; the photographs are read for them.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    OutputError
        It cannot be written.
    """
    run = read_run(output)
    statistics = gather(read_manifest(output))
    photos = Path(run.get("working_directory", "."))
    settings = recorded_config(run.get("config")).input
    sheets = {
        title: [(sample, face_picture(sample, output, photos, settings)) for sample in best.samples()]
        for title, best in statistics.sheets.items()
        if pictures
    }
    path = path or output / REPORT_NAME
    write_atomically(path, [render(statistics, run, sheets).encode()])
    return path
