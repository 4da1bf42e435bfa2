"""ONNX Runtime sessions for the detectors: one thread each, since every worker has a core of its own."""

from __future__ import annotations

from pathlib import Path

import onnxruntime


def open_network(path: Path, *, keep_memory: bool) -> onnxruntime.InferenceSession:
    """Load a network onto one thread of the CPU.

    Parameters
    ----------
    path
        An ONNX file.
    keep_memory
        Keep the memory of one run for the next, which makes large pictures a third faster. Only for inputs
        of few sizes: with pictures of all sizes it would only grow.

    Raises
    ------
    RuntimeError
        The file is not a readable network.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = keep_memory
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its classes share no other base
        raise RuntimeError(f"{path}: not a readable network; get a complete copy of the program") from error
