"""Where the server under test listens, and the tensors that every client sends."""

import csv
import json
import os
import pathlib

import ml_dtypes
import numpy as np

ADDRESS = os.environ["LOCKGATE_ADDRESS"]
EXAMPLES = pathlib.Path(os.environ["LOCKGATE_EXAMPLES"])

INTEGERS = ["UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64"]


def values(datatype):
    """A tensor of shape [2, 3] with the extreme values of a datatype."""
    if datatype == "BOOL":
        return np.array([[True, False, True], [False, False, True]])
    if datatype == "BYTES":
        texts = [["", "a", "é"], ["two words", "x" * 300, "日本"]]
        return np.array([[t.encode() for t in row] for row in texts], dtype=np.object_)
    if datatype in INTEGERS:
        dtype = np.dtype(datatype.lower())
        limits = np.iinfo(dtype)
        return np.array([[limits.min, 0, limits.max], [1, 2, 3]], dtype=dtype)
    if datatype == "BF16":
        numbers = [[1.0, -2.5, 3.140625], [-0.0, 1e38, 1e-38]]
        return np.array(numbers, dtype=ml_dtypes.bfloat16)
    dtype = {"FP16": np.float16, "FP32": np.float32, "FP64": np.float64}[datatype]
    limits = np.finfo(dtype)
    return np.array([[limits.min, -0.0, limits.max], [limits.tiny, 0.1, 1.5]], dtype=dtype)


DATATYPES = ["BOOL", *INTEGERS, "FP16", "BF16", "FP32", "FP64", "BYTES"]


def same(left, right):
    """Whether two arrays agree in shape and in every bit."""
    if left.dtype == np.object_:
        return left.shape == right.shape and left.tolist() == right.tolist()
    return left.shape == right.shape and left.tobytes() == right.tobytes()


def held_out_digits():
    """Rows of shape [360, 64] and their labels."""
    with open(EXAMPLES / "data/digits-test.csv", newline="") as file:
        rows = list(csv.reader(file))[1:]
    pixels = np.array([row[:-1] for row in rows], dtype=np.float32)
    return pixels, np.array([int(row[-1]) for row in rows])


def expected_correct(version):
    """How many held-out digits a version recognised when it was trained."""
    return json.loads((EXAMPLES / "data/metrics.json").read_text())["digits"][version]["correct"]
