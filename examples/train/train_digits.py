"""Digits as 64 numbers: version 1 is a random forest, version 2 a network.

Both have one signature, `x` [batch, 64] to `label` [batch] and `probabilities`
[batch, 10], so that traffic can move from one to the other.
"""

import io

import numpy as np
import onnx
import torch
from skl2onnx import to_onnx
from sklearn.ensemble import RandomForestClassifier
from torch import nn
from tqdm import tqdm

import digits
import export
import held_out

CSV = "digits-test.csv"
N_EPOCHS = 40
BATCH_SIZE = 32


class Network(nn.Module):
    """64-128-64-10; takes raw 0..16 values and scales them itself."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10)
        )

    def scores(self, x):
        return self.layers(x / 16)

    def forward(self, x):
        probabilities = torch.softmax(self.scores(x), dim=1)
        return torch.argmax(probabilities, dim=1), probabilities


def train_forest(rows, labels):
    # 24 trees of 64 leaves keep the file below 300 kB.
    forest = RandomForestClassifier(24, max_leaf_nodes=64, random_state=digits.SEED)
    return forest.fit(rows, labels)


def export_forest(forest, rows):
    model = to_onnx(
        forest, rows[:1],
        options={"zipmap": False}, target_opset={"": export.OPSET, "ai.onnx.ml": export.ML_OPSET},
    )
    return export.save(model, "digits", "1")


def train_network(rows, labels):
    torch.manual_seed(digits.SEED)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    rows, labels = torch.from_numpy(rows), torch.from_numpy(labels)
    network = Network()
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, N_EPOCHS)
    for _ in tqdm(range(N_EPOCHS), desc="digits 2", unit="epoch"):
        for chosen in torch.randperm(len(rows)).split(BATCH_SIZE):
            optimizer.zero_grad()
            nn.functional.cross_entropy(network.scores(rows[chosen]), labels[chosen]).backward()
            optimizer.step()
        schedule.step()
    return network.eval()


def export_network(network):
    file = io.BytesIO()
    torch.onnx.export(
        network, (torch.zeros(2, 64),), file,
        dynamo=True, opset_version=export.OPSET, external_data=False, verbose=False,
        input_names=[export.INPUT], output_names=list(export.OUTPUTS),
        dynamic_shapes={"x": {0: torch.export.Dim(export.BATCH)}},
    )
    return export.save(onnx.load_from_string(file.getvalue()), "digits", "2")


def check(version, path, rows, labels, expected_labels, expected_probabilities):
    """The file must agree with the model that it was made from."""
    outputs = held_out.run(path, rows)
    np.testing.assert_array_equal(outputs["label"], expected_labels)
    np.testing.assert_allclose(outputs["probabilities"], expected_probabilities, atol=1e-5)
    held_out.record("digits", version, CSV, outputs["label"], labels)


def write_requests(rows, labels):
    held_out.write_csv(CSV, [f"pixel_{i}" for i in range(64)], rows, labels)
    whole = rows.astype(int)
    held_out.write_json("digits-request.json", {"data": whole[:1].tolist(), "model": "digits"})
    held_out.write_json(
        "digits-batch-request.json",
        {"data": whole[:16].tolist(), "model": "digits", "model_version": "2"},
    )
    two = whole[:2].tolist()
    tensor = {"name": export.INPUT, "shape": [2, 64], "datatype": "FP32", "data": two}
    held_out.write_json("digits-infer-request.json", {"id": "1", "inputs": [tensor]})


def main():
    train_x, test_x, train_y, test_y = digits.split()
    write_requests(test_x, test_y)

    forest = train_forest(train_x, train_y)
    path = export_forest(forest, train_x)
    check("1", path, test_x, test_y, forest.predict(test_x), forest.predict_proba(test_x))

    network = train_network(train_x, train_y)
    path = export_network(network)
    with torch.no_grad():
        labels, probabilities = network(torch.from_numpy(test_x))
    check("2", path, test_x, test_y, labels.numpy(), probabilities.numpy())


if __name__ == "__main__":
    main()
