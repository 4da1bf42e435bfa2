"""The last stage of a clip: chunks joined into files, and the line of the manifest."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from statistics import fmean
from typing import Any

from pipeline.config import Config
from pipeline.manifest.records import blank_record, error_entry
from pipeline.manifest.schema import Record, TrackEntry
from pipeline.outputs import remove_outputs, write_atomically
from pipeline.results import StageError
from pipeline.video.chunk_outputs import sequence_kinds, stream_forms
from pipeline.video.chunks import chunks_of
from pipeline.video.clip import found_before, found_header, landmark_file, no_frames
from pipeline.video.containers import close_waiting
from pipeline.video.joining import join_parts, sound_container
from pipeline.video.leavings import possible_files
from pipeline.video.lms import write_lms
from pipeline.video.store import Store, to_json_line, whole_output
from pipeline.video.task import Clip
from pipeline.video.timeline import Timeline
from pipeline.video.tracks_file import lms_frames

MAX_ERRORS = 100
"""So many errors of a clip are told one by one; frames that follow one another count as one."""

_CONTAINERS = {".mkv": "matroska", ".mp4": "mp4", ".mov": "mov"}


def finish_clip(clip: Clip, config: Config, store: Store, sha256: str) -> Record:
    """Write a clip's files, and make its record.

    Returns
    -------
    Record
        Its ``faces`` are empty: they are in ``tracks/NAME.jsonl``; ``clip`` has the counts.

    Raises
    ------
    ClipReadError
        No frame could be decoded.
    OutputError
        A file can't be written.
    """
    close_waiting()
    timeline = store.timeline()
    chunks = range(len(chunks_of(timeline, config.video.chunk_frames)))
    tallies = [next(store.read("done", chunk)) for chunk in chunks]
    if not any(tally["decoded"] for tally in tallies):
        raise no_frames(clip)
    linked = next(store.read("linked"))
    root, name = Path(config.output.directory), clip.task.name
    filled = [chunk for chunk, tally in zip(chunks, tallies, strict=True) if tally["decoded"]]
    files = _join_streams(clip, config, store, timeline, filled, linked["tracks"])
    files |= {kind: f"{kind}/{name}/%06d.png" for kind in sequence_kinds(config)}

    files["tracks"] = f"tracks/{name}.jsonl"
    coded = chain.from_iterable(store.coded("tracks", chunk) for chunk in chunks)
    write_atomically(root / files["tracks"], coded)
    counts = _Counts()
    lines = counts.counted(chain.from_iterable(store.read("tracks", chunk) for chunk in chunks))
    if config.video.lms:
        files["landmarks"] = f"tracks/{name}.lms"
        frames = lms_frames(lines, timeline)
        write_atomically(root / files["landmarks"], write_lms(frames, clip.task.path))
    deque(lines, maxlen=0)  # what the landmark file has not drawn
    if landmark_file(clip.task.path, config) is None:
        files["found"] = f"found/{name}.jsonl"
        if not found_before(clip, config, sha256):
            found = chain.from_iterable(store.coded("found", chunk) for chunk in chunks)
            header = to_json_line(found_header(clip, sha256))
            write_atomically(root / files["found"], chain([header], found))
    keep = files.values()
    remove_outputs(root, [*clip.task.old_files, *possible_files(name)], keep=keep)
    return _record(clip, config, timeline, sha256, tallies, counts, linked, files)


def _join_streams(
    clip: Clip, config: Config, store: Store, timeline: Timeline, chunks: Sequence[int], tracks: int
) -> dict[str, str]:
    """Join every stream's parts; returns folder -> path of the file."""
    files = {}
    for kind, form in stream_forms(config, tracks).items():
        sound = clip.task.path if kind == "overlays" and timeline.has_sound else None
        container = sound_container(sound) if sound else _CONTAINERS[form.suffix]
        suffix = next(suffix for suffix, name in _CONTAINERS.items() if name == container)
        files[kind] = f"{kind}/{clip.task.name}{suffix}"
        with whole_output(Path(config.output.directory, files[kind])) as target:
            parts = [store.path(kind, chunk) for chunk in chunks]
            join_parts(parts, target, container=container, sound_of=sound)
    return files


