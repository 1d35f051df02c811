"""The service that people write by hand around a model: FastAPI, pydantic and ONNX Runtime.

Written as its authors advise, so that the comparison is fair: one session for the process, one
thread per worker process because uvicorn starts as many workers as there are cores, and no pool
of threads in between, since a run takes microseconds.
"""

import os

import numpy
import onnxruntime
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel


class PredictRequest(BaseModel):
    """Rows of 64 numbers."""

    data: list[list[float]]


class Predictions(BaseModel):
    """The outputs of the model, one entry per row."""

    label: list[int]
    probabilities: list[list[float]]


class PredictResponse(BaseModel):
    """The reply."""

    predictions: Predictions
    model: str
    model_version: str


def open_session() -> onnxruntime.InferenceSession:
    """Opens the model for one thread, which does not spin while it waits."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(
        os.environ["MODEL"], options, providers=["CPUExecutionProvider"]
    )


session = open_session()
app = FastAPI()


@app.post("/predict")
async def predict(request: PredictRequest) -> PredictResponse:
    """Classifies the rows."""
    try:
        rows = numpy.asarray(request.data, dtype=numpy.float32)
    except ValueError as error:
        raise HTTPException(400, "rows differ in length") from error
    if rows.ndim != 2 or rows.shape[1] != 64:
        raise HTTPException(400, f"expected shape [-1, 64], got {list(rows.shape)}")
    label, probabilities = session.run(["label", "probabilities"], {"x": rows})
    predictions = Predictions(label=label.tolist(), probabilities=probabilities.tolist())
    return PredictResponse(predictions=predictions, model="digits", model_version="2")
