"""``python -m pipeline.manifest`` is ``uncrop manifest``."""

import sys

from pipeline.cli import main

if __name__ == "__main__":
    sys.exit(main(["manifest", *sys.argv[1:]]))
