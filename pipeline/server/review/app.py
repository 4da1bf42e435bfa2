"""The review page and what it asks for, over HTTP on this machine only."""

from __future__ import annotations

import gzip
import hashlib
import secrets
import threading
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Annotated, Literal

import numpy as np
from fastapi import FastAPI, Query, Request, Response
from fastapi.responses import JSONResponse
from numpy.typing import NDArray
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.staticfiles import StaticFiles

from landmarks.geometry import Box
from pipeline.errors import ClipReadError, ImageReadError, UncropError, UsageError
from pipeline.server.checks import CheckMiddleware, problem
from pipeline.server.guard import LOOPBACK_NAMES, Guard, same_secret
from pipeline.server.review.album import Album, StaleError
from pipeline.server.review.tools import MOST_SUPERPIXELS, FaceTool, superpixels
from pipeline.version import __version__

MOST_ITEMS = 500
LEAST_BOX_PX = 8
_BYTES = "application/octet-stream"


class VerdictBody(BaseModel):
    """A verdict, or null to take one back; ``revision`` is that of the photograph as it was shown."""

    verdict: Literal["accept", "reject"] | None
    revision: str


class BoxBody(BaseModel):
    """Where a person sees a face, pixels of the upright photograph."""

    box_xywh: Annotated[tuple[int, int, int, int], Field()]


def cookie_name(token: str) -> str:
    """Name of the page's cookie: cookies do not know ports, so each server has a name of its own."""
    return f"uncrop-review-{hashlib.sha256(token.encode()).hexdigest()[:8]}"


class OneTimeCode:
    """A secret that lets the first in who has it, and nobody after.

    A browser that is started with an address shows that to all users of the machine, in its process's
    arguments: the token itself does not belong there.
    """

    def __init__(self) -> None:
        self.text = secrets.token_urlsafe(24)
        self._unused = True
        self._lock = threading.Lock()

    def admits(self, given: str) -> bool:
        """Whether this is the code, for the first time."""
        if not same_secret(given, self.text):
            return False
        with self._lock:
            first, self._unused = self._unused, False
        return first


