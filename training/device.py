"""What a run computes on: processor or GPU, in which precision, in how many processes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from pipeline.environment import usable_cores
from training.options import NO_ENCODER, TrainOptions

CPU_INFO = Path("/proc/cpuinfo")
MOST_WORKERS = 16
"""Of one training process; at 130 crops a second each that is more than a GPU learns from."""


def has_amx() -> bool:
    """Say whether the processor multiplies bfloat16 matrices in tiles (Intel AMX); False where nobody says.

    AVX-512 BF16 without AMX does not pay: casting to and fro costs more than the products save.
    """
    return CPU_INFO.is_file() and "amx_bf16" in CPU_INFO.read_text(encoding="utf-8", errors="replace")


def settle_options(options: TrainOptions, begun_with: int = 0) -> TrainOptions:
    """Replace what is left open in `options` (``auto``, 0 processes, -1 workers) by what suits the machine.

    Parameters
    ----------
    options
        As they were given.
    begun_with
        Processes of the run that is taken up again, 0 of a new one.

    Raises
    ------
    ValueError
        If a device, precision or share is none, the GPU asked for is not there, or an encoder that starts
        from nothing would be frozen.
    """
    shares = ("occluder_share", "damage_share", "scene_share", "wild_share", "final_share", "teacher_share")
    for name in (*shares, "gentle"):
        if not 0 <= getattr(options, name) <= 1:
            raise ValueError(f"--{name.replace('_', '-')} {getattr(options, name):g}: choose from 0 to 1")
    if options.encoder == NO_ENCODER and options.init is None and options.frozen_blocks:
        raise ValueError("--encoder none: the encoder has to learn, give --frozen-blocks 0 with it")
    device = options.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device not in ("cpu", "cuda"):
        raise ValueError(f"--device {options.device}: choose auto, cpu or cuda")
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("--device cuda: PyTorch sees no GPU; install its CUDA build, or give --device cpu")
    on_gpu = device == "cuda"
    precision = options.precision
    if precision == "auto":
        quick = torch.cuda.is_bf16_supported(including_emulation=False) if on_gpu else has_amx()
        precision = "bfloat16" if quick else "float32"
    if precision not in ("float32", "bfloat16"):
        raise ValueError(f"--precision {options.precision}: choose auto, float32 or bfloat16")
    cores = usable_cores()
    suited = torch.cuda.device_count() if on_gpu else min(2, cores)
    processes = options.processes or begun_with or suited
    workers = options.workers
    if workers < 0:
        workers = min(MOST_WORKERS, max(1, cores // processes - 1)) if on_gpu else 0
    return replace(options, device=device, precision=precision, processes=processes, workers=workers)


def device_of(options: TrainOptions, rank: int) -> torch.device:
    """Return the device of one process: the GPUs are dealt out in turn."""
    if options.device == "cpu":
        return torch.device("cpu")
    return torch.device("cuda", rank % torch.cuda.device_count())


def autocast(options: TrainOptions) -> torch.autocast:
    """Return the context in which the network runs: bfloat16 where chosen, weights and loss stay float32."""
    return torch.autocast(options.device, torch.bfloat16, enabled=options.precision == "bfloat16")
