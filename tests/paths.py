"""Where the tests find the project, and the data beside it."""

import os
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Reference fixtures and data: beside the checkout, or where WOOSH_SHARED points.
SHARED = Path(os.environ.get("WOOSH_SHARED", ROOT.parent / "shared"))
