"""The HTTP server: a photograph in, its masks out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from importlib.resources import files
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.staticfiles import StaticFiles

from pipeline.config import Config
from pipeline.errors import ImageReadError, ImageTooLargeError, TimeLimitError, UncropError
from pipeline.files import FileHashes
from pipeline.formats import SNIFF_BYTES, sniff_format
from pipeline.server.answers import MEDIA_TYPES, Output, PhotoAnswer, PhotoRequest, photo_answerer
from pipeline.server.body import FORM_FIELD, BodyBudget, BodyError, read_body
from pipeline.server.checks import CheckMiddleware, problem
from pipeline.server.guard import Guard
from pipeline.server.metrics import Metrics, MetricsMiddleware
from pipeline.server.negotiation import best_media_type
from pipeline.server.pool import PoolFullError, WorkerPool
from pipeline.version import __version__

OPEN_PATHS = ("/", "/healthz", "/readyz")
"""What may be read without the token: nothing of anybody's photographs."""

_SEGMENT_ERRORS = {
    400: "The body is empty, a damaged picture, or a form that makes no sense.",
    401: "The token is missing or wrong.",
    403: "Host or Origin is not one of this server's.",
    406: "None of the acceptable media types can be given.",
    408: "The photograph took too long to arrive.",
    413: "The photograph has too many bytes or pixels.",
    415: "The body is no picture of a known format.",
    500: "The photograph could not be segmented.",
    503: "Too many photographs are waiting; see Retry-After.",
    504: "The photograph took too long.",
}
_PICTURE = {"schema": {"type": "string", "format": "binary"}}
_SEGMENT_BODY = {
    "required": True,
    "content": {
        "image/*": _PICTURE,
        "application/octet-stream": _PICTURE,
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": [FORM_FIELD],
                "properties": {FORM_FIELD: _PICTURE["schema"]},
            }
        },
    },
}


def photo_pool(
    config: Config, workers: int, known: FileHashes | None = None
) -> WorkerPool[PhotoRequest, PhotoAnswer]:
    """Make the pool that answers photographs, not started; ``known`` as of `PhotoSegmenter.from_config`."""
    return WorkerPool(
        config,
        partial(photo_answerer, known=known),
        workers=workers,
        queue_size=config.server.queue_size,
        time_limit_seconds=config.server.time_limit_seconds,
    )


def create_app(config: Config, pool: WorkerPool[PhotoRequest, PhotoAnswer], guard: Guard) -> FastAPI:
    """Make the app.

    Parameters
    ----------
    config
        ``server`` says what is allowed.
    pool
        Answers photographs; started and closed with the app.
    guard
        Says who may ask.
    """
    metrics = Metrics(pool)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        del app
        pool.start()
        yield
        await asyncio.to_thread(pool.close)

    app = FastAPI(
        title="Uncrop",
        version=__version__,
        summary="A mask of every face in a photograph, aligned pixel for pixel.",
        docs_url=None,  # their pages would load scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
    )
    app.add_middleware(CheckMiddleware, guard=guard, open_paths=OPEN_PATHS)
    app.add_middleware(MetricsMiddleware, metrics=metrics)
    if guard.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(guard.origins),
            allow_methods=["POST", "GET"],
            allow_headers=["Authorization", "Content-Type"],
            expose_headers=["X-Uncrop-Status", "X-Uncrop-Faces", "Retry-After"],
        )
    _add_errors(app)
    _add_segment(app, config, pool, metrics)
    _add_watching(app, pool, metrics)
    static = files("pipeline.server") / "static"
    app.mount("/static", StaticFiles(directory=str(static)), name="static")

    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        return Response((static / "drop.html").read_bytes(), media_type="text/html; charset=utf-8")

    return app


