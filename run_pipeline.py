#!/usr/bin/env python3
"""Face masks for whole photographs, as ``uncrop run``: ``run_pipeline.py --config configs/default.yaml``."""

import sys

from pipeline.cli import main

if __name__ == "__main__":
    sys.exit(main(["run", *sys.argv[1:]]))
