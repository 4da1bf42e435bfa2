"""Networks in Caffe's two files: prototxt and caffemodel to arrays, to an ONNX graph, and back to files.

- `prototxt` and `text_message`, `caffemodel` and `mapped_message`: the formats, knowing nothing of networks
- `layers`, `shapes`, `network`: a network as a value; shapes of outputs and weights
- `deploy`, `loader`: from files to a network (`load_caffe`)
- `onnx_graph`, `graph_builder`, `folding`: from a network to ONNX
- `writer`: from a network to files
- `fcn8s`: the face segmentation network of Nirkin et al. as a network
"""

from pipeline.caffe_format.loader import load_caffe
from pipeline.caffe_format.network import CaffeNetwork

__all__ = ["CaffeNetwork", "load_caffe"]
