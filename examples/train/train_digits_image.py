"""Digits as pictures: a small convolutional network behind image pre-processing.

The 8x8 scans are drawn as larger pictures of different proportions, as somebody
would post them, and go through the same decoding, resizing and cropping in
training, in scoring and in the server. The score is taken from the committed
PNG files, not from pictures in memory.
"""

import io

import numpy as np
import onnx
import torch
from PIL import Image
from torch import nn
from tqdm import tqdm

import digits
import export
import held_out
import preprocess
from paths import DATA

NAME = "digits-image"
PICTURES = "digits-png"
EXPECTED = "digits-png-expected.json"
N_PICTURES_PER_DIGIT = 5
N_DRAWINGS_PER_SCAN = 4
N_EPOCHS = 12
BATCH_SIZE = 64
INK_SIZE = 32
CANVAS_SIZES = ((44, 32), (32, 40), (36, 36), (32, 32))


class Network(nn.Module):
    """Two convolutions and one hidden layer over a grey 16x16 picture."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(32 * 4 * 4, 64), nn.ReLU(), nn.Linear(64, 10),
        )

    def scores(self, x):
        return self.layers(x)

    def forward(self, x):
        return torch.softmax(self.scores(x), dim=1)


def draw(row, random):
    """White ink on a black canvas, near its centre; every third one is RGB."""
    scan = Image.fromarray((row.reshape(8, 8) * 255 / 16).round().astype(np.uint8))
    ink = scan.resize((INK_SIZE, INK_SIZE), Image.Resampling.BICUBIC)
    width, height = CANVAS_SIZES[random.integers(len(CANVAS_SIZES))]
    picture = Image.new("L", (width, height))
    shift_x, shift_y = random.integers(-2, 3, size=2)
    left, top = (width - INK_SIZE) // 2 + shift_x, (height - INK_SIZE) // 2 + shift_y
    picture.paste(ink, (int(left), int(top)))
    return picture.convert("RGB") if random.integers(3) == 0 else picture


def write_pictures(rows, labels):
    """Writes some held-out digits as `<label>-<row in digits-test.csv>.png`."""
    folder = DATA / PICTURES
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.png"):
        old.unlink()
    random = np.random.default_rng(digits.SEED)
    for label in range(10):
        for index in np.flatnonzero(labels == label)[:N_PICTURES_PER_DIGIT]:
            draw(rows[index], random).save(folder / f"{label}-{index:03}.png", optimize=True)
    return sorted(folder.glob("*.png"))


def read_pictures(paths, image_settings):
    """The written pictures as one batch, with the labels from their names."""
    tensors = [preprocess.to_tensor(Image.open(path), image_settings) for path in paths]
    return np.stack(tensors), np.array([int(path.name.split("-")[0]) for path in paths])


def train(rows, labels, image_settings):
    random = np.random.default_rng(digits.SEED + 1)
    repeated = np.tile(np.arange(len(rows)), N_DRAWINGS_PER_SCAN)
    tensors = [
        preprocess.to_tensor(draw(rows[index], random), image_settings)
        for index in tqdm(repeated, desc="drawing", unit="picture", mininterval=1)
    ]
    x, y = torch.from_numpy(np.stack(tensors)), torch.from_numpy(labels[repeated])

    torch.manual_seed(digits.SEED)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    network = Network()
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, N_EPOCHS)
    for _ in tqdm(range(N_EPOCHS), desc=NAME, unit="epoch"):
        for chosen in torch.randperm(len(x)).split(BATCH_SIZE):
            optimizer.zero_grad()
            nn.functional.cross_entropy(network.scores(x[chosen]), y[chosen]).backward()
            optimizer.step()
        schedule.step()
    return network.eval()


def export_network(network, shape):
    file = io.BytesIO()
    torch.onnx.export(
        network, (torch.zeros(2, *shape),), file,
        dynamo=True, opset_version=export.OPSET, external_data=False, verbose=False,
        input_names=[export.INPUT], output_names=["probabilities"],
        dynamic_shapes={"x": {0: torch.export.Dim(export.BATCH)}},
    )
    return export.save(onnx.load_from_string(file.getvalue()), NAME, "1")


def main():
    image_settings = preprocess.settings(NAME)
    train_x, test_x, train_y, test_y = digits.split()
    paths = write_pictures(test_x, test_y)
    pictures, labels = read_pictures(paths, image_settings)

    network = train(train_x, train_y, image_settings)
    model = export_network(network, pictures.shape[1:])
    probabilities = held_out.run(model, pictures)["probabilities"]
    with torch.no_grad():
        expected = network(torch.from_numpy(pictures)).numpy()
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)

    rounded = probabilities.astype(float).round(6).tolist()
    held_out.write_json(EXPECTED, {path.name: row for path, row in zip(paths, rounded)})
    held_out.record(NAME, "1", PICTURES, probabilities.argmax(axis=1), labels)
    report_all(model, test_x, test_y, image_settings)


def report_all(model, rows, labels, image_settings):
    """Prints the score on all held-out digits: the few files alone flatter it."""
    random = np.random.default_rng(digits.SEED + 2)
    drawn = np.stack([preprocess.to_tensor(draw(row, random), image_settings) for row in rows])
    predicted = held_out.run(model, drawn)["probabilities"].argmax(axis=1)
    correct = np.sum(predicted == labels)
    print(f"all held-out digits, drawn anew: {correct} of {len(labels)} correct")


if __name__ == "__main__":
    main()
