"""The engines by name. A new one is a module with a class like `pipeline.engines.base.Engine`, and a line."""

ENGINES = {
    "onnxruntime": "pipeline.engines.onnxruntime_engine:OnnxRuntimeEngine",
    "openvino": "pipeline.engines.openvino_engine:OpenVinoEngine",
    "caffe": "pipeline.engines.caffe_engine:CaffeEngine",
    "constant": "pipeline.engines.constant:ConstantEngine",
}
"""``engine.name`` in the configuration → ``module:class``, called with (settings, model) when asked for."""
