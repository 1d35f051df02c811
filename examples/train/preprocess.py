"""What the server does to a posted image, written with PIL and NumPy.

The settings come from the `image` section of the model's own `model.yaml`, so
training, scoring and serving cannot drift apart. Only what the digits model
uses is here: grey, one `resize` number, one `crop` number, `nchw`.
"""

import numpy as np
import yaml
from PIL import Image

from paths import MODELS


def settings(model):
    """The `image` section of a model's settings."""
    return yaml.safe_load((MODELS / model / "model.yaml").read_text())["image"]


def to_tensor(image, image_settings):
    """A decoded picture as one float32 tensor [1, height, width]."""
    assert (image_settings["channels"], image_settings["layout"]) == ("grey", "nchw")
    image = _resize_shorter_side(image.convert("L"), image_settings["resize"])
    image = _crop_centre(image, image_settings["crop"])
    pixels = np.asarray(image, dtype=np.float32) * np.float32(image_settings["scale"])
    mean, std = np.float32(image_settings["mean"][0]), np.float32(image_settings["std"][0])
    return ((pixels - mean) / std)[np.newaxis]


def _resize_shorter_side(image, size):
    width, height = image.size
    shorter = min(width, height)
    target = (size * width // shorter, size * height // shorter)
    return image.resize(target, Image.Resampling.BILINEAR)


def _crop_centre(image, size):
    left, top = round((image.width - size) / 2), round((image.height - size) / 2)
    return image.crop((left, top, left + size, top + size))
