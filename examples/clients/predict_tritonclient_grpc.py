"""Scores a running server with the unmodified tritonclient package, over gRPC.

Tensors travel as raw bytes, the only form that this client sends.
"""

import argparse
import functools

import numpy as np
import tritonclient.grpc as triton

import scoring


def predict(client, model, version, rows):
    """The predicted labels as text; string labels arrive as bytes."""
    rows = np.asarray(rows, dtype=np.float32)
    x = triton.InferInput("x", list(rows.shape), "FP32")
    x.set_data_from_numpy(rows)
    wanted = [triton.InferRequestedOutput("label")]
    reply = client.infer(model, [x], model_version=version, outputs=wanted)
    labels = reply.as_numpy("label")
    return [label.decode() if isinstance(label, bytes) else str(label) for label in labels]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="localhost:8001", help="host:port, without a scheme")
    parser.add_argument("--rows-per-request", type=int, default=30)
    arguments = parser.parse_args()

    results = []
    with triton.InferenceServerClient(arguments.url) as client:
        for model, version, expected in scoring.expected_scores():
            if scoring.is_table(expected):
                ask = functools.partial(predict, client, model, version)
                correct = scoring.score_table(expected, ask, arguments.rows_per_request)
                results.append((model, version, correct, expected))
    scoring.print_table(results)


if __name__ == "__main__":
    main()