class _Counts:
    """What the track lines of a clip add up to; they pass once."""

    def __init__(self) -> None:
        self.frames_with_faces = 0
        self._tracks: dict[int, TrackEntry] = {}
        self._confidences: defaultdict[int, list[float]] = defaultdict(list)

    def counted(self, lines: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """The same lines; they are counted on their way."""
        last = -1
        for line in lines:
            self.frames_with_faces += line["frame"] != last
            last, number = line["frame"], line["track"]
            entry: TrackEntry = {
                "track": number,
                "first_frame": last,
                "last_frame": last,
                "seen": 0,
                "filled": 0,
            }
            track = self._tracks.setdefault(number, entry)
            track["last_frame"] = last
            if line["state"] == "filled":
                track["filled"] += 1
            else:
                track["seen"] += 1
                self._confidences[number].append(line["confidence"])
            yield line

    def tracks(self) -> dict[int, TrackEntry]:
        """The tracks' entries in the manifest."""
        for number, values in self._confidences.items():
            self._tracks[number]["confidence"] = round(fmean(values), 4)
        return self._tracks


def _record(
    clip: Clip,
    config: Config,
    timeline: Timeline,
    sha256: str,
    tallies: Sequence[Mapping[str, Any]],
    counts: _Counts,
    linked: Mapping[str, Any],
    files: dict[str, str],
) -> Record:
    tracks = counts.tracks()
    errors = list(_errors(tallies, timeline))
    task = clip.task
    record = blank_record(
        name=task.name,
        path=task.path,
        root=task.root,
        digest=clip.digest,
        orientation=config.output.orientation,
    )
    record["status"] = "partial" if errors else "ok" if tracks else "no_face"
    record["sha256"] = sha256
    record["format"] = timeline.format
    record["size_wh"] = list(timeline.size_wh)
    record["stored_size_wh"] = list(timeline.stored_size_wh)
    record["stored_orientation"] = timeline.orientation
    record["clip"] = {
        "frames": len(timeline),
        "decoded": sum(tally["decoded"] for tally in tallies),
        "with_faces": counts.frames_with_faces,
        "seconds": round(timeline.seconds(len(timeline) - 1) + timeline.frame_seconds, 3),
        "time_base": [timeline.time_base.numerator, timeline.time_base.denominator],
        "cuts": linked["cuts"],
        "seen": sum(track["seen"] for track in tracks.values()),
        "filled": sum(track["filled"] for track in tracks.values()),
        "missed": sum(tally["rejected"] for tally in tallies),
        "tracks": [tracks[track] for track in sorted(tracks)],
        "undecoded": [list(row) for row in _runs(_missing(tallies))],
    }
    record["files"] = files
    record["errors"] = [error_entry(error) for error in errors[:MAX_ERRORS]]
    record["engine"] = dict(tallies[0]["engine"])
    record["seconds"] = {"segment": round(sum(tally["seconds"] for tally in tallies), 3)}
    if len(errors) > MAX_ERRORS:
        rest = StageError("read", "ClipReadError", f"and {len(errors) - MAX_ERRORS} more errors of this kind")
        record["errors"].append(error_entry(rest))
    return record


def _errors(tallies: Sequence[Mapping[str, Any]], timeline: Timeline) -> Iterator[StageError]:
    """What went wrong, with times; neighbouring frames of one error in one."""
    for first, last in _runs(_missing(tallies)):
        yield StageError("read", "ClipReadError", f"{_when(first, last, timeline)}: can't be decoded")
    damaged = [frame for tally in tallies for frame in tally["damaged"]]
    for first, last in _runs(damaged):
        where = _when(first, last, timeline)
        yield StageError("read", "ClipReadError", f"{where}: damaged; the decoder guessed parts of it")
    if timeline.truncated:
        yield StageError(
            "read", "ClipReadError", "the file ends in the middle of a frame; it is cut off there"
        )
    by_error: dict[tuple[str, str, str], list[int]] = {}
    for tally in tallies:
        for frame, stage, kind, message in tally["errors"]:
            by_error.setdefault((stage, kind, message), []).append(frame)
    for (stage, kind, message), frames in by_error.items():
        for first, last in _runs(frames):
            yield StageError(stage, kind, f"{_when(first, last, timeline)}: {message}")


def _missing(tallies: Iterable[Mapping[str, Any]]) -> list[int]:
    """Frames that could not be decoded."""
    return [frame for tally in tallies for frame in tally["missing"]]


def _runs(frames: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Rows of frames without gaps: first and last of each."""
    first = last = None
    for frame in sorted(set(frames)):
        if last is None or frame != last + 1:
            if first is not None and last is not None:
                yield first, last
            first = frame
        last = frame
    if first is not None and last is not None:
        yield first, last


def _when(first: int, last: int, timeline: Timeline) -> str:
    if first == last:
        return f"frame {first} at {timeline.seconds(first):.3f} s"
    return f"frames {first}-{last} at {timeline.seconds(first):.3f}-{timeline.seconds(last):.3f} s"
