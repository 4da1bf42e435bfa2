"""One clip on its way: what is asked, and the stages it goes through. This tells the story of a clip.

::

    probe     the clip's times, its digest, and what of it is there already from a run that was killed
    find      a chunk: faces and landmarks of every frame                         (a task a chunk)
    link      the whole clip: tracks, short gaps filled, which tracks are wanted
    judge     with faces.min_confidence, a chunk: how sure it is of every track      (a task a chunk)
    choose    with faces.min_confidence, the whole clip: which tracks are believed
    segment   a chunk: steady crops, scores averaged along the motion, pictures    (a task a chunk)
    finish    the chunks' pictures joined, tracks and landmark files, the line of the manifest

What a stage leaves behind depends on the clip and the settings alone, not on who did it or how often it was
killed.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.config import Config
from pipeline.errors import ClipReadError, LandmarkFileError
from pipeline.files import printable
from pipeline.images import file_sha256, keep_quiet
from pipeline.video.choosing import Census
from pipeline.video.chunk_outputs import ChunkOutputs
from pipeline.video.chunks import chunks_of
from pipeline.video.finding import ChunkSearch, FrameFaces
from pipeline.video.leavings import remove_numbered_files
from pipeline.video.lines import found_frame, found_line, linked_frame, linked_line
from pipeline.video.lms import read_lms
from pipeline.video.reader import Frame, clip_sha256, probe, read_frames
from pipeline.video.segmenting import SegmentedFrame, Segmenter, segment_frames
from pipeline.video.smoothing import reach_seconds
from pipeline.video.steady import PlannedFace, plan_faces
from pipeline.video.store import Store, read_json_lines
from pipeline.video.task import Clip
from pipeline.video.timeline import Timeline
from pipeline.video.tracks import LinkedFace, LinkedFrame, Linker, with_gaps_filled
from pipeline.video.tracks_file import track_lines

BESIDE = "beside"
"""``landmarks.read`` that takes ``CLIP.lms`` next to every clip."""


def content_sha256(clip: Clip, config: Config, progress: Callable[[], None] = keep_quiet) -> str:
    """Digest of all that is read of a clip: the file, and its landmark file where that is used.

    Parameters
    ----------
    clip, config
        Which clip, and whether it has a landmark file.
    progress
        Called while it is read.

    Raises
    ------
    ImageReadError, ClipReadError
        One of them is missing or unreadable.
    """
    content = clip_sha256(clip.task.path, progress)
    landmarks = landmark_file(clip.task.path, config)
    if landmarks is None:
        return content
    return hashlib.sha256(f"{content} {file_sha256(landmarks)}".encode()).hexdigest()


def landmark_file(path: str, config: Config) -> str | None:
    """The landmark file of a clip, or None where faces are searched for."""
    read = config.landmarks.read
    return str(Path(path).with_suffix(".lms")) if read == BESIDE else read


def begin(
    clip: Clip, config: Config, sha256: str, progress: Callable[[], None] = keep_quiet
) -> dict[str, Any]:
    """Stage ``probe``: write the timeline, and tell which parts are missing.

    ``progress`` is called while the clip is read.

    Returns
    -------
    dict
        ``stages``: stage -> numbers of the chunks to do, in the order of the stages; of those that are done
        for the whole clip at once ``[0]`` or nothing.
    """
    store = clip.store(config, sha256)
    if not store.has("timeline"):
        store.forget_others()
        remove_numbered_files(clip, config)
        timeline = probe(
            clip.task.path,
            max_pixels=config.input.max_pixels,
            picture_rate=config.video.picture_rate,
            progress=progress,
        )
        store.write("timeline", [timeline.to_json()])
    timeline = store.timeline()
    chunks = range(len(chunks_of(timeline, config.video.chunk_frames)))
    given = landmark_file(clip.task.path, config) is not None
    known = given or store.has("linked") or found_before(clip, config, sha256)
    chosen = config.faces.min_confidence == 0 or store.has("chosen")
    stages = {
        "find": [] if known else [chunk for chunk in chunks if not store.has("found", chunk)],
        "link": [] if store.has("linked") else [0],
        "judge": [] if chosen else [chunk for chunk in chunks if not store.has("judged", chunk)],
        "choose": [] if chosen else [0],
        "segment": [chunk for chunk in chunks if not store.has("done", chunk)],
        "finish": [0],
    }
    return {"sha256": sha256, "stages": stages}


def find_chunk(clip: Clip, config: Config, store: Store, chunk: int, finder: Any) -> None:
    """Stage ``find``: search a chunk for faces."""
    timeline = store.timeline()
    frames = chunks_of(timeline, config.video.chunk_frames)[chunk]
    search = ChunkSearch(finder, every=config.video.search_every, frame_seconds=timeline.frame_seconds)
    pictures = frames_of(clip, config, timeline, frames.start - 1, frames.stop)
    store.write("found", map(found_line, search.run(pictures, frames.start, frames.stop)), chunk)


def link_clip(clip: Clip, config: Config, store: Store, sha256: str) -> None:
    """Stage ``link``: make tracks of what was found, and choose those that are wanted."""
    timeline = store.timeline()
    census = Census(timeline.size_wh)
    cuts: list[int] = []

    def counted() -> Iterator[LinkedFrame]:
        for frame in _linked(clip, config, store, sha256, timeline):
            census.count(frame)
            if frame.is_cut:
                cuts.append(frame.index)
            yield frame

    frames = counted()
    waiting = next(frames, None)
    for chunk, places in enumerate(chunks_of(timeline, config.video.chunk_frames)):
        lines: list[dict[str, Any]] = []
        while waiting is not None and waiting.index < places.stop:
            lines.append(linked_line(waiting))
            waiting = next(frames, None)
        store.write("linked", lines, chunk)
    wanted = census.wanted(config.faces.select, min_side_px=config.faces.min_side_px)
    store.write("linked", [{"tracks": census.last_track + 1, "wanted": list(wanted), "cuts": cuts}])


def segment_chunk(
    clip: Clip,
    config: Config,
    store: Store,
    chunk: int,
    segmenter: Segmenter,
    engine: Mapping[str, Any],
) -> None:
    """Stage ``segment``: masks of a chunk; ``engine`` goes into the manifest."""
    began = time.perf_counter()
    timeline = store.timeline()
    frames = chunks_of(timeline, config.video.chunk_frames)[chunk]
    linked = next(store.read("linked"))
    around = config.video.average_frames
    wanted = next(store.read("chosen")) if config.faces.min_confidence else linked
    planned = planned_faces(store, config, frames, around, wanted["wanted"])
    pictures = frames_of(clip, config, timeline, frames.start - around, frames.stop + around)
    found = segment_frames(
        pictures, planned, segmenter, start=frames.start, stop=frames.stop, average_frames=around
    )
    tally: dict[str, Any] = {"decoded": 0, "rejected": 0, "damaged": [], "errors": []}

    def written() -> Iterator[dict[str, Any]]:
        with ChunkOutputs(store, chunk, clip.task.name, timeline, config, linked["tracks"]) as outputs:
            for one in found:
                outputs.write(one.frame, one.result, [face.track for face in one.faces])
                _count(tally, one)
                yield from track_lines(one, timeline)

    store.write("tracks", written(), chunk)
    expected = set(frames) - set(tally.pop("places", []))
    seconds = round(time.perf_counter() - began, 3)
    store.write("done", [{**tally, "missing": sorted(expected), "engine": engine, "seconds": seconds}], chunk)


def _count(tally: dict[str, Any], one: SegmentedFrame) -> None:
    tally["decoded"] += 1
    tally["rejected"] += one.rejected
    tally.setdefault("places", []).append(one.frame.index)
    if one.frame.is_damaged:
        tally["damaged"].append(one.frame.index)
    tally["errors"] += [[one.frame.index, e.stage, e.type, e.message] for e in one.result.errors]


def _linked(
    clip: Clip, config: Config, store: Store, sha256: str, timeline: Timeline
) -> Iterable[LinkedFrame]:
    """Linked frames from the first pass, from that of an earlier run, or from a landmark file."""
    given = landmark_file(clip.task.path, config)
    if given is not None:
        frames = _from_landmark_file(given, timeline)
        return with_gaps_filled(frames, timeline, lost_seconds=config.video.fill_seconds)
    return Linker(timeline, lost_seconds=config.video.fill_seconds).run(
        found_frames(clip, config, store, sha256, timeline)
    )


def found_frames(
    clip: Clip, config: Config, store: Store, sha256: str, timeline: Timeline
) -> Iterator[FrameFaces]:
    """Frames of the first pass, or of that of an earlier run."""
    if found_before(clip, config, sha256):
        lines = read_json_lines(clip.found_path(config))
        next(lines)
        yield from map(found_frame, lines)
        return
    for chunk in range(len(chunks_of(timeline, config.video.chunk_frames))):
        yield from map(found_frame, store.read("found", chunk))


def found_header(clip: Clip, sha256: str) -> dict[str, str]:
    """What the file of the first pass begins with: what it was made of."""
    return {"sha256": sha256, "search_digest": clip.search_digest}


def found_before(clip: Clip, config: Config, sha256: str) -> bool:
    """Whether an earlier run has found the faces, by the same settings of the first pass."""
    path = clip.found_path(config)
    try:
        return path.exists() and next(read_json_lines(path), None) == found_header(clip, sha256)
    except ValueError:
        return False


def _from_landmark_file(path: str, timeline: Timeline) -> Iterator[LinkedFrame]:
    frames, _ = read_lms(path)
    if len(frames) > len(timeline):
        raise LandmarkFileError(
            path,
            f"holds {len(frames)} frames, but the clip has {len(timeline)}",
            "Use the clip it was made of",
        )
    for place, frame in enumerate(frames):
        if (frame.width, frame.height) != timeline.size_wh:
            size = f"{timeline.size_wh[0]} x {timeline.size_wh[1]}"
            raise LandmarkFileError(
                path,
                f"frame {place} has {frame.width} x {frame.height} pixels, but the clip {size} (upright)",
                "Use the clip it was made of; a turned one must be read upright",
            )
        faces = []
        for face in frame.faces:
            if len(face.points) != 68:
                raise LandmarkFileError(
                    path,
                    f"frame {place} has a face of {len(face.points)} landmarks, not 68",
                    "Use the 68-point predictor",
                )
            faces.append(LinkedFace(face.id, face.points.astype("f8"), face.box, 1.0, "lms"))
        faces.sort(key=lambda face: face.track)
        yield LinkedFrame(place, False, tuple(faces))


def planned_faces(
    store: Store, config: Config, frames: range, around: int, wanted: Sequence[int]
) -> dict[int, list[PlannedFace]]:
    """Where the wanted tracks' faces are cut out: place of the frame -> its faces, by track.

    Parameters
    ----------
    store
        Of a clip whose frames are linked.
    config
        The whole configuration.
    frames
        Places of a chunk's frames.
    around
        Further frames on each side that are planned, too.
    wanted
        Numbers of the tracks.
    """
    timeline = store.timeline()
    linked = _linked_around(store, timeline, config, frames, around)
    steady = config.video.steady
    return plan_faces(linked, timeline, config.crop, wanted=wanted, steady=steady)


def frames_of(clip: Clip, config: Config, timeline: Timeline, start: int, stop: int) -> Iterator[Frame]:
    """Decode a clip's frames from ``start`` to ``stop - 1``, as far as there are any."""
    threads = config.engine.threads
    return read_frames(
        clip.task.path,
        timeline,
        start,
        stop,
        max_pixels=config.input.max_pixels,
        threads=1 if threads == "auto" else threads,
        background_rgb=config.input.background_rgb,
        keep_open=True,
    )


def _linked_around(
    store: Store, timeline: Timeline, config: Config, frames: range, around: int
) -> Iterator[LinkedFrame]:
    """Linked frames of a chunk, and of as much time around it as shapes it."""
    reach = reach_seconds(config.video.steady)
    begin = timeline.seconds(max(frames.start - around, 0)) - reach
    end = timeline.seconds(min(frames.stop + around, len(timeline)) - 1) + reach
    for chunk, places in enumerate(chunks_of(timeline, config.video.chunk_frames)):
        if timeline.seconds(places[-1]) < begin or timeline.seconds(places[0]) > end:
            continue
        for line in store.read("linked", chunk):
            if begin <= timeline.seconds(line["frame"]) <= end:
                yield linked_frame(line)


def no_frames(clip: Clip) -> ClipReadError:
    """The error of a clip of which nothing could be decoded."""
    shown = printable(clip.task.path)
    return ClipReadError(f"{shown}: none of its frames can be decoded. Copy it anew, or leave it out")
