"""``python -m pipeline.evaluate`` is ``uncrop evaluate``."""

import sys

from pipeline.cli import main

if __name__ == "__main__":
    sys.exit(main(["evaluate", *sys.argv[1:]]))
