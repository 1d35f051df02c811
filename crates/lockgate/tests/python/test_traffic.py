"""Users get the versions that the MD5 rule gives them, computed here without any code of the server."""

import hashlib
import json
import unittest
import urllib.request

import lockgate_address as here

ARMS = [("1", 0.7), ("2", 0.3)]
ROW = [[0.0] * 64]


def version_of(user):
    """The rule as many have it in their own code."""
    number = int(hashlib.md5(user.encode("utf-8")).hexdigest(), 16) % 10000 / 10000.0
    total = 0.0
    for version, weight in ARMS:
        total += weight
        if number <= total:
            return version
    return ARMS[0][0]


def ask(path, body, headers=None):
    """The version in the body, the version in the head, and the arm."""
    request = urllib.request.Request(
        f"http://{here.ADDRESS}{path}",
        data=json.dumps(body).encode("utf-8"),
        headers={"content-type": "application/json", **(headers or {})},
    )
    with urllib.request.urlopen(request) as reply:
        told = reply.headers["x-lockgate-version"], reply.headers["x-lockgate-arm"]
        return json.load(reply)["model_version"], *told


class Traffic(unittest.TestCase):
    def test_every_user_gets_the_version_of_the_rule(self):
        users = [f"user_{number}" for number in range(300)] + ["alice", "é", "12345", "a b"]
        for user in users:
            with self.subTest(user):
                expected = version_of(user)
                got = ask("/models/digits/predict", {"data": ROW, "user_id": user})
                self.assertEqual(got, (expected, expected, f"arm-{expected}"))

    def test_both_versions_are_used(self):
        versions = [version_of(f"user_{number}") for number in range(300)]
        self.assertGreater(versions.count("1"), 180)
        self.assertGreater(versions.count("2"), 60)

    def test_an_integer_is_its_decimal_text(self):
        got = ask("/models/digits/predict", {"data": ROW, "user_id": 12345})
        self.assertEqual(got[0], version_of("12345"))

    def test_the_open_inference_protocol_has_the_unit_in_its_parameters(self):
        tensor = {"name": "x", "shape": [1, 64], "datatype": "FP32", "data": ROW[0]}
        for number in range(50):
            user = f"user_{number}"
            body = {"inputs": [tensor], "parameters": {"user_id": user}}
            got = ask("/v2/models/digits/infer", body)
            self.assertEqual(got[:2], (version_of(user), version_of(user)))

    def test_a_named_version_and_a_forced_arm_win_over_the_split(self):
        for user in ("user_1", "user_42"):
            body = {"data": ROW, "user_id": user}
            named = ask("/models/digits/versions/2/predict", body)
            self.assertEqual(named, ("2", "2", None))
            forced = ask("/models/digits/predict", body, {"x-lockgate-arm": "arm-2"})
            self.assertEqual(forced, ("2", "2", "arm-2"))


if __name__ == "__main__":
    unittest.main()
