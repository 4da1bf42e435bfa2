"""What is answered about a photograph."""

import io

import numpy as np
import pytest
from PIL import Image

from pipeline.config import Config
from pipeline.server.answers import Output, PhotoAnswerer, PhotoRequest
from tests.stand_ins import Bright


def transparent_photo() -> bytes:
    """White all over, and visible in the middle alone."""
    rgba = np.full((40, 48, 4), 255, np.uint8)
    rgba[:, :, 3] = 0
    rgba[15:25, 20:28, 3] = 255
    buffer = io.BytesIO()
    Image.fromarray(rgba).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("output", ["cutout", "mask"])
def test_what_a_photograph_hides_is_not_answered(output: Output) -> None:
    config = Config.model_validate({"input": {"background": "black"}})
    request = PhotoRequest(transparent_photo(), "image/png", output)
    answer = PhotoAnswerer(config, Bright(config)).answer(request)
    with Image.open(io.BytesIO(answer.content)) as image:
        picture = np.asarray(image)
        profile = image.info.get("icc_profile")
    covered = picture[:, :, 3] if output == "cutout" else picture
    assert np.argwhere(covered > 0).min(axis=0).tolist() == [15, 20]
    assert np.count_nonzero(covered) == 80
    assert (profile is not None) == (output == "cutout")


def test_a_cut_out_of_the_whole_keeps_its_transparency() -> None:
    config = Config()  # on white, so that the hidden parts are bright, too
    request = PhotoRequest(transparent_photo(), "image/png", "cutout")
    answer = PhotoAnswerer(config, Bright(config)).answer(request)
    with Image.open(io.BytesIO(answer.content)) as image:
        assert np.count_nonzero(np.asarray(image)[:, :, 3]) == 80
