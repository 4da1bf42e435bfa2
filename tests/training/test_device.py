from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="torch comes with the training extra")

import torch

from training import device
from training.options import TrainOptions


def options(**changes: object) -> TrainOptions:
    return TrainOptions(Path("d"), Path("o"), **changes)  # type: ignore[arg-type]


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: True)
    monkeypatch.setattr(device, "usable_cores", lambda: 16)


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize(("flags", "precision"), [("fma avx512_bf16", "float32"), ("amx_bf16", "bfloat16")])
def test_a_processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: str, precision: str) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text(f"flags : {flags}\n")
    monkeypatch.setattr(device, "CPU_INFO", info)
    monkeypatch.setattr(device, "usable_cores", lambda: 16)
    settled = device.settle_options(options())
    assert (settled.device, settled.precision) == ("cpu", precision)
    assert (settled.processes, settled.workers) == (2, 0)
    assert device.device_of(settled, 1) == torch.device("cpu")


@pytest.mark.usefixtures("no_gpu")
def test_no_cpuinfo_is_no_amx(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "CPU_INFO", tmp_path / "missing")
    assert device.settle_options(options()).precision == "float32"


@pytest.mark.usefixtures("two_gpus")
def test_gpus_are_taken_and_dealt_out() -> None:
    settled = device.settle_options(options())
    assert (settled.device, settled.precision) == ("cuda", "bfloat16")
    assert (settled.processes, settled.workers) == (2, 7)
    assert [device.device_of(settled, rank).index for rank in range(3)] == [0, 1, 0]


@pytest.mark.usefixtures("two_gpus")
def test_a_gpu_that_only_emulates_bfloat16_gets_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)
    assert device.settle_options(options()).precision == "float32"


@pytest.mark.usefixtures("two_gpus")
def test_workers_are_not_more_than_are_of_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "usable_cores", lambda: 128)
    assert device.settle_options(options()).workers == device.MOST_WORKERS


@pytest.mark.usefixtures("two_gpus")
def test_a_run_goes_on_with_the_processes_it_began_with() -> None:
    assert device.settle_options(options(), begun_with=5).processes == 5
    assert device.settle_options(options(processes=3), begun_with=5).processes == 3


@pytest.mark.usefixtures("two_gpus")
def test_what_is_asked_for_stays() -> None:
    asked = options(device="cpu", precision="float32", processes=5, workers=3)
    assert device.settle_options(asked) == asked


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"device": "cuda"}, "--device cuda: PyTorch sees no GPU"),
        ({"device": "tpu"}, "--device tpu: choose"),
        ({"precision": "int8"}, "--precision int8: choose"),
        ({"teacher_share": 40.0}, "--teacher-share 40: choose from 0 to 1"),
        ({"final_share": -0.1}, "--final-share -0.1: choose from 0 to 1"),
        ({"encoder": Path("none")}, "--encoder none: the encoder has to learn, give --frozen-blocks 0"),
    ],
)
def test_what_is_not_there_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        device.settle_options(options(**changes))
