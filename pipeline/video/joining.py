"""Parts of a clip's streams joined packet by packet, with the source's sound where it is wanted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pipeline.video.containers import import_av
from pipeline.video.writer import muxer_options

_MP4_SOUND = ("aac", "mp3", "ac3", "eac3", "opus", "flac", "alac")


def join_parts(parts: Sequence[Path], target: Path, *, container: str, sound_of: str | None = None) -> None:
    """Join parts into one file; pictures and sound keep their coded bytes and their times.

    Parameters
    ----------
    parts
        Files of `pipeline.video.writer.StreamWriter` of one form and size, in order.
    target
        The file to write; what it is called does not matter.
    container
        FFmpeg's name of its format: ``matroska``, ``mp4`` or ``mov``.
    sound_of
        A clip whose sound is copied along; None for no sound.

    Raises
    ------
    OSError, av.error.FFmpegError
        A part can't be read, or the target not be written.
    """
    av = import_av()
    sound = av.open(sound_of, metadata_errors="replace") if sound_of else None
    with av.open(str(parts[0])) as first:
        template = first.streams.video[0]
        options = muxer_options(container, template.time_base)
        with av.open(str(target), mode="w", format=container, options=options) as output:
            pictures = output.add_stream_from_template(template)
            pictures.time_base = template.time_base
            sound_stream = output.add_stream_from_template(sound.streams.audio[0]) if sound else None
            for packet in _in_step(_picture_packets(parts), _sound_packets(sound)):
                packet.stream = pictures if packet.stream.type == "video" else sound_stream
                output.mux(packet)
    if sound:
        sound.close()


def sound_container(path: str) -> str:
    """Container for H.264 and the sound of a clip as it is: ``mp4`` where it can, else ``matroska``."""
    with import_av().open(path, metadata_errors="replace") as clip:
        return "mp4" if clip.streams.audio[0].codec_context.name in _MP4_SOUND else "matroska"


def _picture_packets(parts: Sequence[Path]) -> Iterator[Any]:
    for part in parts:
        with import_av().open(str(part)) as container:
            for packet in container.demux(container.streams.video[0]):
                if packet.size:
                    packet.dts = packet.pts  # no form reorders frames
                    yield packet


def _sound_packets(sound: Any) -> Iterator[Any]:
    """Packets of the first sound stream, as far as the clip can be read."""
    if sound is None:
        return
    av = import_av()
    packets = sound.demux(sound.streams.audio[0])
    while True:
        try:
            packet = next(packets, None)
        except av.error.FFmpegError:
            return
        if packet is None:
            return
        if packet.size and packet.dts is not None:
            yield packet


def _in_step(pictures: Iterator[Any], sound: Iterator[Any]) -> Iterator[Any]:
    """Both in the order of their times, so that players need not search."""
    waiting = next(sound, None)
    for picture in pictures:
        while waiting is not None and waiting.dts * waiting.time_base <= picture.dts * picture.time_base:
            yield waiting
            waiting = next(sound, None)
        yield picture
    while waiting is not None:
        yield waiting
        waiting = next(sound, None)
