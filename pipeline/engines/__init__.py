"""What runs a network: a float32 batch in, scores out. See `pipeline.engines.base.Engine`."""
