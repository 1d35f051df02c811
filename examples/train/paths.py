"""Where the examples live, relative to these scripts."""

from pathlib import Path

EXAMPLES = Path(__file__).resolve().parent.parent
MODELS = EXAMPLES / "models"
DATA = EXAMPLES / "data"
