"""What answers in the workers of tests; it is built in them, so it is a module."""

import os
import time
from pathlib import Path

from pipeline.config import Config
from pipeline.errors import ModelMissingError, SegmentationError
from pipeline.server.answers import PhotoAnswerer
from tests import stand_ins


class Parrot:
    """Does what it is told, else says it again."""

    def answer(self, request: str) -> str:
        order, _, argument = request.partition(" ")
        if order == "sleep":
            time.sleep(float(argument))
        elif order == "wait-for":
            while not Path(argument).exists():
                time.sleep(0.01)
        elif order == "die":
            os._exit(7)
        elif order == "die-once":
            try:
                Path(argument).mkdir()
            except FileExistsError:
                return "alive again"
            os._exit(7)
        elif order == "fail":
            raise SegmentationError(argument)
        elif order == "break":
            raise KeyError(argument)
        elif order == "pid":
            return str(os.getpid())
        return request

    def close(self) -> None:
        return


def parrot(config: Config) -> Parrot:
    return Parrot()


def without_model(config: Config) -> Parrot:
    raise ModelMissingError("network.caffemodel", "is not there", "fetch it")


def obedient(config: Config) -> PhotoAnswerer:
    return PhotoAnswerer(config, stand_ins.obedient(config))
