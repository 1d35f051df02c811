"""The clients of the KServe SDK against a running server."""

import unittest

import httpx
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig

import lockgate_address as here


def request(datatype, array, binary=False):
    tensor = InferInput(name="x", shape=list(array.shape), datatype=datatype)
    tensor.set_data_from_numpy(array, binary_data=binary)
    return InferRequest(model_name=f"identity-{datatype}", infer_inputs=[tensor])


# The SDK does not know BF16.
DATATYPES = [datatype for datatype in here.DATATYPES if datatype != "BF16"]


class Rest(unittest.IsolatedAsyncioTestCase):
    def setUp(self):
        self.client = InferenceRESTClient(config=RESTConfig(protocol="v2", retries=0))
        self.url = f"http://{here.ADDRESS}"

    async def asyncTearDown(self):
        await self.client.close()

    async def test_health_is_told(self):
        self.assertTrue(await self.client.is_server_live(self.url))
        self.assertTrue(await self.client.is_server_ready(self.url))
        self.assertTrue(await self.client.is_model_ready(self.url, "digits"))

    async def test_every_datatype_comes_back(self):
        for datatype in DATATYPES:
            array = here.values(datatype)
            for binary in (True, False):
                if not binary and datatype in ("FP16", "BYTES"):
                    continue  # the SDK writes these as binary only
                with self.subTest(datatype=datatype, binary=binary):
                    name = f"identity-{datatype}"
                    reply = await self.client.infer(self.url, request(datatype, array, binary), model_name=name)
                    result = reply.outputs[0].as_numpy()
                    if datatype == "BYTES":
                        self.assertEqual(result.shape, array.shape)
                    else:
                        self.assertTrue(here.same(result.astype(array.dtype), array))

    async def test_a_mistake_is_told(self):
        array = here.values("FP32")
        with self.assertRaises(httpx.HTTPStatusError) as caught:
            await self.client.infer(self.url, request("FP32", array), model_name="nowhere")
        self.assertEqual(caught.exception.response.status_code, 404)


class Grpc(unittest.IsolatedAsyncioTestCase):
    async def test_every_datatype_comes_back(self):
        client = InferenceGRPCClient(url=here.ADDRESS)
        self.addAsyncCleanup(client.close)
        self.assertTrue(await client.is_server_ready())
        self.assertTrue(await client.is_model_ready("digits"))
        for datatype in DATATYPES:
            with self.subTest(datatype):
                array = here.values(datatype)
                reply = await client.infer(request(datatype, array, True))
                result = reply.outputs[0].as_numpy()
                if datatype == "BYTES":
                    self.assertEqual(result.shape, array.shape)
                else:
                    self.assertTrue(here.same(result, array))
