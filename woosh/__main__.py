"""Run the command line as ``python -m woosh``."""

import sys

from woosh.cli import main

if __name__ == "__main__":
    sys.exit(main())
