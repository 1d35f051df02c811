"""tritonclient.http against a running server."""

import unittest

import numpy as np
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

import lockgate_address as here


def infer(client, datatype, array, binary, **options):
    tensor = triton.InferInput("x", array.shape, datatype)
    tensor.set_data_from_numpy(array, binary_data=binary)
    wanted = [triton.InferRequestedOutput("y", binary_data=binary)]
    return client.infer(f"identity-{datatype}", [tensor], outputs=wanted, **options)


class Http(unittest.TestCase):
    def setUp(self):
        self.client = triton.InferenceServerClient(here.ADDRESS)
        self.addCleanup(self.client.close)

    def test_every_datatype_comes_back_bit_for_bit_in_binary(self):
        for datatype in here.DATATYPES:
            with self.subTest(datatype):
                array = here.values(datatype)
                self.assertTrue(here.same(infer(self.client, datatype, array, True).as_numpy("y"), array))

    def test_every_datatype_comes_back_in_json(self):
        for datatype in here.DATATYPES:
            if datatype in ("FP16", "BF16"):
                continue  # the client refuses to write these as JSON
            with self.subTest(datatype):
                array = here.values(datatype)
                result = infer(self.client, datatype, array, False).as_numpy("y")
                if datatype == "BYTES":
                    result = np.array([[t.encode() for t in row] for row in result], dtype=np.object_)
                self.assertTrue(here.same(result, array), f"{result} is not {array}")

    def test_nan_and_infinities_are_carried(self):
        array = np.array([[np.nan, np.inf, -np.inf]], dtype=np.float32)
        literals = {"strict_json": "false"}
        for binary in (True, False):
            result = infer(self.client, "FP32", array, binary, query_params=literals).as_numpy("y")
            np.testing.assert_array_equal(result, array)

    def test_strict_json_has_nan_for_what_is_no_number(self):
        array = np.array([[np.nan, np.inf, 1]], dtype=np.float32)
        result = infer(self.client, "FP32", array, False).as_numpy("y")
        np.testing.assert_array_equal(result, np.array([[np.nan, np.nan, 1]], dtype=np.float32))

    def test_a_tensor_of_no_rows_runs(self):
        array = np.zeros((0, 3), dtype=np.float32)
        self.assertEqual(infer(self.client, "FP32", array, True).as_numpy("y").shape, (0, 3))

    def test_compression_works_both_ways(self):
        array = np.zeros((100, 64), dtype=np.float32)
        for algorithm in ("gzip", "deflate"):
            result = infer(
                self.client, "FP32", array, True,
                request_compression_algorithm=algorithm, response_compression_algorithm=algorithm,
            )
            self.assertTrue(here.same(result.as_numpy("y"), array))

    def test_digits_are_as_accurate_as_when_they_were_trained(self):
        pixels, labels = here.held_out_digits()
        for version in ("1", "2"):
            tensor = triton.InferInput("x", pixels.shape, "FP32")
            tensor.set_data_from_numpy(pixels)
            result = self.client.infer("digits", [tensor], model_version=version)
            n_correct = int((result.as_numpy("label") == labels).sum())
            self.assertEqual(n_correct, here.expected_correct(version))

    def test_classification_names_the_classes(self):
        pixels, labels = here.held_out_digits()
        tensor = triton.InferInput("x", [1, 64], "FP32")
        tensor.set_data_from_numpy(pixels[:1])
        wanted = [triton.InferRequestedOutput("probabilities", class_count=3)]
        rows = self.client.infer("digits", [tensor], outputs=wanted).as_numpy("probabilities")
        self.assertEqual(rows.shape, (1, 3))
        self.assertEqual(int(rows[0][0].decode().split(":")[1]), labels[0])

    def test_health_metadata_config_and_statistics_are_there(self):
        client = self.client
        self.assertTrue(client.is_server_live() and client.is_server_ready())
        self.assertTrue(client.is_model_ready("digits") and client.is_model_ready("digits", "1"))
        self.assertIn("binary_tensor_data", client.get_server_metadata()["extensions"])
        metadata = client.get_model_metadata("digits")
        self.assertEqual(metadata["versions"], ["1", "2"])
        self.assertEqual(metadata["inputs"], [{"name": "x", "datatype": "FP32", "shape": [-1, 64]}])
        config = client.get_model_config("digits")
        self.assertEqual(config["input"][0]["dims"], [64])
        statistics = client.get_inference_statistics("digits")["model_stats"]
        self.assertEqual([one["version"] for one in statistics], ["1", "2"])

    def test_a_model_is_unloaded_and_loaded(self):
        self.client.unload_model("iris")
        self.assertFalse(self.client.is_model_ready("iris"))
        self.client.load_model("iris")
        self.assertTrue(self.client.is_model_ready("iris"))
        index = self.client.get_model_repository_index()
        self.assertIn({"name": "iris", "version": "1", "state": "READY", "reason": ""}, index)

    def test_mistakes_are_told_with_their_status(self):
        cases = [
            ("nowhere", "FP32", np.zeros((1, 64), np.float32), "404", "unknown model"),
            ("digits", "FP32", np.zeros((1, 63), np.float32), "400", "[-1, 64]"),
            ("digits", "INT64", np.zeros((1, 64), np.int64), "400", "FP32"),
        ]
        for model, datatype, array, status, text in cases:
            with self.subTest(text):
                tensor = triton.InferInput("x", array.shape, datatype)
                tensor.set_data_from_numpy(array)
                with self.assertRaises(InferenceServerException) as caught:
                    self.client.infer(model, [tensor])
                self.assertEqual(caught.exception.status(), status)
                self.assertIn(text, caught.exception.message())

    def test_the_request_id_comes_back(self):
        array = here.values("FP32")
        result = infer(self.client, "FP32", array, True, request_id="my-id")
        self.assertEqual(result.get_response()["id"], "my-id")
