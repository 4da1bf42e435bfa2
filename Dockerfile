# Four images from one file:
#   docker build -t uncrop .                                       the pipeline on the CPU (target cpu, the last one)
#   docker build -t uncrop-gpu --target gpu --build-arg BASE=nvidia/cuda:13.0.1-cudnn-runtime-ubuntu24.04 .
#   docker build -t uncrop-serve --target serve .                  the HTTP server, on the CPU
#   docker build -t uncrop-caffe --target caffe .                  the reference engine for engine.caffe.command
#
# BASE: Debian or Ubuntu with a Python 3.11-3.13 as python3. The target gpu needs CUDA 13 and cuDNN 9 in it, which
# are what onnxruntime-gpu of requirements-gpu.lock is built for.
ARG BASE=debian:bookworm-slim
ARG CAFFE_BASE=debian:bullseye-slim


FROM ${BASE} AS python
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/apt /var/log/dpkg.log


# pip stays behind in this stage: only the environment that it fills goes into an image, without the tests of the
# packages (75 MB) and dlib's models that nothing here asks for (32 MB).
FROM python AS installer
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates python3-pip \
    && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv --without-pip /opt/uncrop

FROM installer AS packages-cpu
COPY requirements.lock /tmp/
RUN python3 -m pip --python /opt/uncrop/bin/python install --no-cache-dir --require-hashes --only-binary :all: \
    --requirement /tmp/requirements.lock \
    && find /opt/uncrop \( -name tests -o -path '*/onnx/backend/test' -o -name 'dlib_face_recognition_*.dat' \
        -o -name 'shape_predictor_5_*.dat' \) -prune -exec rm -rf {} +

FROM installer AS packages-gpu
COPY requirements-gpu.lock /tmp/
RUN python3 -m pip --python /opt/uncrop/bin/python install --no-cache-dir --require-hashes --only-binary :all: \
    --requirement /tmp/requirements-gpu.lock \
    && find /opt/uncrop \( -name tests -o -path '*/onnx/backend/test' -o -name 'dlib_face_recognition_*.dat' \
        -o -name 'shape_predictor_5_*.dat' \) -prune -exec rm -rf {} +


FROM installer AS packages-serve
COPY requirements-serve.lock /tmp/
RUN python3 -m pip --python /opt/uncrop/bin/python install --no-cache-dir --require-hashes --only-binary :all: \
    --requirement /tmp/requirements-serve.lock \
    && find /opt/uncrop \( -name tests -o -path '*/onnx/backend/test' -o -name 'dlib_face_recognition_*.dat' \
        -o -name 'shape_predictor_5_*.dat' \) -prune -exec rm -rf {} +


FROM python AS program
COPY data/models /app/data/models
COPY configs /app/configs
COPY landmarks /app/landmarks
COPY pipeline /app/pipeline
COPY LICENSE run_pipeline.py /app/
RUN python3 -m compileall -q --invalidation-mode unchecked-hash /app


# What all images of the pipeline share. Nothing is written but to /cache and to what is mounted by the user, so
# that the root may be read-only and the user any number.
FROM python AS runtime
RUN mkdir -p /data/out /cache && chmod 1777 /data/out /cache
ENV PATH=/opt/uncrop/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/cache \
    TMPDIR=/cache \
    XDG_CACHE_HOME=/cache \
    XDG_DATA_HOME=/cache
LABEL org.opencontainers.image.title="uncrop" \
      org.opencontainers.image.description="Face masks for whole photographs, aligned pixel for pixel" \
      org.opencontainers.image.licenses="Apache-2.0"
VOLUME ["/cache"]
WORKDIR /app
USER 10001:10001
ENTRYPOINT ["python", "/app/run_pipeline.py"]
CMD ["--help"]


FROM runtime AS gpu
COPY --from=packages-gpu /opt/uncrop /opt/uncrop
COPY --from=program /app /app


# Answers on all addresses of the container, so it asks for a token: docker run -e UNCROP_TOKEN=...
FROM runtime AS serve
COPY --from=packages-serve /opt/uncrop /opt/uncrop
COPY --from=program /app /app
EXPOSE 8000
HEALTHCHECK --start-period=30s CMD ["python", "-c", \
    "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=5)"]
ENTRYPOINT ["python", "-m", "pipeline", "serve", "--host", "0.0.0.0"]
CMD ["--port", "8000"]


# Debian 11 is the last Debian with Caffe. The image holds one file of ours; engine.caffe.command speaks with it over
# stdin and stdout.
FROM ${CAFFE_BASE} AS caffe
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libopenblas0 python3-caffe \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/apt /var/log/dpkg.log
COPY pipeline/engines/caffe_worker.py /app/caffe_worker.py
ENV PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp
LABEL org.opencontainers.image.title="uncrop-caffe" \
      org.opencontainers.image.description="BVLC Caffe as the reference engine of uncrop" \
      org.opencontainers.image.licenses="Apache-2.0"
VOLUME ["/tmp"]
WORKDIR /app
USER 10001:10001
ENTRYPOINT ["python3", "-u", "/app/caffe_worker.py"]


FROM runtime AS cpu
COPY --from=packages-cpu /opt/uncrop /opt/uncrop
COPY --from=program /app /app
