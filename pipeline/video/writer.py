"""Masks and pictures as video streams, each packet with the source's own time.

Every form codes each frame by itself or each part of a clip by itself, so that parts written by different
workers can be joined packet by packet, and one coding thread makes the same bytes everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import EncodingError
from pipeline.video.containers import import_av
from pipeline.video.ffv1 import FEW_SLICES, OPTIONS, flat_coder, slices_for
from pipeline.video.preview import preview_planes


@dataclass(frozen=True, slots=True)
class Form:
    """How a stream is coded.

    Attributes
    ----------
    codec
        FFmpeg's name of the encoder.
    pixel_format
        FFmpeg's name of what it takes.
    suffix
        Of the finished file.
    options
        For the encoder.
    part_format
        Container of the parts of a clip: NUT keeps times in any unit, but does not know every codec.
    is_full_range
        Luma from 0 to 255, said in the stream and to the encoder; else a reader shifts the values.
    """

    codec: str
    pixel_format: str
    suffix: str
    options: dict[str, str] = field(default_factory=dict)
    is_full_range: bool = False
    part_format: str = "nut"


_BT601 = 6  # the matrix of cv2.COLOR_RGB2YUV_I420; untagged, players take large frames for BT.709

# No B-frames: parts can be joined then, and with them x264 reads memory that it has not set: the first clip
# of a process comes out in other bytes.
_X264 = {"bf": "0", "sc_threshold": "0", "x264-params": "repeat-headers=1"}

FFV1_GREY = Form("ffv1", "gray", ".mkv", OPTIONS)
"""Lossless bytes: masks 0/255, soft masks 0-255, up to 255 track numbers."""

FFV1_GREY_16 = Form("ffv1", "gray16le", ".mkv", {**OPTIONS, "slices": str(FEW_SLICES)})
"""Lossless 16 bits: instance maps of more than 255 tracks."""

H264_LOSSLESS = Form(
    "libx264", "yuv420p", ".mp4", {**_X264, "qp": "0", "preset": "superfast"}, is_full_range=True
)
"""Lossless luma of the full range, grey chroma: exact, small, and plays everywhere that knows High 4:4:4."""

PRORES_4444 = Form(
    "prores_ks",
    "yuva444p10le",
    ".mov",
    {"profile": "4444", "alpha_bits": "16", "vendor": "apl0"},
    part_format="mov",
)
"""Colours with the mask as alpha, for compositing programs."""

H264_PREVIEW = Form("libx264", "yuv420p", ".mp4", {**_X264, "qp": "22", "preset": "ultrafast"})
"""The overlay, to look at: quickly coded. A constant step spares x264 its look at every frame beforehand."""

H264_RECORDING = Form(
    "libx264",
    "yuv420p",
    ".mkv",
    {**_X264, "crf": "12", "preset": "ultrafast", "g": "60"},
    part_format="matroska",
)
"""What a camera shows, with next to no loss; decoding can start every two seconds."""

MASK_FORMS = {"ffv1": FFV1_GREY, "h264": H264_LOSSLESS, "prores4444": PRORES_4444}
"""``video.format`` of masks and soft masks; ``png`` writes numbered files instead."""


def muxer_options(container: str, time_base: Fraction) -> dict[str, str]:
    """What a container is written with: the same bytes every time, and times in the source's own unit."""
    options = {"fflags": "+bitexact"}
    if container in ("mp4", "mov"):
        scale = str(time_base.denominator)
        options |= {"movflags": "+faststart", "video_track_timescale": scale, "movie_timescale": scale}
    return options


