"""Video files of any container and codec that PyAV reads."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Generator, Hashable, Iterator
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ClipReadError
from pipeline.files import printable
from pipeline.images import keep_quiet
from pipeline.video.hdr import to_sdr, transfer_of
from pipeline.video.timeline import Timeline

_DEFAULT_RATE = Fraction(25)
_MOST_SEEKS = 2

_RECENT_FRAMES = 8
"""So many decoded frames wait with a decoder: parts of a clip overlap by twice ``video.average_frames``."""


def import_av() -> Any:
    """PyAV, or a message that names the extra it comes with.

    Raises
    ------
    ClipReadError
        It is not installed.
    """
    try:
        import av  # noqa: PLC0415 - an extra
    except ImportError as error:
        message = f"clips need PyAV, which can't be loaded ({error}). Install it: pip install 'uncrop[video]'"
        raise ClipReadError(message) from error
    return av


def probe_video(path: str, progress: Callable[[], None] = keep_quiet) -> Timeline:
    """Read through a video file's packets, and decode its first picture.

    Parameters
    ----------
    path
        The file.
    progress
        Called after every packet, and after every picture where they must be counted.

    Raises
    ------
    ClipReadError
        It can't be opened, has no pictures, or none that can be decoded.
    """
    shown = printable(path)
    times: list[int | None] = []
    keys: list[int] = []
    with _opened(path) as (container, stream):
        truncated = False
        try:
            for packet in container.demux(stream):
                progress()
                if packet.size and not packet.is_discard:
                    times.append(packet.pts)
                    if packet.is_keyframe and packet.pts is not None:
                        keys.append(packet.pts)
        except _ffmpeg_errors():
            truncated = True
        name = f"{container.format.name.partition(',')[0]} {stream.codec_context.name}"
        time_base = Fraction(stream.time_base or 1 / _DEFAULT_RATE)
        rate = Fraction(stream.average_rate or _DEFAULT_RATE)
        voices = container.streams.audio
        has_sound = bool(voices) and voices[0].codec_context is not None
    if not times:
        raise ClipReadError(
            f"{shown}: has no frames: it was cut off or never finished. Copy it anew, or leave it out"
        )
    first = _first_frame(path, shown)
    known = sorted({time for time in times if time is not None})
    size_wh = (first.width, first.height)
    rotation, mirrored = _display(first)
    shape = (size_wh, rotation, transfer_of(int(first.color_trc)), has_sound)
    if len(known) == len(times):
        pts, keys = tuple(known), sorted(keys)
        return Timeline("video", name, pts, time_base, tuple(keys), *shape, False, truncated, mirrored)
    counted = tuple(range(_count(path, progress)))
    return Timeline("video", name, counted, 1 / rate, counted[:1], *shape, True, truncated, mirrored)


def read_video(
    path: str, timeline: Timeline, start: int, stop: int, *, threads: int, keep_open: bool = False
) -> Iterator[tuple[int, NDArray[np.uint8], bool]]:
    """Yield place, upright RGB pixels and whether they are damaged, of the frames that can be decoded.

    With ``keep_open`` the decoder waits where it stopped for whoever reads on in this process from the same
    key frame: it has been told the same as one that begins anew, so it gives the same.
    """
    if timeline.counted:
        with _opened(path, threads) as (container, stream):
            for index, frame in enumerate(_decoded(container, stream)):
                if index >= stop:
                    return
                if index >= start and (frame.width, frame.height) == timeline.stored_size_wh:
                    yield index, upright_rgb(frame, timeline), frame.is_corrupt
        return
    reached = start
    for seek in range(_MOST_SEEKS):
        key = timeline.key_before(start) if seek == 0 else timeline.pts[0]
        seeks = key > timeline.pts[0]
        with _decoding(path, threads, key if seeks else None, timeline.pts[start], keep_open) as frames:
            came_late = False
            for frame in frames:
                if frame.pts is None or frame.pts < timeline.pts[reached]:
                    continue
                came_late = seeks and reached == start and frame.pts > timeline.pts[start]
                if came_late:
                    break  # the file's own index leads past the frame: decode from the beginning
                place = timeline.index_of(frame.pts)
                if frame.pts > timeline.pts[stop - 1]:
                    return
                if place is None or (frame.width, frame.height) != timeline.stored_size_wh:
                    continue
                yield place, upright_rgb(frame, timeline), frame.is_corrupt
                reached = place + 1
                if reached >= stop:
                    return
            else:
                return


def read_grey(path: str, *, threads: int) -> Generator[NDArray[np.uint8] | NDArray[np.uint16], None, None]:
    """Yield the pictures of a video of one channel, such as instance maps, as they were coded.

    Parameters
    ----------
    path
        The video.
    threads
        Of the decoder.

    Yields
    ------
    (H, W) uint8 or uint16

    Raises
    ------
    ClipReadError
        It can't be read, or has colours.
    """
    with _opened(path, threads) as (container, stream):
        for frame in _decoded(container, stream):
            if frame.format.name not in ("gray", "gray16le"):
                raise ClipReadError(f"{printable(path)}: holds colours ({frame.format.name}), not numbers")
            yield frame.to_ndarray()


def first_picture(path: str) -> NDArray[np.uint8]:
    """(H, W, 3) RGB of the first picture of a video that decodes, as it is stored; the rest is not read.

    Raises
    ------
    ClipReadError
        There is none, or PyAV is not installed.
    """
    first = _first_frame(path, printable(path))
    return np.asarray(first.to_ndarray(format="rgb24"), np.uint8)


def upright_rgb(frame: Any, timeline: Timeline) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB of a decoded picture: turned upright, tone mapped, its fields made one."""
    if timeline.transfer == "sdr":
        pixels = frame.to_ndarray(format="rgb24")
    else:
        pixels = to_sdr(frame.to_ndarray(format="rgb48le"), timeline.transfer)
    if frame.interlaced_frame:
        pixels = one_field(pixels)
    return timeline.upright(pixels)


