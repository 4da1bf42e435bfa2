"""What pyproject.toml cannot say: once installed, configs/ and data/models/ lie in `pipeline.shipped`."""

from setuptools import find_packages, setup

SHIPPED = {"pipeline.shipped.configs": "configs", "pipeline.shipped.models": "data/models"}

setup(
    packages=[*find_packages(include=["pipeline", "pipeline.*", "landmarks", "landmarks.*"]), *SHIPPED],
    package_dir=SHIPPED,
)
