"""The model behind BentoML, as its guide shows: one worker process for each core."""

import os

import bentoml
import numpy
import onnxruntime


@bentoml.service(workers=int(os.environ["WORKERS"]), logging={"access": {"enabled": False}})
class Digits:
    """Classifies rows of 64 numbers."""

    def __init__(self) -> None:
        """Opens the model for one thread, which does not spin while it waits."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = onnxruntime.InferenceSession(
            os.environ["MODEL"], options, providers=["CPUExecutionProvider"]
        )

    @bentoml.api(route="/predict")
    async def predict(self, data: list[list[float]], model: str) -> dict:
        """Runs the model on the rows."""
        x = numpy.asarray(data, dtype=numpy.float32)
        label, probabilities = self.session.run(["label", "probabilities"], {"x": x})
        predictions = {"label": label.tolist(), "probabilities": probabilities.tolist()}
        return {"predictions": predictions, "model": model, "model_version": "2"}
