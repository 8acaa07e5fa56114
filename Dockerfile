# One image for the web, the worker and the simulator; the command says which.
# Both builders take it, the legacy one too: nothing here needs BuildKit.
#
# The dependencies (some 150 MB) and Licet (1 MB) reach the image in layers of their own: an edit of the source moves
# only the second.
FROM python:3.13-slim AS dependencies
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
COPY requirements.txt /build/
RUN python -m venv /opt/licet && /opt/licet/bin/pip install -q --no-deps --require-hashes -r /build/requirements.txt

FROM python:3.13-slim AS wheel
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /build
COPY requirements-build.txt ./
RUN python -m venv /opt/build && /opt/build/bin/pip install -q --no-deps --require-hashes -r requirements-build.txt
COPY pyproject.toml README.md LICENSE ./
COPY src src
COPY simulator simulator
RUN /opt/build/bin/pip wheel -q --no-deps --no-build-isolation -w /wheels .

FROM python:3.13-slim
# A fixed number, so that a cluster can demand it (runAsUser) and a volume can be given to it.
RUN useradd --uid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin licet
COPY --from=dependencies /opt/licet /opt/licet
COPY --from=wheel /wheels /wheels
RUN /opt/licet/bin/pip install -q --no-cache-dir --disable-pip-version-check --no-deps --no-index /wheels/*.whl
ENV PATH=/opt/licet/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
WORKDIR /
EXPOSE 8000
CMD ["licet", "web", "--host", "0.0.0.0"]
