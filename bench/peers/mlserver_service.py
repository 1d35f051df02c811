"""The model behind MLServer, as its guide shows: a runtime of its own, one worker for each core."""

import os

import mlserver
import numpy
import onnxruntime
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Digits(mlserver.MLModel):
    """Classifies rows of 64 numbers."""

    async def load(self) -> bool:
        """Opens the model for one thread, which does not spin while it waits."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = onnxruntime.InferenceSession(
            os.environ["MODEL"], options, providers=["CPUExecutionProvider"]
        )
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Runs the model on the rows."""
        x = NumpyCodec.decode_input(payload.inputs[0]).astype(numpy.float32)
        label, probabilities = self.session.run(["label", "probabilities"], {"x": x})
        return InferenceResponse(
            model_name=self.name,
            outputs=[
                NumpyCodec.encode_output("label", label),
                NumpyCodec.encode_output("probabilities", probabilities),
            ],
        )
