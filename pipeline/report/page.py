"""The page itself: HTML that needs nothing else, with its pictures inside."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from itertools import pairwise
from typing import Any

from pipeline.report.statistics import FaceSample, Histogram, RunStatistics

Pictures = Mapping[str, Sequence[tuple[FaceSample, bytes | None]]]
"""Title of a sheet to its faces and their JPEGs."""

STATUS_WORDS = {
    "ok": "every face has its mask",
    "no_face": "no face was found; the mask is empty",
    "partial": "some faces failed",
    "failed": "nothing was written",
    "skipped": "done before",
}


def render(statistics: RunStatistics, run: Mapping[str, Any], pictures: Pictures) -> str:
    """Write the page.

    Parameters
    ----------
    statistics
        Of the whole manifest.
    run
        Contents of ``run.json``; may be empty.
    pictures
        The contact sheets.

    Returns
    -------
    str
        A whole HTML document: no scripts, no references to anything outside of it.
    """
    parts = [
        _numbers(statistics),
        _statuses(statistics),
        _failures(statistics),
        '<div class="charts">',
        _bars("Faces by size", "side of the face, pixels", statistics.sizes_px),
        _bars("Faces by score", "mean probability of face within the mask", statistics.scores),
        _bars("Photographs by number of faces", "faces", statistics.faces_per_photo, whole=True),
        _stages(statistics),
        "</div>",
        *(_sheet(title, faces) for title, faces in pictures.items() if faces),
        _run(run),
    ]
    style = (files("pipeline.report") / "report.css").read_text("utf-8")
    body = "\n".join(part for part in parts if part)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<title>Uncrop: report of a run</title>\n"
        f"<style>\n{style}</style>\n</head>\n<body>\n<main>\n<h1>Report of a run</h1>\n{body}\n"
        "</main>\n</body>\n</html>\n"
    )


def _numbers(statistics: RunStatistics) -> str:
    tiles = [
        ("photographs", statistics.photographs - statistics.clips),
        ("faces", statistics.faces),
        ("without a face", statistics.statuses["no_face"]),
        ("failed", statistics.statuses["failed"]),
    ]
    if statistics.clips:
        tiles += [
            ("clips", statistics.clips),
            ("frames of clips", statistics.clip_frames),
            ("people followed in clips", statistics.tracks),
        ]
    inner = "".join(f"<div><dt>{escape(name)}</dt><dd>{number:,}</dd></div>" for name, number in tiles)
    return f'<dl class="tiles">{inner}</dl>'


def _statuses(statistics: RunStatistics) -> str:
    rows = [
        (status, f"{count:,}", STATUS_WORDS.get(status, ""))
        for status, count in statistics.statuses.most_common()
    ]
    return "<h2>Photographs by status</h2>" + _table(
        ("status", "photographs", "which means"), rows, numbers={1}
    )


def _failures(statistics: RunStatistics) -> str:
    if not statistics.reasons:
        return ""
    rows = [
        (stage, kind, f"{count:,}", "\n".join(statistics.examples[stage, kind]))
        for (stage, kind), count in statistics.reasons.most_common()
    ]
    return "<h2>Failures by reason</h2>" + _table(("stage", "error", "times", "such as"), rows, numbers={2})


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: set[int]) -> str:
    def cells(tag: str, texts: Sequence[str]) -> str:
        return "".join(
            f"<{tag}{' class=number' if place in numbers else ''}>{escape(text)}</{tag}>"
            for place, text in enumerate(texts)
        )

    lines = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    inner = f"<thead><tr>{cells('th', head)}</tr></thead><tbody>{lines}</tbody>"
    return f'<div class="wide"><table>{inner}</table></div>'


def _bars(title: str, unit: str, histogram: Histogram, *, whole: bool = False) -> str:
    """A histogram as bars; ``whole``: of whole numbers from 0 on, named by those that are in."""
    edges = [f"{edge:g}" for edge in histogram.edges]
    if whole:
        bounds = [(int(low), int(high) - 1) for low, high in pairwise((0, *histogram.edges))]
        labels = [f"{low}" if low == high else f"{low} to {high}" for low, high in bounds]
    else:
        labels = [f"below {edges[0]}"]
        labels += [f"{low} to {high}" for low, high in pairwise(edges)]
    labels.append(f"{edges[-1]} and more")
    return _chart(title, unit, list(zip(labels, histogram.counts, strict=True)), digits=0)


def _stages(statistics: RunStatistics) -> str:
    done = max(statistics.photographs, 1)
    bars = [(stage, 1000 * seconds / done) for stage, seconds in statistics.seconds.most_common()]
    return _chart("Time by stage", "milliseconds a photograph, mean", bars, digits=1) if bars else ""


def _chart(title: str, unit: str, bars: Sequence[tuple[str, float]], *, digits: int) -> str:
    """Horizontal bars; the numbers stand beside them, so that nothing is told by length alone."""
    most = max((value for _, value in bars), default=0) or 1
    rows = "".join(
        f'<tr><th scope="row">{escape(label)}</th>'
        f'<td class="bar"><span style="width:{100 * value / most:.1f}%"></span></td>'
        f'<td class="number">{value:,.{digits}f}</td></tr>'
        for label, value in bars
    )
    return f"<section><h2>{escape(title)}</h2><p>{escape(unit)}</p><table>{rows}</table></section>"


def _sheet(title: str, faces: Sequence[tuple[FaceSample, bytes | None]]) -> str:
    figures = []
    for sample, jpeg in faces:
        what = f"{sample.name}, face {sample.number}"
        if jpeg is None:
            picture = '<div class="gone">photograph not found</div>'
        else:
            data = base64.b64encode(jpeg).decode("ascii")
            picture = f'<img src="data:image/jpeg;base64,{data}" alt="{escape(what)}">'
        file_name = sample.name.rpartition("/")[2]
        words = f"{sample.score:.2f} · {sample.side_px:.0f} px"
        figures.append(
            f'<figure>{picture}<figcaption title="{escape(what)}"><b>{words}</b><br>{escape(file_name)}'
            "</figcaption></figure>"
        )
    return f'<h2>{escape(title)}</h2><div class="sheet">{"".join(figures)}</div>'


def _run(run: Mapping[str, Any]) -> str:
    rows = []
    for key in ("version", "started", "seconds", "state", "digest"):
        if key in run:
            rows.append((key, str(run[key])))
    for engine in run.get("engines", ()):
        rows += [(f"engine {key}", str(value)) for key, value in engine.get("engine", {}).items()]
        rows += [(f"network {key}", str(value)) for key, value in engine.get("network", {}).items()]
    if not rows:
        return ""
    return "<h2>How it was made</h2>" + _table(("what", "value"), rows, numbers=set())