class StreamWriter:
    """Codes frames of one clip, or of a part of it, into a file that `pipeline.video.joining` can join.

    Parameters
    ----------
    path
        A new file in the form's ``part_format``.
    form
        How to code.
    size_wh
        Width and height of the frames in pixels.
    time_base
        Seconds of one unit of the times given to `write`.
    rate
        Usual frames a second; encoders plan by it.

    Raises
    ------
    EncodingError
        The encoder refuses the size.
    """

    def __init__(
        self, path: Path, form: Form, size_wh: tuple[int, int], time_base: Fraction, rate: Fraction
    ) -> None:
        av = import_av()
        self._av = av
        self._form = form
        self._size_wh = size_wh
        self._coded_wh = size_wh
        self._time_base = time_base
        if form.pixel_format == "yuv420p":
            self._coded_wh = (size_wh[0] + size_wh[0] % 2, size_wh[1] + size_wh[1] % 2)
        pixel_format = form.pixel_format
        if form is H264_LOSSLESS and self._coded_wh != size_wh:
            pixel_format, self._coded_wh = "yuv444p", size_wh  # exact also at odd sizes
        self._pixel_format = pixel_format
        coding = dict(form.options)
        if form is FFV1_GREY:
            coding["slices"] = str(slices_for(size_wh))
        options = muxer_options(form.part_format, time_base)
        self._container = av.open(str(path), mode="w", format=form.part_format, options=options)
        try:
            stream: Any = self._container.add_stream(form.codec, rate=rate, options=coding)
            stream.width, stream.height = self._coded_wh
            stream.pix_fmt = pixel_format
            stream.time_base = stream.codec_context.time_base = time_base
            stream.codec_context.thread_count = 1
            stream.codec_context.color_range = 2 if form.is_full_range else 0
            if form in (H264_PREVIEW, H264_RECORDING):
                stream.codec_context.colorspace = _BT601
                stream.codec_context.color_range = 1
            self._stream = stream
            self._container.start_encoding()
        except (av.error.FFmpegError, ValueError, OverflowError) as error:
            self._container.close()
            width, height = size_wh
            raise EncodingError(
                f"{form.codec} refuses frames of {width} x {height} pixels ({error}); "
                "choose another video.format, or turn output.overlays off"
            ) from error
        self._flat_coder = flat_coder(size_wh) if form is FFV1_GREY else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def write(self, pts: int, picture: NDArray[Any], painted: NDArray[np.uint8] | None = None) -> None:
        """Add a frame.

        Parameters
        ----------
        pts
            Its time in units of the time base; later than the one before.
        picture
            (H, W) uint8 or uint16 for grey forms and lossless H.264; (H, W, 3) uint8 RGB for the preview;
            (H, W, 4) uint8 RGBA for ProRes.
        painted
            (H, W) uint8 mask, 0 or 255, that is painted onto the preview; None: nothing is.

        Raises
        ------
        ValueError
            The picture does not fit the form or the size.
        """
        if self._flat_coder is not None:
            self._check_size(picture)
            grey = np.ascontiguousarray(picture, np.uint8)
            packet = self._av.Packet(self._flat_coder.packet(grey))
            packet.stream, packet.time_base = self._stream, self._time_base
            packet.pts = packet.dts = pts
            packet.is_keyframe = True
            self._container.mux(packet)
            return
        frame = self._frame(picture, painted)
        frame.pts = pts
        frame.time_base = self._time_base
        for packet in self._stream.encode(frame):
            self._container.mux(packet)

    def close(self) -> None:
        """Write what the encoder still holds, and end the file."""
        try:
            for packet in self._stream.encode(None):
                self._container.mux(packet)
        finally:
            self._container.close()

    def _check_size(self, picture: NDArray[Any]) -> None:
        width, height = self._size_wh
        if picture.shape[:2] != (height, width):
            raise ValueError(f"a picture of {width} x {height} pixels is expected, got shape {picture.shape}")

    def _frame(self, picture: NDArray[Any], painted: NDArray[np.uint8] | None) -> Any:
        self._check_size(picture)
        width, height = self._size_wh
        av, form = self._av, self._form
        if form is FFV1_GREY or form is FFV1_GREY_16:
            kind = np.uint8 if form is FFV1_GREY else np.dtype("<u2")
            grey = np.ascontiguousarray(picture, kind)
            return av.VideoFrame.from_ndarray(grey, format="gray" if form is FFV1_GREY else "gray16le")
        if form is H264_LOSSLESS:
            return self._luma(np.asarray(picture, np.uint8))
        if form is PRORES_4444:
            return av.VideoFrame.from_ndarray(np.ascontiguousarray(picture, np.uint8), format="rgba")
        if self._coded_wh != self._size_wh:
            added = (0, self._coded_wh[1] - height), (0, self._coded_wh[0] - width)
            picture = np.pad(picture, (*added, (0, 0)), mode="edge")
            painted = None if painted is None else np.pad(painted, added)
        planes = preview_planes(np.asarray(picture, np.uint8), painted)
        return av.VideoFrame.from_numpy_buffer(planes, format="yuv420p")

    def _luma(self, picture: NDArray[np.uint8]) -> Any:
        """A frame whose luma is the mask and whose chroma is grey: nothing is converted, nothing is lost."""
        width, height = self._size_wh
        if self._pixel_format == "yuv444p":
            grey = np.full((height, width), 128, np.uint8)
            frame = self._av.VideoFrame.from_ndarray(np.stack([picture, grey, grey]), format="yuv444p")
        else:
            planes = np.full((height * 3 // 2, width), 128, np.uint8)
            planes[:height] = picture
            frame = self._av.VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.color_range = 2
        return frame
