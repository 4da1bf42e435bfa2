"""Fetching an archive over HTTP so that it can be resumed, and unpacking it so that it can do no harm."""

from __future__ import annotations

import errno
import http.client
import json
import lzma
import shutil
import stat
import urllib.error
import urllib.request
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from tqdm import tqdm

from pipeline.errors import ModelFormatError, ModelMissingError

CHUNK_BYTES = 1 << 20
ATTEMPTS = 5
TIMEOUT_SECONDS = 30.0
MAX_ARCHIVE_FILES = 1000
MAX_UNPACKED_BYTES = 4 << 30
_ENCRYPTED = 0x1
_SYSTEM_UNIX = 3


def download(url: str, target: Path, *, manual: str, quiet: bool = False) -> Path:
    """Fetch ``url`` into ``target``, going on where an earlier try stopped.

    What has arrived is kept in ``target`` + ``.part``; beside it ``.part.json`` holds the server's ETag
    or date, so that two versions of the remote file are never glued together (RFC 9110, sections 13.1.5
    and 14.2).

    Parameters
    ----------
    url
        http or https address.
    target
        File to make; appears only when it is complete.
    manual
        What to do by hand when the network is out of reach; ends the error's message.
    quiet
        No progress bar.

    Raises
    ------
    ModelMissingError
        The address cannot be reached, or the connection broke too often. What has arrived is kept.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    problem = ""
    for _ in range(ATTEMPTS):
        try:
            _fetch_rest(url, part, quiet=quiet)
        except urllib.error.HTTPError as error:
            problem = f"the server answered {error.code} {error.reason}"
            error.close()
            if error.code < 500:
                break
        except urllib.error.URLError as error:
            problem = str(error.reason)
            break
        except (OSError, http.client.HTTPException) as error:
            problem = str(error) or type(error).__name__
        else:
            part.replace(target)
            _notes(part).unlink(missing_ok=True)
            return target
    raise ModelMissingError(target, f"could not be downloaded from {url}: {problem}", manual)


@dataclass(frozen=True, slots=True)
class _Remote:
    """What identifies a version of the remote file."""

    validator: str | None
    total_bytes: int | None


class _RemoteChangedError(OSError):
    """The server now has another file than the one half of which is here."""


def _notes(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _fetch_rest(url: str, part: Path, *, quiet: bool) -> None:
    """Append what is missing to ``part``; start over when the remote file is another one."""
    known = _read_notes(part)
    have = part.stat().st_size if part.is_file() and known is not None else 0
    request = urllib.request.Request(url, headers={"User-Agent": "uncrop"})
    if have and known is not None:
        request.add_header("Range", f"bytes={have}-")
        if known.validator is not None:
            request.add_header("If-Range", known.validator)
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        error.close()
        if known is not None and known.total_bytes == have:
            return
        _forget(part)
        raise _RemoteChangedError(f"{url} changed while it was fetched") from error
    with response:
        resumed = response.status == http.HTTPStatus.PARTIAL_CONTENT
        total = _total_bytes(response.headers, resumed)
        if (
            resumed
            and known is not None
            and (_start_of(response.headers), total) != (have, known.total_bytes)
        ):
            _forget(part)
            raise _RemoteChangedError(f"{url} changed while it was fetched")
        if not resumed:
            have = 0
            part.unlink(missing_ok=True)  # before the notes on what comes now
        validator = response.headers.get("ETag") or response.headers.get("Last-Modified")
        if validator is not None and validator.startswith("W/"):
            validator = None
        _notes(part).write_text(json.dumps({"validator": validator, "total_bytes": total}), encoding="utf-8")
        with (
            part.open("ab" if resumed else "wb") as file,
            tqdm(
                total=total, initial=have, unit="B", unit_scale=True, desc=part.stem, disable=quiet or None
            ) as bar,
        ):
            while chunk := response.read(CHUNK_BYTES):
                file.write(chunk)
                have += len(chunk)
                bar.update(len(chunk))
        if total is not None and have != total:
            raise http.client.IncompleteRead(b"", total - have)


def _read_notes(part: Path) -> _Remote | None:
    try:
        notes = json.loads(_notes(part).read_text(encoding="utf-8"))
        return _Remote(notes["validator"], notes["total_bytes"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _notes(part).unlink(missing_ok=True)


def _total_bytes(headers: http.client.HTTPMessage, resumed: bool) -> int | None:
    text = (
        headers.get("Content-Range", "").rpartition("/")[2] if resumed else headers.get("Content-Length", "")
    )
    return int(text) if text.isdecimal() else None


def _start_of(headers: http.client.HTTPMessage) -> int | None:
    text = headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
    return int(text) if text.isdecimal() else None


_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    ValueError,
    NotImplementedError,
    RuntimeError,
    FileExistsError,
    NotADirectoryError,
    IsADirectoryError,
)
"""What zipfile raises over a damaged archive, and the system over one that holds a file as a folder."""


def unpack(archive: Path, folder: Path, *, max_bytes: int = MAX_UNPACKED_BYTES) -> None:
    """Unpack a zip archive into a new folder.

    Parameters
    ----------
    archive
        The zip file.
    folder
        Made by this call; removed again when the archive is refused.
    max_bytes
        Most bytes that all files together may take, counted while they are written.

    Raises
    ------
    ModelFormatError
        Not a zip archive, damaged, encrypted, too large, or with a link or a path that leaves the folder.
    """
    folder.mkdir(parents=True)
    try:
        with zipfile.ZipFile(archive) as opened:
            _unpack(opened, archive, folder, max_bytes)
    except _DAMAGE as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise ModelFormatError(archive, f"is not a whole zip archive ({error})", "Fetch it again.") from error
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        if error.errno != errno.EINVAL:  # a seek to where a damaged directory points
            raise
        raise ModelFormatError(archive, f"is not a whole zip archive ({error})", "Fetch it again.") from error
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _unpack(opened: zipfile.ZipFile, archive: Path, folder: Path, max_bytes: int) -> None:
    entries = opened.infolist()
    if len(entries) > MAX_ARCHIVE_FILES:
        raise ModelFormatError(archive, f"holds {len(entries)} files, more than {MAX_ARCHIVE_FILES}")
    left = max_bytes
    seen: set[str] = set()
    for entry in entries:
        _check_entry(entry, archive)
        place = PurePosixPath(entry.filename).as_posix().casefold()
        if place in seen:
            raise ModelFormatError(archive, f"holds {entry.filename!r} twice")
        seen.add(place)
        path = folder.joinpath(*PurePosixPath(entry.filename).parts)
        if entry.is_dir():
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        with opened.open(entry) as source, path.open("xb") as target:
            left -= _copy(source, target, left)
        if left < 0:
            raise ModelFormatError(archive, f"unpacks to more than {max_bytes} bytes")


def _check_entry(entry: zipfile.ZipInfo, archive: Path) -> None:
    name = entry.filename
    parts = PurePosixPath(name).parts
    if not parts or "\\" in name or ":" in name or name.startswith("/") or ".." in parts:
        raise ModelFormatError(archive, f"holds {name!r}, a path that leaves the folder")
    kind = stat.S_IFMT(entry.external_attr >> 16) if entry.create_system == _SYSTEM_UNIX else 0
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise ModelFormatError(archive, f"holds {name!r}, which is a link or a device, not a file")
    if entry.flag_bits & _ENCRYPTED:
        raise ModelFormatError(archive, f"holds {name!r}, which is encrypted")


def _copy(source: IO[bytes], target: IO[bytes], limit: int) -> int:
    """Copy until the end or just past ``limit``; bytes written."""
    written = 0
    while written <= limit and (chunk := source.read(min(CHUNK_BYTES, limit - written + 1))):
        target.write(chunk)
        written += len(chunk)
    return written
