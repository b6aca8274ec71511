# One image for every service; docker-compose.yml says which command each runs.
FROM python:3.11-slim-bookworm AS build
RUN python -m venv /venv && python -m venv /build
WORKDIR /src
# What others wrote comes at exact versions, each file checked by its hash.
COPY ops/deploy/requirements.txt ops/deploy/requirements-build.txt ops/deploy/
RUN /venv/bin/pip install --no-cache-dir --require-hashes -r ops/deploy/requirements.txt
RUN /build/bin/pip install --no-cache-dir --require-hashes -r ops/deploy/requirements-build.txt
COPY pyproject.toml README.md LICENSE ./
COPY orchestrator orchestrator
COPY workers workers
COPY ops ops
COPY specs specs
RUN /build/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels . \
 && /venv/bin/pip install --no-cache-dir --no-deps --no-index /wheels/*.whl \
 && /venv/bin/python -m compileall -q /venv/lib

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --no-create-home --home-dir /var/lib/durazzo --shell /usr/sbin/nologin durazzo \
 && install -d -o durazzo -g durazzo -m 700 /var/lib/durazzo /run/durazzo
COPY --from=build /venv /venv
# The root file system may be read-only: what is written goes to /var/lib/durazzo, /run/durazzo and /tmp.
ENV PATH=/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    DURAZZO_HOME=/var/lib/durazzo \
    DURAZZO_HEALTH_DIR=/run/durazzo
WORKDIR /var/lib/durazzo
USER durazzo
STOPSIGNAL SIGTERM
# Without a shell between, so that signals arrive.
ENTRYPOINT ["durazzo"]
CMD ["--help"]