def create_review_app(album: Album, tool: FaceTool, token: str, code: OneTimeCode | None = None) -> FastAPI:
    """Make the app.

    Parameters
    ----------
    album
        The photographs; loaded beside the first requests.
    tool
        Segments faces that a person has boxed.
    token
        What the page's address must hold.
    code
        What it may hold instead, once.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        del app
        threading.Thread(target=album.load, name="reading the manifest", daemon=True).start()
        yield
        tool.close()

    app = FastAPI(
        title="Uncrop review", version=__version__, docs_url=None, redoc_url=None, lifespan=lifespan
    )
    guard = Guard(LOOPBACK_NAMES, token=token, cookie=cookie_name(token))
    app.add_middleware(CheckMiddleware, guard=guard, open_paths=("/",))
    _add_errors(app)
    _add_page(app, token, code or OneTimeCode())
    _add_reading(app, album)
    _add_saving(app, album)
    _add_tools(app, album, tool)
    return app


def _add_page(app: FastAPI, token: str, code: OneTimeCode) -> None:
    static = files("pipeline.server") / "static"
    app.mount("/static", StaticFiles(directory=str(static)), name="static")

    @app.get("/", include_in_schema=False)
    def page(request: Request, given: Annotated[str, Query(alias="token")] = "", once: str = "") -> Response:
        name = cookie_name(token)
        if not same_secret(given or request.cookies.get(name, ""), token) and not code.admits(once):
            used = "this address was good once, and has been used: if not by you, stop the command. Else "
            lacks = "this address lacks its token: "
            return problem(401, f"{used if once else lacks}use the whole address that the command printed")
        answer = Response((static / "review.html").read_bytes(), media_type="text/html; charset=utf-8")
        answer.set_cookie(name, token, httponly=True, samesite="strict")
        return answer


def _add_reading(app: FastAPI, album: Album) -> None:
    index = album.index

    @app.get("/api/photos")
    def photos(
        show: Annotated[str, Query(alias="filter")] = "all",
        sort: str = "name",
        search: Annotated[str, Query(max_length=1000)] = "",
        start: Annotated[int, Query(ge=0)] = 0,
        count: Annotated[int, Query(ge=0, le=MOST_ITEMS)] = 100,
    ) -> JSONResponse:
        chosen = index.select(show, sort, search)
        items = [album.item(int(number)) for number in chosen[start : start + count]]
        return JSONResponse(
            {
                "total": len(chosen),
                "photographs": len(index),
                "judged": index.judged,
                "loading": index.loading,
                "problem": index.problem,
                "items": items,
            }
        )

    @app.get("/api/photos/{number}")
    def details(number: int) -> JSONResponse:
        return JSONResponse(album.details(number))

    @app.get("/api/photos/{number}/thumbnail")
    def thumbnail(number: int) -> Response:
        return Response(
            album.thumbnail(number),
            media_type="image/jpeg",
            headers={"Cache-Control": "private, max-age=600"},
        )

    @app.get("/api/photos/{number}/photograph")
    def photograph(number: int) -> Response:
        return Response(album.photograph(number), media_type="image/jpeg")

    @app.get("/api/photos/{number}/instances")
    def instances(number: int, original: bool = False) -> Response:
        return _map_of(album.instances(number, original=original))

    @app.get("/api/photos/{number}/frames/{index}/photograph")
    def frame(number: int, index: int) -> Response:
        return Response(album.frame(number, index), media_type="image/jpeg")

    @app.get("/api/photos/{number}/frames/{index}/instances")
    def frame_instances(number: int, index: int) -> Response:
        return _map_of(album.frame_instances(number, index))


def _map_of(numbers: NDArray[np.uint16]) -> Response:
    """A map of face numbers: gzipped little-endian 16 bits, row by row."""
    height, width = numbers.shape
    packed = gzip.compress(numbers.astype("<u2").tobytes(), compresslevel=1, mtime=0)
    headers = {"X-Size": f"{width}x{height}", "Content-Encoding": "gzip"}
    return Response(packed, media_type=_BYTES, headers=headers)


def _add_saving(app: FastAPI, album: Album) -> None:
    @app.post("/api/photos/{number}/verdict")
    def verdict(number: int, body: VerdictBody) -> JSONResponse:
        return JSONResponse(album.judge(number, body.verdict, body.revision))

    @app.put("/api/photos/{number}/instances")
    async def save(
        request: Request,
        number: int,
        revision: str,
        width: Annotated[int, Query(ge=1, le=100_000)],
        height: Annotated[int, Query(ge=1, le=100_000)],
    ) -> JSONResponse:
        size = await run_in_threadpool(lambda: album.size_wh(album.record(number)))
        if (width, height) != size:
            raise HTTPException(400, f"the photograph is {size[0]} x {size[1]}, the map {width} x {height}")
        raw = await _unpacked(request, 2 * width * height)
        numbers = np.frombuffer(raw, "<u2").astype(np.uint16).reshape(height, width)
        return JSONResponse(await run_in_threadpool(album.correct, number, numbers, revision))

    @app.delete("/api/photos/{number}/instances")
    def discard(number: int, revision: str) -> JSONResponse:
        return JSONResponse(album.discard(number, revision))


def _add_tools(app: FastAPI, album: Album, tool: FaceTool) -> None:
    @app.get("/api/photos/{number}/superpixels")
    def regions(
        number: int,
        x: int,
        y: int,
        width: Annotated[int, Query(ge=1)],
        height: Annotated[int, Query(ge=1)],
        count: Annotated[int, Query(ge=2, le=MOST_SUPERPIXELS)] = 150,
    ) -> Response:
        photo = album.photo(album.record(number))
        box, labels = superpixels(photo.pixels, Box(x, y, width, height), count)
        packed = gzip.compress(labels.astype("<u2").tobytes(), compresslevel=1, mtime=0)
        place = f"{box.x},{box.y},{box.width},{box.height}"
        return Response(packed, media_type=_BYTES, headers={"X-Box": place, "Content-Encoding": "gzip"})

    @app.post("/api/photos/{number}/face")
    def face(number: int, body: BoxBody) -> JSONResponse:
        photo = album.photo(album.record(number))
        box = Box(*body.box_xywh).clipped((photo.pixels.shape[1], photo.pixels.shape[0]))
        if min(box.width, box.height) < LEAST_BOX_PX:
            raise HTTPException(400, f"draw the box at least {LEAST_BOX_PX} pixels wide and high")
        return JSONResponse(tool.face(photo.pixels, box))


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(StaleError)
    async def stale(request: Request, error: Exception) -> JSONResponse:
        return problem(409, str(error))

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        return problem(error.status_code, str(error.detail))

    @app.exception_handler(ClientDisconnect)
    async def gone(request: Request, error: Exception) -> JSONResponse:
        return problem(499, "the page has gone")

    @app.exception_handler(IndexError)
    async def unknown(request: Request, error: Exception) -> JSONResponse:
        return problem(404, "there is no such photograph")

    @app.exception_handler(ValueError)
    async def wrong(request: Request, error: Exception) -> JSONResponse:
        return problem(400, str(error))

    @app.exception_handler(ImageReadError)
    @app.exception_handler(ClipReadError)
    @app.exception_handler(UsageError)
    async def unreadable(request: Request, error: Exception) -> JSONResponse:
        return problem(404, str(error))

    @app.exception_handler(UncropError)
    async def failed(request: Request, error: Exception) -> JSONResponse:
        return problem(500, str(error))


async def _unpacked(request: Request, size: int) -> bytes:
    """The gzipped body, which must hold exactly ``size`` bytes; never more is unpacked."""
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    raw = bytearray()
    try:
        async for piece in request.stream():
            raw += unpacker.decompress(piece, size + 1 - len(raw))
            if len(raw) > size or unpacker.unconsumed_tail:
                raise HTTPException(413, f"the map holds more than {size} bytes")
    except zlib.error as error:
        raise HTTPException(400, f"the map is no gzip: {error}") from error
    if len(raw) != size or not unpacker.eof:
        raise HTTPException(400, f"the map holds {len(raw)} bytes, not {size}, or was cut off")
    return bytes(raw)
