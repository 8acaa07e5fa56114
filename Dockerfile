# One image for the web, the worker and the simulator; the command says which.
# Both builders take it, the legacy one too: nothing here needs BuildKit.
FROM python:3.13-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /build
# From what changes least to what changes most: an edit of the source rebuilds the last two steps only.
COPY requirements.txt ./
RUN python -m venv /opt/licet && /opt/licet/bin/pip install -q --require-hashes -r requirements.txt
COPY requirements-build.txt ./
RUN python -m venv /opt/build && /opt/build/bin/pip install -q --require-hashes -r requirements-build.txt
COPY pyproject.toml README.md LICENSE ./
COPY src src
COPY simulator simulator
RUN /opt/build/bin/pip wheel -q --no-deps --no-build-isolation -w /build/wheels . \
 && /opt/licet/bin/pip install -q --no-deps --no-index /build/wheels/*.whl

FROM python:3.13-slim
# A fixed number, so that a cluster can demand it (runAsUser) and a volume can be given to it.
RUN useradd --uid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin licet
COPY --from=build /opt/licet /opt/licet
ENV PATH=/opt/licet/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
WORKDIR /
EXPOSE 8000
CMD ["licet", "web", "--host", "0.0.0.0"]
