"""The digits data set and its one split.

Both the table models and the image model use this split, so that no held-out
digit was ever seen in training by any of them.
"""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

SEED = 2026
N_HELD_OUT = 360


def split():
    """Returns train rows, held-out rows, train labels, held-out labels.

    A row is 64 values in 0..16, an 8x8 scan read line by line.
    """
    scans = load_digits()
    return train_test_split(
        scans.data.astype(np.float32),
        scans.target.astype(np.int64),
        test_size=N_HELD_OUT,
        stratify=scans.target,
        random_state=SEED,
    )
