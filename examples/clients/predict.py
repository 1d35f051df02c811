"""Scores a running server over the simple JSON API, with the standard library only."""

import argparse
import functools
import json
import sys
import urllib.error
import urllib.parse
import urllib.request
import uuid

import scoring

TIMEOUT_SECONDS = 30


def post(url, body, content_type):
    """Posts bytes and returns the decoded reply; a refusal ends the program with its text."""
    request = urllib.request.Request(url, data=body, headers={"Content-Type": content_type})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as reply:
            return json.load(reply)
    except urllib.error.HTTPError as refusal:
        sys.exit(f"{url}: {refusal.code} {refusal.read().decode(errors='replace')}")
    except urllib.error.URLError as failure:
        sys.exit(f"{url}: {failure.reason}")


def predict(url, model, version, rows):
    """The labels of some rows."""
    body = json.dumps({"data": rows, "model": model, "model_version": version}).encode()
    return post(f"{url}/predict", body, "application/json")["predictions"]["label"]


def predict_image(url, model, path):
    """The most probable class of one picture."""
    boundary = uuid.uuid4().hex
    head = (
        f"--{boundary}\r\n"
        f'Content-Disposition: form-data; name="file"; filename="{path.name}"\r\n'
        "Content-Type: image/png\r\n\r\n"
    )
    body = head.encode() + path.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
    query = urllib.parse.urlencode({"model": model})
    content_type = f"multipart/form-data; boundary={boundary}"
    return post(f"{url}/predict/image?{query}", body, content_type)["predictions"][0]["class_id"]


def score(url, model, version, expected, n_rows_per_request):
    if scoring.is_table(expected):
        ask = functools.partial(predict, url, model, version)
        return scoring.score_table(expected, ask, n_rows_per_request)
    return scoring.score_pictures(expected, functools.partial(predict_image, url, model))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://localhost:8000")
    parser.add_argument("--rows-per-request", type=int, default=30)
    arguments = parser.parse_args()
    url, n_rows = arguments.url.rstrip("/"), arguments.rows_per_request

    scoring.print_table(
        (model, version, score(url, model, version, expected, n_rows), expected)
        for model, version, expected in scoring.expected_scores()
    )


if __name__ == "__main__":
    main()
