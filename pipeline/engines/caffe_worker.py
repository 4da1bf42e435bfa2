# ruff: noqa: UP004,UP024,UP032,PTH123,PLC0415,RUF005
"""The far side of the engine ``caffe``: real pycaffe in an interpreter of its own.

One file, for CPython 2.7 and 3.5 or newer, with nothing but the standard library, numpy and caffe:

    python -u caffe_worker.py

It speaks on stdin and stdout, in frames: four letters saying what it is, the length of the payload as an
unsigned 64-bit big-endian number, the payload. An array is one byte with the number of its axes, each axis
as an unsigned 32-bit big-endian number, then little-endian float32 in C order. JSON and text are UTF-8.

    engine to worker                          worker to engine
                                              8 bytes: MAGIC, so that no banner is taken for the worker
    INIT  JSON protocol, device, threads      HELO  JSON protocol, caffe, python
    PROT  the deploy prototxt's bytes         (no answer)
    WGTS  the caffemodel's bytes              REDY  JSON shape: that of the input, (n, c, h, w)
    PRED  array (n, c, h, w)                  SCOR  array (n, classes, h, w)
    QUIT, or the end of stdin                 the worker ends

In place of any answer there may be FAIL with the text of an error; the worker goes on. Whatever else is
printed to stdout comes out on stderr. Arguments on the command line are ignored.
"""

import json
import os
import shutil
import signal
import struct
import sys
import tempfile

if False:  # for type checkers: Python 3.5 has no TYPE_CHECKING, 2.7 no typing
    from typing import IO, Any  # noqa: F401 - read from the type comments

PROTOCOL = 1
MAGIC = b"UNCROPC1"
CHUNK_BYTES = 1 << 20


class Frames(object):
    """Frames over two binary files."""

    def __init__(self, source, sink):
        # type: (IO[bytes], IO[bytes]) -> None
        self._source = source
        self._sink = sink

    def send(self, kind, payload=b""):
        # type: (bytes, bytes) -> None
        """Write one frame: four letters and bytes."""
        self._sink.write(kind + struct.pack(">Q", len(payload)))
        self._sink.write(payload)
        self._sink.flush()

    def send_file(self, kind, path):
        # type: (bytes, Any) -> None
        """Write one frame holding a file, without holding it in memory."""
        with open(path, "rb") as file:
            self._sink.write(kind + struct.pack(">Q", os.fstat(file.fileno()).st_size))
            shutil.copyfileobj(file, self._sink, CHUNK_BYTES)
        self._sink.flush()

    def header(self):
        # type: () -> tuple[bytes, int]
        """Kind and payload length of the next frame; EOFError at the end."""
        head = self.take(12)
        return head[:4], struct.unpack(">Q", head[4:])[0]

    def take(self, count):
        # type: (int) -> bytes
        """Exactly so many bytes; EOFError if there are fewer."""
        pieces = []
        while count:
            piece = self._source.read(min(count, CHUNK_BYTES))
            if not piece:
                raise EOFError("the stream ended {} bytes early".format(count))
            pieces.append(piece)
            count -= len(piece)
        return b"".join(pieces)

    def take_to_file(self, count):
        # type: (int) -> IO[bytes]
        """Copy so many bytes into a file without a name, which is gone with this process however it ends."""
        file = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the network is loaded
        while count:
            piece = self.take(min(count, CHUNK_BYTES))
            file.write(piece)
            count -= len(piece)
        file.seek(0)
        return file


def pack_array(array):
    # type: (Any) -> bytes
    """Bytes of a float32 array, see the module's docstring."""
    head = struct.pack(">B{}I".format(array.ndim), array.ndim, *array.shape)
    return head + bytes(array.astype("<f4").tobytes())


def unpack_array(payload):
    # type: (bytes) -> Any
    """The read-only array that `pack_array` made bytes of; ValueError if it did not."""
    import numpy

    axes = struct.unpack(">B", payload[:1])[0]
    shape = struct.unpack(">{}I".format(axes), payload[1 : 1 + 4 * axes])
    return numpy.frombuffer(payload, "<f4", offset=1 + 4 * axes).reshape(shape)


