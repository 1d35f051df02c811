"""What all scoring clients share: the held-out data and the table of results."""

import csv
import json
import sys
from pathlib import Path

DATA = Path(__file__).resolve().parent.parent / "data"


def expected_scores():
    """Returns (model, version, expected) for each line of metrics.json."""
    metrics = json.loads((DATA / "metrics.json").read_text())
    return [
        (model, version, expected)
        for model, versions in metrics.items()
        for version, expected in versions.items()
    ]


def is_table(expected):
    """True if the held-out data are rows of numbers, false if pictures."""
    return expected["data"].endswith(".csv")


def score_table(expected, predict, n_rows_per_request):
    """Counts how often `predict(rows)` returns the true label, some rows at a time."""
    with (DATA / expected["data"]).open(newline="") as file:
        lines = list(csv.reader(file))[1:]
    correct = 0
    for start in range(0, len(lines), n_rows_per_request):
        chosen = lines[start : start + n_rows_per_request]
        predicted = predict([[float(value) for value in line[:-1]] for line in chosen])
        # As text, because labels are numbers in one model and words in another.
        pairs = zip(predicted, (line[-1] for line in chosen), strict=True)
        correct += sum(str(label) == true_label for label, true_label in pairs)
    return correct


def score_pictures(expected, predict):
    """Counts how often `predict(path)` returns the class that the file name begins with."""
    paths = sorted((DATA / expected["data"]).glob("*.png"))
    return sum(predict(path) == int(path.name.split("-")[0]) for path in paths)


def print_table(results):
    """Prints (model, version, correct, expected) lines; exits with 1 if any score differs."""
    is_as_expected = True
    print(f"{'model':<14}{'version':>8}{'rows':>6}{'correct':>9}{'accuracy':>10}{'expected':>10}")
    for model, version, correct, expected in results:
        rows = expected["rows"]
        print(
            f"{model:<14}{version:>8}{rows:>6}{correct:>9}"
            f"{correct / rows:>10.4f}{expected['accuracy']:>10.4f}",
            flush=True,
        )
        is_as_expected &= correct == expected["correct"]
    if not is_as_expected:
        sys.exit("a score differs from examples/data/metrics.json")
