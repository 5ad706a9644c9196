# Two stages:
#   builder  installs the locked dependencies and the service's wheel into /opt/crm-api
#   runtime  has Python and /opt/crm-api, without compiler, pip and source tree
# Both use the same base image, because the environment's `python` is a link into it.

FROM python:3.13-slim AS builder

ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore

WORKDIR /source

# `otel` also installs the packages that export traces.
ARG LOCK=runtime

# Dependencies come first, so that this layer is rebuilt only if a lock changes.
COPY requirements/${LOCK}.lock requirements/build.lock requirements/
RUN python -m venv /opt/build \
    && /opt/build/bin/pip install --require-hashes --only-binary :all: -r requirements/build.lock \
    && python -m venv --without-pip /opt/crm-api \
    && /opt/build/bin/pip --python /opt/crm-api/bin/python install \
        --require-hashes --only-binary :all: -r "requirements/${LOCK}.lock"

COPY pyproject.toml README.md LICENSE ./
COPY alembic/ alembic/
COPY src/ src/
# pip byte-compiles the packages, so nothing is written at run time.
RUN /opt/build/bin/hatchling build --target wheel --directory /source/dist \
    && /opt/build/bin/pip --python /opt/crm-api/bin/python install --no-deps /source/dist/*.whl


FROM python:3.13-slim AS runtime

ENV PATH=/opt/crm-api/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1

# The service writes only to /state (emulator records, a development SQLite file): with a volume there, the root file
# system may be read-only.
RUN python -m pip uninstall --yes --quiet --root-user-action ignore pip \
    && install --directory --owner 10001 --group 10001 /state

COPY --from=builder /opt/crm-api /opt/crm-api

WORKDIR /state
# The user is numeric, so that an orchestrator can verify that it is not root.
USER 10001:10001

EXPOSE 4012
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --start-interval=1s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + (os.environ.get('PORT') or '4012') + '/healthz', timeout=3)"]

CMD ["crm-api", "serve", "--host", "0.0.0.0"]