def _add_segment(
    app: FastAPI, config: Config, pool: WorkerPool[PhotoRequest, PhotoAnswer], metrics: Metrics
) -> None:
    limits = config.server
    max_bytes = limits.max_body_mb * 1_000_000
    budget = BodyBudget(max_bytes * (limits.queue_size + pool.workers))

    @app.post(
        "/segment",
        summary="Segment the faces of a photograph",
        response_class=Response,
        responses={
            200: {
                "description": "By the Accept header: a picture, a description of the faces, or everything.",
                "content": {
                    "image/png": _PICTURE,
                    "application/json": {"schema": {"type": "object"}},
                    "application/zip": _PICTURE,
                },
            },
            **{code: {"description": text} for code, text in _SEGMENT_ERRORS.items()},
        },
        openapi_extra={"requestBody": _SEGMENT_BODY},
    )
    async def segment(
        request: Request,
        output: Annotated[Output, Query(description="Which picture, for image/png.")] = "mask",
    ) -> Response:
        media_type = best_media_type(request.headers.get("accept"), MEDIA_TYPES)
        if media_type is None:
            return problem(406, f"can be given: {', '.join(MEDIA_TYPES)}")
        try:
            content = await read_body(
                request,
                max_bytes=max_bytes,
                time_limit_seconds=limits.body_limit_seconds,
                budget=budget,
            )
        except BodyError as error:
            return problem(error.status, str(error), {"Retry-After": "1"} if error.status == 503 else None)
        if sniff_format(content[:SNIFF_BYTES]) is None:
            return problem(415, "the body is no picture of a known format (JPEG, PNG, WebP, TIFF, ...)")
        try:
            future = pool.submit(PhotoRequest(content, media_type, output))
        except PoolFullError as error:
            return problem(503, str(error), {"Retry-After": str(error.retry_after_seconds)})
        del content
        answering = asyncio.wrap_future(future)
        leaving = asyncio.create_task(_left(request))
        either: list[asyncio.Future[Any]] = [answering, leaving]
        await asyncio.wait(either, timeout=limits.time_limit_seconds, return_when=asyncio.FIRST_COMPLETED)
        has_left = leaving.done()
        leaving.cancel()
        if not answering.done():
            answering.cancel()
            if has_left:
                raise ClientDisconnect
            raise TimeLimitError(f"took longer than {limits.time_limit_seconds:g} s")
        answer = answering.result()
        metrics.photographs.labels(answer.status).inc()
        metrics.faces.inc(answer.faces)
        return Response(
            answer.content,
            media_type=answer.media_type,
            headers={"X-Uncrop-Status": answer.status, "X-Uncrop-Faces": str(answer.faces), "Vary": "Accept"},
        )


def _add_watching(app: FastAPI, pool: WorkerPool[PhotoRequest, PhotoAnswer], metrics: Metrics) -> None:
    @app.get("/healthz", summary="Whether the server is alive")
    async def healthz() -> dict[str, str]:
        return {"status": "alive"}

    @app.get(
        "/readyz",
        summary="Whether a worker has loaded its models",
        responses={503: {"description": "None has yet."}},
    )
    async def readyz() -> JSONResponse:
        ready = pool.state.ready
        return JSONResponse({"workers_ready": ready, "workers": pool.workers}, 200 if ready else 503)

    @app.get(
        "/metrics",
        summary="Metrics for Prometheus",
        response_class=Response,
        responses={
            200: {"content": {"text/plain": {"schema": {"type": "string"}}}},
            401: {"description": _SEGMENT_ERRORS[401]},
        },
    )
    async def metrics_text() -> Response:
        return Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(ImageTooLargeError)
    async def too_large(request: Request, error: Exception) -> JSONResponse:
        return problem(413, str(error))

    @app.exception_handler(ImageReadError)
    async def unreadable(request: Request, error: Exception) -> JSONResponse:
        return problem(400, str(error))

    @app.exception_handler(TimeLimitError)
    async def late(request: Request, error: Exception) -> JSONResponse:
        return problem(504, str(error))

    @app.exception_handler(UncropError)  # without it a photograph that fails would be logged as a fault
    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> JSONResponse:
        return problem(500, f"{type(error).__name__}: {error}")

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        return problem(error.status_code, str(error.detail), error.headers)

    @app.exception_handler(ClientDisconnect)
    async def gone(request: Request, error: Exception) -> JSONResponse:
        return problem(499, "the client has gone")

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        return JSONResponse({"detail": _plain(error.errors())}, 422)


def _plain(errors: Any) -> list[dict[str, Any]]:
    return [{"loc": list(e["loc"]), "msg": e["msg"], "type": e["type"]} for e in errors]


async def _left(request: Request) -> None:
    """Wait until the client has gone."""
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            return
