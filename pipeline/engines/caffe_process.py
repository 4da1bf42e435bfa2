"""The near side of the Caffe worker: a process, its frames, and what it last said when it fails."""

from __future__ import annotations

import collections
import contextlib
import os
import shlex
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from pipeline.engines import caffe_worker
from pipeline.errors import EngineError, EngineRefusedError

KEPT_LINES = 12
"""Lines of the worker's stderr that an error shows."""

MAX_ANSWER_BYTES = 1 << 33
"""A longer answer is not an answer."""

_STOP_SECONDS = 5.0


class CaffeProcess:
    """A running worker.

    Parameters
    ----------
    command
        Starts a Python interpreter; the worker's source is appended as ``-u -c SOURCE``.

    Raises
    ------
    EngineError
        The command cannot be started.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._name = f"engine.caffe.command: {shlex.join(command)}"
        self._overdue = ""
        source = Path(caffe_worker.__file__).read_text(encoding="utf-8")
        try:
            self._process = subprocess.Popen(
                [*command, "-u", "-c", source],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,  # so that what the command starts can be killed with it
            )
        except OSError as error:
            raise EngineError(f"{self._name}: cannot be started ({error.strerror or error})") from error
        self._stdin, self._stdout = _pipe(self._process.stdin), _pipe(self._process.stdout)
        self._frames = caffe_worker.Frames(self._stdout, self._stdin)
        self._lines: collections.deque[str] = collections.deque(maxlen=KEPT_LINES)
        self._listener = threading.Thread(
            target=self._listen, args=(_pipe(self._process.stderr),), daemon=True
        )
        self._listener.start()

    @contextlib.contextmanager
    def time_limit(self, seconds: float) -> Iterator[None]:
        """Kill the worker if the block takes longer; whatever waits for it then fails and says so."""

        def kill() -> None:
            self._overdue = f"did not answer within {seconds:g} seconds (engine.caffe.start_timeout_seconds)"
            self._kill()

        timer = threading.Timer(seconds, kill)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def greet(self) -> None:
        """Wait for the worker's first bytes and check that they are its own."""
        try:
            magic = self._frames.take(len(caffe_worker.MAGIC))
        except EOFError as error:
            raise self._failure("ended before it spoke") from error
        if magic != caffe_worker.MAGIC:
            self._kill()
            said = (magic + self._stdout.read(200)).decode("utf-8", "replace").strip()
            raise self._failure(f"is not the worker: it printed {said!r} to stdout")

    def send(self, kind: bytes, payload: bytes | Path = b"") -> None:
        """Send a frame: four letters, and bytes or the contents of a file."""
        try:
            if isinstance(payload, Path):
                self._frames.send_file(kind, payload)
            else:
                self._frames.send(kind, payload)
        except (BrokenPipeError, ConnectionError, ValueError) as error:
            raise self._failure("ended while it was spoken to") from error

    def receive(self, kind: bytes) -> bytes:
        """Payload of the next frame, which must be of that kind.

        Raises
        ------
        EngineRefusedError
            The worker reports an error.
        EngineError
            It died, or sent something else.
        """
        try:
            found, count = self._frames.header()
            if found not in (kind, b"FAIL") or count > MAX_ANSWER_BYTES:
                self._kill()
                raise self._failure(f"sent {found!r} and {count} bytes where {kind.decode()} was due")
            payload: bytes = self._frames.take(count)
        except EOFError as error:
            raise self._failure("died") from error
        if found == b"FAIL":
            raise EngineRefusedError(f"{self._name}: {payload.decode('utf-8', 'replace')}")
        return payload

    def stop(self) -> None:
        """End the worker and wait for it."""
        with contextlib.suppress(OSError, ValueError):
            self._frames.send(b"QUIT")
        with contextlib.suppress(OSError):
            self._stdin.close()
        self._wait()
        self._stdout.close()

    def _kill(self) -> None:
        """Kill the worker with all that its command has started, which would keep the pipes open."""
        if os.name == "posix":
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()

    def _wait(self) -> int:
        try:
            code = self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._kill()
            code = self._process.wait()
        self._listener.join(_STOP_SECONDS)
        return code

    def _listen(self, stderr: IO[bytes]) -> None:
        with stderr:
            for line in stderr:
                self._lines.append(line.decode("utf-8", "replace").rstrip())

    def _failure(self, problem: str) -> EngineError:
        """The error for a worker that is of no use any more, with its exit code and its last lines."""
        code = self._wait()
        said = "".join(f"\n    {line}" for line in self._lines) or " nothing"
        return EngineError(
            f"{self._name}: {self._overdue or problem} (exit code {code}); its last lines on stderr:{said}"
        )


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None
    return stream
