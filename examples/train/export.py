"""Writes model files in the shape that the repository expects.

Every version of a model gets the same input name, output names and batch
symbol. Exporters leave notes in the file (stack traces, file names of the
machine that ran them); these are removed, so that equal weights give equal
files.
"""

import onnx

from paths import MODELS

INPUT = "x"
OUTPUTS = ("label", "probabilities")
BATCH = "batch"

# ONNX Runtime 1.22 reads all of these; newer ones would not gain anything here.
OPSET = 18
ML_OPSET = 3
IR_VERSION = 8


def save(model, name, version):
    """Normalises `model`, checks it, and writes it; returns the path."""
    _rename(model.graph)
    _name_batch_dimension(model.graph)
    _remove_notes(model)
    _declare_each_opset_once(model)
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model, full_check=True)

    path = MODELS / name / version / "model.onnx"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString(deterministic=True))
    return path


def _rename(graph):
    """Gives the graph the input name and the output names of the signature."""
    wanted = {graph.input[0].name: INPUT}
    wanted |= {value.name: name for value, name in zip(graph.output, OUTPUTS[-len(graph.output):])}
    for value in (*graph.input, *graph.output):
        value.name = wanted.get(value.name, value.name)
    for node in graph.node:
        node.input[:] = [wanted.get(name, name) for name in node.input]
        node.output[:] = [wanted.get(name, name) for name in node.output]


def _name_batch_dimension(graph):
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = BATCH


def _declare_each_opset_once(model):
    """skl2onnx repeats an entry for every operator of a pipeline."""
    opsets = {opset.domain: opset.version for opset in model.opset_import}
    del model.opset_import[:]
    model.opset_import.extend(onnx.helper.make_opsetid(*opset) for opset in sorted(opsets.items()))


def _remove_notes(model):
    graph = model.graph
    del graph.value_info[:]
    # It tells the build of PyTorch apart, not what was exported.
    model.ClearField("producer_version")
    for part in (model, graph, *graph.input, *graph.output, *graph.node, *graph.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
