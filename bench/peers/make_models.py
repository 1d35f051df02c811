"""Builds the networks that are measured, as ONNX files with seeded random weights.

Decision: the weights are random because speed does not depend on them, so nothing is downloaded.
They are initialised after He, which keeps activations in range (denormal numbers would be slow),
and batch normalisation is folded into the convolutions, as every converter for inference does.

    python make_models.py FOLDER    writes FOLDER/<network>.onnx
"""

import pathlib
import sys

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 18
IR_VERSION = 9


class Network:
    """A graph that grows node by node; tensors are known by their names."""

    def __init__(self, shape: list[int]) -> None:
        self.random = numpy.random.default_rng(7)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.input = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", *shape])

    def node(self, kind: str, *inputs: str, **attributes) -> str:
        """Adds a node with one output and returns its name."""
        output = f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def constant(self, values: numpy.ndarray) -> str:
        """Adds weights and returns their name."""
        name = f"weight_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(values, name))
        return name

    def he(self, shape: tuple[int, ...], n_inputs: int) -> str:
        """Adds random weights for a layer in which each output sums `n_inputs` products."""
        values = self.random.standard_normal(shape, dtype=numpy.float32)
        return self.constant(values * numpy.float32((2.0 / n_inputs) ** 0.5))

    def zeros(self, n: int) -> str:
        """Adds a bias."""
        return self.constant(numpy.zeros(n, numpy.float32))

    def convolution(
        self, x: str, n_in: int, n_out: int, size: int, stride: int = 1, groups: int = 1
    ) -> str:
        """A convolution with a bias and the padding that keeps the size."""
        weights = self.he((n_out, n_in // groups, size, size), n_in // groups * size * size)
        return self.node(
            "Conv",
            x,
            weights,
            self.zeros(n_out),
            kernel_shape=[size, size],
            strides=[stride, stride],
            pads=[size // 2] * 4,
            group=groups,
        )

    def relu(self, x: str) -> str:
        """max(x, 0)"""
        return self.node("Relu", x)

    def relu6(self, x: str) -> str:
        """x between 0 and 6"""
        low = self.constant(numpy.array(0.0, numpy.float32))
        high = self.constant(numpy.array(6.0, numpy.float32))
        return self.node("Clip", x, low, high)

    def dense(self, x: str, n_in: int, n_out: int) -> str:
        """A fully connected layer with a bias."""
        return self.node("Gemm", x, self.he((n_in, n_out), n_in), self.zeros(n_out))

    def classifier(self, x: str, n_in: int, n_out: int = 1000) -> str:
        """The mean over each channel, then a fully connected layer."""
        pooled = self.node("Flatten", self.node("GlobalAveragePool", x))
        return self.dense(pooled, n_in, n_out)

    def save(self, x: str, n_out: int, path: pathlib.Path) -> None:
        """Names the output `y` and writes the file."""
        self.nodes.append(helper.make_node("Identity", [x], ["y"]))
        output = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", n_out])
        graph = helper.make_graph(self.nodes, path.stem, [self.input], [output], self.weights)
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
        )
        onnx.checker.check_model(model)
        onnx.save(model, path)


def mobilenet_v2(path: pathlib.Path) -> None:
    """MobileNetV2 at width 1: inverted residual blocks with depthwise convolutions."""
    network = Network([3, 224, 224])
    x = network.relu6(network.convolution("x", 3, 32, 3, stride=2))
    n_in = 32
    stages = [
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    ]
    for expansion, n_out, n_blocks, first_stride in stages:
        for index in range(n_blocks):
            stride = first_stride if index == 0 else 1
            n_wide = n_in * expansion
            y = x
            if expansion > 1:
                y = network.relu6(network.convolution(y, n_in, n_wide, 1))
            y = network.relu6(network.convolution(y, n_wide, n_wide, 3, stride, groups=n_wide))
            y = network.convolution(y, n_wide, n_out, 1)
            is_residual = stride == 1 and n_in == n_out
            x = network.node("Add", x, y) if is_residual else y
            n_in = n_out
    x = network.relu6(network.convolution(x, n_in, 1280, 1))
    network.save(network.classifier(x, 1280), 1000, path)


def resnet50(path: pathlib.Path) -> None:
    """ResNet-50: bottleneck blocks, with the stride in their 3x3 convolution."""
    network = Network([3, 224, 224])
    x = network.relu(network.convolution("x", 3, 64, 7, stride=2))
    x = network.node("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    n_in = 64
    for n_narrow, n_blocks, first_stride in [(64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)]:
        n_out = 4 * n_narrow
        for index in range(n_blocks):
            stride = first_stride if index == 0 else 1
            y = network.relu(network.convolution(x, n_in, n_narrow, 1))
            y = network.relu(network.convolution(y, n_narrow, n_narrow, 3, stride))
            y = network.convolution(y, n_narrow, n_out, 1)
            if index == 0:
                x = network.convolution(x, n_in, n_out, 1, stride)
            x = network.relu(network.node("Add", x, y))
            n_in = n_out
    network.save(network.classifier(x, 2048), 1000, path)


def friendly(path: pathlib.Path) -> None:
    """Wide layers: a run reads all weights from memory, whether for one row or for many."""
    network = Network([64])
    x = network.relu(network.dense("x", 64, 2048))
    for _ in range(3):
        x = network.relu(network.dense(x, 2048, 2048))
    network.save(network.dense(x, 2048, 10), 10, path)


def wide(path: pathlib.Path) -> None:
    """400 MB of weights that need hardly any memory to run."""
    network = Network([64])
    x = network.relu(network.dense("x", 64, 4096))
    for _ in range(6):
        x = network.relu(network.dense(x, 4096, 4096))
    network.save(network.dense(x, 4096, 10), 10, path)


def hostile(path: pathlib.Path) -> None:
    """A convolutional net on a small input: its time grows with the rows, so batching gains
    nothing, and a run takes milliseconds while a request is small."""
    network = Network([3, 32, 32])
    x = network.relu(network.convolution("x", 3, 64, 3))
    for _ in range(6):
        x = network.relu(network.convolution(x, 64, 64, 3))
    network.save(network.classifier(x, 64, 10), 10, path)


def channel_means(path: pathlib.Path) -> None:
    """The mean of each channel: next to no work on a large input, so that reading it shows."""
    network = Network([3, 224, 224])
    network.save(network.node("Flatten", network.node("GlobalAveragePool", "x")), 3, path)


NETWORKS = [mobilenet_v2, resnet50, friendly, wide, hostile, channel_means]


def main() -> None:
    """Writes the networks that are not there."""
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for make in NETWORKS:
        path = folder / f"{make.__name__}.onnx"
        if not path.exists():
            part = folder / f"{make.__name__}.part.onnx"
            make(part)
            part.rename(path)


if __name__ == "__main__":
    main()
