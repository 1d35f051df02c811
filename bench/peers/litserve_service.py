"""The model behind LitServe, as its guide shows: one worker process for each core.

The decoded JSON of a request goes to `decode_request`, and what `encode_response` returns is the
reply.
"""

import os

import litserve
import numpy
import onnxruntime


class Digits(litserve.LitAPI):
    """Classifies rows of 64 numbers."""

    def setup(self, device: str) -> None:
        """Opens the model for one thread, which does not spin while it waits."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = onnxruntime.InferenceSession(
            os.environ["MODEL"], options, providers=["CPUExecutionProvider"]
        )

    def decode_request(self, request: dict) -> numpy.ndarray:
        """The rows of the request."""
        return numpy.asarray(request["data"], dtype=numpy.float32)

    def predict(self, x: numpy.ndarray) -> list[numpy.ndarray]:
        """Runs the model."""
        return self.session.run(["label", "probabilities"], {"x": x})

    def encode_response(self, output: list[numpy.ndarray]) -> dict:
        """The reply, with the names of the outputs."""
        label, probabilities = output
        predictions = {"label": label.tolist(), "probabilities": probabilities.tolist()}
        return {"predictions": predictions, "model": "digits", "model_version": "2"}


if __name__ == "__main__":
    server = litserve.LitServer(
        Digits(api_path="/predict"),
        accelerator="cpu",
        workers_per_device=int(os.environ["WORKERS"]),
    )
    server.run(
        host="127.0.0.1",
        port=int(os.environ["PORT"]),
        log_level="warning",
        generate_client_file=False,
    )
