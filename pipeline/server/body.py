"""The photograph in the body of a request: as it is, or as a file of a form; never longer than allowed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

FORM_FIELD = "file"
RAW_TYPES = ("application/octet-stream", "application/x-www-form-urlencoded")
"""Media types of bodies that are taken for the photograph itself; the second is what ``curl`` says of any."""

_FORM_OVERHEAD = 64 * 1024
"""Bytes that the headers and boundaries of a form may take beside its file."""


class BodyError(Exception):
    """The body is not what it should be.

    Attributes
    ----------
    status
        HTTP status code.
    """

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)


class BodyBudget:
    """How many bytes of bodies that are still arriving may be held, all requests together.

    Parameters
    ----------
    most_bytes
        Beyond it the request that brings more is refused: a thousand clients, each within its limit, must
        not take all memory.
    """

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self.held_bytes = 0

    def take(self, size: int) -> None:
        """Count bytes in.

        Raises
        ------
        BodyError
            503: too many are held.
        """
        if self.held_bytes + size > self.most_bytes:
            raise BodyError(503, "too many photographs are arriving at once; try again in a moment")
        self.held_bytes += size

    def give_back(self, size: int) -> None:
        """Count bytes out."""
        self.held_bytes -= size


async def read_body(
    request: Request, *, max_bytes: int, time_limit_seconds: float, budget: BodyBudget
) -> bytes:
    """Read the photograph out of a request.

    Parameters
    ----------
    request
        Its body is a photograph, or a form (``multipart/form-data``) with one as the file ``file``.
    max_bytes
        Larger photographs are refused as soon as that is known.
    time_limit_seconds
        How long the body may take to arrive.
    budget
        Shared with the other requests; used until the body is whole.

    Returns
    -------
    bytes
        Held in memory only.

    Raises
    ------
    BodyError
        400 empty, or a form that makes no sense; 408 too slow; 413 too large; 415 not a picture's media type;
        503 the budget is spent.
    starlette.requests.ClientDisconnect
        The client has gone.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    is_form = kind == "multipart/form-data"
    if kind and not is_form and not kind.startswith("image/") and kind not in RAW_TYPES:
        raise BodyError(415, f"{kind} is no photograph: send image/*, application/octet-stream, or a form")
    limit = max_bytes + _FORM_OVERHEAD * is_form
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limit:
        raise _too_large(max_bytes)
    pieces = _limited(request, limit, max_bytes, budget)
    try:
        async with asyncio.timeout(time_limit_seconds):
            content = await _file_of_form(request, pieces, limit) if is_form else await _joined(pieces)
    except TimeoutError as error:
        raise BodyError(408, f"the photograph did not arrive within {time_limit_seconds:g} s") from error
    finally:
        await pieces.aclose()
    if not content:
        raise BodyError(400, "the body is empty: send the bytes of a photograph")
    if len(content) > max_bytes:
        raise _too_large(max_bytes)
    return content


async def _limited(
    request: Request, limit: int, max_bytes: int, budget: BodyBudget
) -> AsyncGenerator[bytes, None]:
    size = 0
    try:
        async for piece in request.stream():
            if size + len(piece) > limit:
                raise _too_large(max_bytes)
            budget.take(len(piece))
            size += len(piece)
            yield piece
    finally:
        budget.give_back(size)


async def _joined(pieces: AsyncGenerator[bytes, None]) -> bytes:
    return b"".join([piece async for piece in pieces])


class _MemoryParser(MultiPartParser):
    """Keeps files in memory, whatever their size: nothing is written to a disk."""

    spool_max_size = 0  # of a SpooledTemporaryFile: never roll over


async def _file_of_form(request: Request, pieces: AsyncGenerator[bytes, None], limit: int) -> bytes:
    try:
        parser = _MemoryParser(request.headers, pieces, max_files=1, max_fields=16, max_part_size=limit)
        form = await parser.parse()
    except (MultiPartException, KeyError, UnicodeError) as error:
        reason = getattr(error, "message", None) or "it has no boundary, or its names are not readable"
        raise BodyError(400, f"the form makes no sense: {reason}") from error
    try:
        file = form.get(FORM_FIELD)
        if not isinstance(file, UploadFile):
            raise BodyError(400, f"the form has no file named {FORM_FIELD!r}")
        return await file.read()
    finally:
        await form.close()


def _too_large(max_bytes: int) -> BodyError:
    return BodyError(413, f"the photograph has more than {max_bytes} bytes; see server.max_body_mb")
