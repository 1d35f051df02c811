"""The most that ONNX Runtime does on this machine without any server, in one process.

Tries the layouts of threads that people use: one session with all threads, one session per core
with one thread each, and one shared session of one thread with as many callers as cores; each
with one row and with eight rows a run. Prints one line of JSON for each, with rows per second.

Decision: callers are Python threads; ONNX Runtime releases the interpreter lock while it runs, and
a run of the networks measured here takes milliseconds, so the interpreter is no limit.
"""

import argparse
import json
import threading
import time

import numpy
import onnxruntime


def open_session(path: str, n_threads: int) -> onnxruntime.InferenceSession:
    """Opens the model; spinning stays on for several threads, as by default."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = n_threads
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def rate(callers: list[onnxruntime.InferenceSession], n_rows: int, seconds: float) -> float:
    """Rows per second when each caller runs its session again and again on its own thread."""
    counts = [0] * len(callers)
    started = threading.Barrier(len(callers) + 1)

    def call(index: int, session: onnxruntime.InferenceSession) -> None:
        model_input = session.get_inputs()[0]
        shape = [n_rows, *model_input.shape[1:]]
        feed = {
            model_input.name: numpy.random.default_rng(index).random(shape, dtype=numpy.float32)
        }
        for _ in range(3):
            session.run(None, feed)
        started.wait()
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            session.run(None, feed)
            counts[index] += n_rows

    threads = [threading.Thread(target=call, args=pair) for pair in enumerate(callers)]
    for thread in threads:
        thread.start()
    started.wait()
    begin = time.perf_counter()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.perf_counter() - begin)


def main() -> None:
    """Measures all layouts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--cores", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 8])
    arguments = parser.parse_args()
    n = arguments.cores

    def shared() -> list[onnxruntime.InferenceSession]:
        return [open_session(arguments.model, 1)] * n

    layouts = {
        f"1 session of {n} threads": lambda: [open_session(arguments.model, n)],
        f"{n} sessions of 1 thread": lambda: [open_session(arguments.model, 1) for _ in range(n)],
        f"1 session of 1 thread, {n} callers": shared,
    }
    for layout, make in layouts.items():
        callers = make()
        for n_rows in arguments.batch_sizes:
            rows_per_second = rate(callers, n_rows, arguments.seconds)
            line = {"layout": layout, "n_rows": n_rows, "rows_per_second": rows_per_second}
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
