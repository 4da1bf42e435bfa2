"""Face masks for whole photographs: crop, segment with a Caffe network, uncrop."""

__version__ = "0.1.0"
