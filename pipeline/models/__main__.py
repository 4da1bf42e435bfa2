"""``python -m pipeline.models`` is ``uncrop models``."""

import sys

from pipeline.cli import main

if __name__ == "__main__":
    sys.exit(main(["models", *sys.argv[1:]]))