def one_field(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A picture of two moments made one of the first: its second field's lines lie between the first's.

    It looks at this picture alone, so that a frame is the same wherever decoding started.

    Parameters
    ----------
    pixels
        (H, W, 3) uint8, the first field in its even lines.
    """
    height, width = pixels.shape[:2]
    field = np.ascontiguousarray(pixels[::2])
    middle = cv2.addWeighted(field, 0.5, np.concatenate([field[1:], field[-1:]]), 0.5, 0)
    woven = np.empty((height, width, 3), np.uint8)
    woven[::2] = field
    woven[1::2] = middle[: height // 2]
    return woven


def _display(frame: Any) -> tuple[int, bool]:
    """How a picture is brought upright: quarter turns counter-clockwise in degrees, then whether mirrored.

    The display matrix takes x, y to a x + c y, b x + d y (ISO/IEC 14496-12, 6.2.2). A negative determinant is
    a mirror; leaning ones count as the nearest quarter.
    """
    found = frame.side_data.get("DISPLAYMATRIX")
    if found is None:
        return round(frame.rotation / 90) % 4 * 90, False
    a, b, _, c, d, *_ = np.frombuffer(bytes(found), np.int32)[:9].astype(np.float64).tolist()
    mirrored = a * d - b * c < 0
    # Mirrored afterwards, x is changed: without that, what is left is a turn.
    across = -a if mirrored else a
    return round(-math.degrees(math.atan2(b, across)) / 90) % 4 * 90, mirrored


def _first_frame(path: str, shown: str) -> Any:
    """The first picture that decodes."""
    with _opened(path) as (container, stream):
        first = next(_decoded(container, stream), None)
    if first is None:
        raise ClipReadError(f"{shown}: none of its frames can be decoded. Copy it anew, or leave it out")
    return first


def _count(path: str, progress: Callable[[], None]) -> int:
    """Number of pictures that decode."""
    count = 0
    with _opened(path) as (container, stream):
        for _ in _decoded(container, stream):
            progress()
            count += 1
    return count


def _decoded(container: Any, stream: Any) -> Iterator[Any]:
    """Pictures in the order shown; packets that the decoder refuses are passed over."""
    errors = _ffmpeg_errors()
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except errors:
            packet = None  # damaged from here on: what the decoder still holds comes out below
        try:
            frames = stream.codec_context.decode(None) if packet is None else packet.decode()
        except errors:
            frames = []
        yield from frames
        if packet is None or packet.size == 0:
            return


class _Decoder:
    """A file that is decoded from a key frame on; None: from its beginning."""

    def __init__(self, path: str, threads: int, key: int | None) -> None:
        with ExitStack() as stack:
            container, stream = stack.enter_context(_opened(path, threads))
            if key is not None:
                container.seek(key, stream=stream, backward=True, any_frame=False)
            self._stack = stack.pop_all()
        self._frames = _decoded(container, stream)
        self._recent: deque[Any] = deque(maxlen=_RECENT_FRAMES)
        self._gone_pts = -math.inf

    def still_has(self, pts: int) -> bool:
        """Whether no picture from this time on has been let go."""
        return self._gone_pts < pts

    def pictures(self) -> Iterator[Any]:
        """Those that were seen last, and those to come."""
        yield from tuple(self._recent)
        for frame in self._frames:
            if len(self._recent) == _RECENT_FRAMES and self._recent[0].pts is not None:
                self._gone_pts = max(self._gone_pts, self._recent[0].pts)
            self._recent.append(frame)
            yield frame

    def close(self) -> None:
        self._stack.close()


_waiting: dict[Hashable, _Decoder] = {}
"""The decoder that was kept open, by what it decodes; at most one."""


@contextmanager
def _decoding(
    path: str, threads: int, key: int | None, first_pts: int, keep_open: bool
) -> Iterator[Iterator[Any]]:
    """Pictures from a key frame on, of which those before the first that is wanted may be missing."""
    what = (path, threads, key, _state_of(path))
    decoder = _waiting.pop(what, None)
    if decoder is not None and not decoder.still_has(first_pts):
        decoder.close()
        decoder = None
    if decoder is None:
        close_waiting()
        decoder = _Decoder(path, threads, key)
    try:
        yield decoder.pictures()
    except BaseException:
        decoder.close()
        raise
    if keep_open:
        close_waiting()
        _waiting[what] = decoder
    else:
        decoder.close()


def close_waiting() -> None:
    """Close the decoder that waits for whoever reads on, if there is one."""
    while _waiting:
        _, decoder = _waiting.popitem()
        decoder.close()


def _state_of(path: str) -> Hashable:
    try:
        state = Path(path).stat()
    except OSError:
        return None  # opening it says why
    return state.st_ino, state.st_size, state.st_mtime_ns


@contextmanager
def _opened(path: str, threads: int = 1) -> Iterator[tuple[Any, Any]]:
    """Open a file and its first picture stream that is no cover picture."""
    av = import_av()
    shown = printable(path)
    if not Path(path).is_file():
        what = "is not a regular file" if Path(path).exists() else "no such file"
        raise ClipReadError(f"{shown}: {what}. It may have been moved since it was listed")
    try:
        container = av.open(path, mode="r", metadata_errors="replace")
    except _ffmpeg_errors() as error:
        reason = getattr(error, "strerror", None) or error
        raise ClipReadError(
            f"{shown}: is not a clip that can be read: damaged, cut off, or something else under this name "
            f"({reason}). Copy it anew, or leave it out"
        ) from error
    with container:
        streams = [
            s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic
        ]
        if not streams:
            if container.streams.audio:
                raise ClipReadError(f"{shown}: holds sound but no pictures. Leave it out")
            raise ClipReadError(f"{shown}: holds no pictures, or is cut off. Copy it anew, or leave it out")
        streams[0].codec_context.thread_count = threads
        streams[0].thread_type = "SLICE" if threads == 1 else "AUTO"
        yield container, streams[0]


def _ffmpeg_errors() -> tuple[type[Exception], ...]:
    av = import_av()
    return (av.error.FFmpegError, OSError, ValueError)
