"""Which frames of a clip a worker does at once."""

from __future__ import annotations

from bisect import bisect_left

from pipeline.video.timeline import Timeline

SLACK = 0.25
"""Share by which a chunk may be longer or shorter than asked for, so that little is decoded for nothing: what
begins between two key frames is decoded from the first of them on, in every pass."""

LEAD_FRAMES = 4
"""So many frames after a key frame a chunk begins best: passes look at frames before it, too, at most at so
many (``video.average_frames``), and those are decoded from the same key frame."""


def chunks_of(timeline: Timeline, chunk_frames: int) -> list[range]:
    """Places of every chunk's frames, in order; together they are all frames of the clip.

    They depend on the clip's times and the length alone.

    Parameters
    ----------
    timeline
        Of the clip.
    chunk_frames
        Frames of a chunk, give or take `SLACK`.
    """
    slack = int(SLACK * chunk_frames)
    chunks = []
    start = 0
    while len(timeline) - start > chunk_frames + slack:
        stop = _best_start(timeline, start + chunk_frames, slack)
        chunks.append(range(start, stop))
        start = stop
    return [*chunks, range(start, len(timeline))]


def _best_start(timeline: Timeline, place: int, slack: int) -> int:
    """Where a chunk begins best that should begin at a place; there, if no key frame is near."""
    key_before = max(place - LEAD_FRAMES, 0)
    after = bisect_left(timeline.key_pts, timeline.pts[key_before])
    keys = map(timeline.index_of, timeline.key_pts[max(after - 1, 0) : after + 1])
    starts = [key + LEAD_FRAMES for key in keys if key is not None]
    near = [start for start in starts if abs(start - place) <= slack]
    return min(near, key=lambda start: abs(start - place), default=place)
