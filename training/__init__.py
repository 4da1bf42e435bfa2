"""Training of the embedded face network: photographs and label maps in, a Caffe model out (the
``training`` extra)."""

import landmarks as _landmarks  # noqa: F401 - first: it keeps libraries from reporting to their makers
