"""Iris: scaled logistic regression whose labels are strings."""

import numpy as np
from skl2onnx import to_onnx
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import export
import held_out

SEED = 2026
N_HELD_OUT = 50
CSV = "iris-test.csv"


def main():
    flowers = load_iris()
    species = flowers.target_names[flowers.target].astype(object)
    train_x, test_x, train_y, test_y = train_test_split(
        flowers.data.astype(np.float32), species,
        test_size=N_HELD_OUT, stratify=species, random_state=SEED,
    )
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(train_x, train_y)
    onnx_model = to_onnx(
        model, train_x[:1],
        options={"zipmap": False}, target_opset={"": export.OPSET, "ai.onnx.ml": export.ML_OPSET},
    )
    path = export.save(onnx_model, "iris", "1")

    outputs = held_out.run(path, test_x)
    np.testing.assert_array_equal(outputs["label"], model.predict(test_x))
    np.testing.assert_allclose(outputs["probabilities"], model.predict_proba(test_x), atol=1e-5)

    columns = [name.replace(" (cm)", "_cm").replace(" ", "_") for name in flowers.feature_names]
    held_out.write_csv(CSV, columns, test_x, test_y)
    rows = [[float(f"{value:g}") for value in row] for row in test_x[:3]]
    held_out.write_json("iris-request.json", {"data": rows, "model": "iris"})
    held_out.record("iris", "1", CSV, outputs["label"], test_y)


if __name__ == "__main__":
    main()
