"""tritonclient.grpc against a running server, on the port that REST uses, too."""

import queue
import unittest

import numpy as np
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

import lockgate_address as here


def tensor_of(array, datatype):
    tensor = triton.InferInput("x", array.shape, datatype)
    tensor.set_data_from_numpy(array)
    return tensor


class Grpc(unittest.TestCase):
    def setUp(self):
        self.client = triton.InferenceServerClient(here.ADDRESS)
        self.addCleanup(self.client.close)

    def test_every_datatype_comes_back_bit_for_bit(self):
        for datatype in here.DATATYPES:
            with self.subTest(datatype):
                array = here.values(datatype)
                result = self.client.infer(f"identity-{datatype}", [tensor_of(array, datatype)])
                self.assertTrue(here.same(result.as_numpy("y"), array))

    def test_digits_are_as_accurate_as_when_they_were_trained(self):
        pixels, labels = here.held_out_digits()
        for version in ("1", "2"):
            result = self.client.infer("digits", [tensor_of(pixels, "FP32")], model_version=version)
            n_correct = int((result.as_numpy("label") == labels).sum())
            self.assertEqual(n_correct, here.expected_correct(version))

    def test_a_stream_answers_every_request(self):
        answers = queue.Queue()
        self.client.start_stream(lambda result, error: answers.put((result, error)))
        array = here.values("FP32")
        for index in range(5):
            inputs = [tensor_of(array, "FP32")]
            self.client.async_stream_infer("identity-FP32", inputs, request_id=str(index))
        seen = set()
        for _ in range(5):
            result, error = answers.get(timeout=60)
            self.assertIsNone(error)
            self.assertTrue(here.same(result.as_numpy("y"), array))
            seen.add(result.get_response().id)
        self.client.stop_stream()
        self.assertEqual(seen, {"0", "1", "2", "3", "4"})

    def test_health_metadata_config_and_statistics_are_there(self):
        client = self.client
        self.assertTrue(client.is_server_live() and client.is_server_ready())
        self.assertTrue(client.is_model_ready("digits", "2"))
        self.assertEqual(list(client.get_model_metadata("digits").versions), ["1", "2"])
        self.assertEqual(list(client.get_model_config("digits").config.input[0].dims), [64])
        statistics = client.get_inference_statistics("digits").model_stats
        self.assertEqual([one.version for one in statistics], ["1", "2"])

    def test_a_model_is_unloaded_and_loaded(self):
        self.client.unload_model("iris")
        self.assertFalse(self.client.is_model_ready("iris"))
        self.client.load_model("iris")
        self.assertTrue(self.client.is_model_ready("iris"))

    def test_mistakes_are_told_with_their_status(self):
        cases = [
            ("nowhere", "FP32", np.zeros((1, 64), np.float32), "NOT_FOUND", "unknown model"),
            ("digits", "FP32", np.zeros((1, 63), np.float32), "INVALID_ARGUMENT", "[-1, 64]"),
            ("digits", "INT64", np.zeros((1, 64), np.int64), "INVALID_ARGUMENT", "FP32"),
        ]
        for model, datatype, array, status, text in cases:
            with self.subTest(text):
                with self.assertRaises(InferenceServerException) as caught:
                    self.client.infer(model, [tensor_of(array, datatype)])
                self.assertEqual(caught.exception.status(), f"StatusCode.{status}")
                self.assertIn(text, caught.exception.message())

    def test_a_deadline_that_has_passed_is_told_as_such(self):
        pixels, _ = here.held_out_digits()
        with self.assertRaises(InferenceServerException) as caught:
            self.client.infer("digits", [tensor_of(pixels, "FP32")], timeout=1)
        self.assertEqual(caught.exception.status(), "StatusCode.DEADLINE_EXCEEDED")
