"""Writes held-out rows as files, and records what a model scores on them.

Scores always come from the written file, run by ONNX Runtime, never from the
model in memory: this is what a server can reproduce.
"""

import csv
import json
import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import numpy as np
import onnxruntime

from paths import DATA

METRICS = DATA / "metrics.json"


def run(path, rows):
    """Runs the model file on all `rows` in one batch; outputs by name."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {session.get_inputs()[0].name: rows})))


def write_csv(name, columns, rows, labels):
    """Writes one line per row: the features, then the true label."""
    with (DATA / name).open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*columns, "label"])
        for row, label in zip(rows, labels):
            writer.writerow([*(f"{value:g}" for value in row), label])


def write_json(name, body):
    """Writes a request body on one line, ready for `curl --data @file`."""
    (DATA / name).write_text(json.dumps(body) + "\n")


def record(model, version, data, predicted, labels):
    """Stores and prints how many held-out rows this version gets right."""
    correct, rows = int(np.sum(predicted == labels)), len(labels)
    metrics = json.loads(METRICS.read_text()) if METRICS.exists() else {}
    metrics.setdefault(model, {})[version] = {
        "data": data,
        "rows": rows,
        "correct": correct,
        "accuracy": correct / rows,
    }
    METRICS.write_text(json.dumps(metrics, indent=2, sort_keys=True) + "\n")
    print(f"{model} version {version}: {correct} of {rows} correct ({correct / rows:.4f})")