class Worker(object):
    """Answers frames until there are no more."""

    def __init__(self, frames):
        # type: (Frames) -> None
        self._frames = frames
        self._prototxt = None  # type: Any
        self._caffemodel = None  # type: Any
        self._device = "cpu"
        self._net = None  # type: Any

    def run(self):
        # type: () -> None
        """Serve; returns at QUIT or the end of stdin."""
        while True:
            try:
                kind, count = self._frames.header()
            except EOFError:
                return
            if kind == b"QUIT":
                return
            if kind == b"PROT":
                self._prototxt = self._frames.take_to_file(count)
                continue
            if kind == b"WGTS":
                self._caffemodel = self._frames.take_to_file(count)
                payload = b""
            else:
                payload = self._frames.take(count)
            try:
                answer = self._answer(kind, payload)
            except Exception as error:  # noqa: BLE001 - the engine is told, whatever it is
                answer = b"FAIL", "{}: {}".format(type(error).__name__, error).encode("utf-8", "replace")
            self._frames.send(*answer)

    def _answer(self, kind, payload):
        # type: (bytes, bytes) -> tuple[bytes, bytes]
        if kind == b"INIT":
            return b"HELO", json.dumps(self._initialise(json.loads(payload.decode("utf-8")))).encode("utf-8")
        if kind == b"WGTS":
            return b"REDY", json.dumps({"shape": self._load()}).encode("utf-8")
        if kind == b"PRED":
            return b"SCOR", pack_array(self._predict(unpack_array(payload)))
        raise ValueError("unknown frame {!r}".format(kind))

    def _initialise(self, settings):
        # type: (dict[str, Any]) -> dict[str, Any]
        if settings["protocol"] != PROTOCOL:
            raise ValueError("this worker speaks protocol {}, not {}".format(PROTOCOL, settings["protocol"]))
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS"):
            os.environ[name] = str(settings["threads"])
        os.environ.setdefault("GLOG_minloglevel", "2")
        import caffe

        self._device = settings["device"]
        if self._device == "cpu":
            caffe.set_mode_cpu()
        else:
            caffe.set_device(int(self._device.partition(":")[2] or 0))
            caffe.set_mode_gpu()
        version = str(getattr(caffe, "__version__", "unknown"))
        return {"protocol": PROTOCOL, "caffe": version, "python": "{}.{}.{}".format(*sys.version_info[:3])}

    def _load(self):
        # type: () -> list[int]
        import caffe

        paths = ["/dev/fd/{}".format(file.fileno()) for file in (self._prototxt, self._caffemodel)]
        self._net = caffe.Net(paths[0], paths[1], caffe.TEST)
        self._prototxt.close()
        self._caffemodel.close()
        if len(self._net.inputs) != 1 or len(self._net.outputs) != 1:
            raise ValueError(
                "the network has inputs {} and outputs {}, not one of each".format(
                    list(self._net.inputs), list(self._net.outputs)
                )
            )
        return [int(size) for size in self._net.blobs[self._net.inputs[0]].data.shape]

    def _predict(self, batch):
        # type: (Any) -> Any
        """One image after the other: the memory of one, and the same arithmetic for any batch."""
        import numpy

        if self._net is None:
            raise ValueError("no network was loaded")
        blob = self._net.blobs[self._net.inputs[0]]
        one = (1,) + batch.shape[1:]
        if blob.data.shape[1:2] != one[1:2]:
            raise ValueError("the network takes {} channels, not {}".format(blob.data.shape[1], one[1]))
        if blob.data.shape != one:
            blob.reshape(*one)
            self._net.reshape()
        scores = []
        for image in batch:
            blob.data[0] = image
            scores.append(numpy.array(self._net.forward()[self._net.outputs[0]][0]))
        return numpy.stack(scores)


def main():
    # type: () -> None
    """Serve on stdin and stdout."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started the worker decides when it ends
    source = os.fdopen(os.dup(0), "rb")
    sink = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    sink.write(MAGIC)
    sink.flush()
    try:
        Worker(Frames(source, sink)).run()
    except (EOFError, IOError) as error:
        sys.exit("the engine is gone: {}".format(error))


if __name__ == "__main__":
    main()
