# The command nst in a container: docs/install.md#a-container
#   docker build --target cpu --tag nst .
#   docker build --target cuda --tag nst:cuda .
ARG PYTHON=3.13

FROM python:${PYTHON}-slim AS wheel
WORKDIR /source
COPY . .
RUN python -m venv /build \
    && /build/bin/pip wheel --quiet --no-cache-dir --no-deps --wheel-dir /wheels .

# What both targets have: a user without rights, whose folder for outputs is a volume.
FROM python:${PYTHON}-slim AS base
RUN useradd --create-home --uid 1000 nst \
    && mkdir /work /work/outputs \
    && chown nst:nst /work/outputs \
    && python -m venv /opt/nst
ENV PATH=/opt/nst/bin:$PATH PYTHONUNBUFFERED=1
WORKDIR /work

FROM base AS cpu
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ARG EXTRAS=search,heif
# hadolint ignore=DL3013
RUN pip install --quiet --no-cache-dir torch torchvision --index-url "$TORCH_INDEX"
RUN --mount=type=bind,from=wheel,source=/wheels,target=/wheels \
    pip install --quiet --no-cache-dir "$(ls /wheels/*.whl)[$EXTRAS]"
USER 1000
VOLUME /work/outputs
ENTRYPOINT ["nst"]
CMD ["--help"]

# PyTorch's wheels on PyPI have CUDA; the driver is the host's.
FROM base AS cuda
ARG EXTRAS=search,heif
RUN --mount=type=bind,from=wheel,source=/wheels,target=/wheels \
    pip install --quiet --no-cache-dir "$(ls /wheels/*.whl)[$EXTRAS]"
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 1000
VOLUME /work/outputs
ENTRYPOINT ["nst"]
CMD ["--help"]
