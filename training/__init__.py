"""Training of the embedded face network: photographs and label maps in, a Caffe model out (the
``training`` extra)."""
