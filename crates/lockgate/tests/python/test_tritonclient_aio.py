"""The asyncio forms of tritonclient against a running server."""

import asyncio
import unittest

import tritonclient.grpc.aio as grpc
import tritonclient.http.aio as http

import lockgate_address as here


class Aio(unittest.IsolatedAsyncioTestCase):
    async def check(self, module):
        client = module.InferenceServerClient(here.ADDRESS)
        try:
            self.assertTrue(await client.is_server_ready())
            await asyncio.gather(*(self.infer(module, client, d) for d in here.DATATYPES))
        finally:
            await client.close()

    async def infer(self, module, client, datatype):
        array = here.values(datatype)
        tensor = module.InferInput("x", array.shape, datatype)
        tensor.set_data_from_numpy(array)
        result = await client.infer(f"identity-{datatype}", [tensor])
        self.assertTrue(here.same(result.as_numpy("y"), array), datatype)

    async def test_http_carries_every_datatype(self):
        await self.check(http)

    async def test_grpc_carries_every_datatype(self):
        await self.check(grpc)
