#!/usr/bin/env bash
# The compose file, end to end: builds, starts and checks it under a project name and on ports of its own, then
# takes it down with its volumes. Real images where docker has them or can pull them, else stand-ins built here.
#
#   LICET_COMPOSE_OPTIONAL=1   where docker cannot run, say so and end well
#   LICET_COMPOSE_LIMIT_S=90   the time from `up -d`, build included, to an answer about a simulated customer
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
python=$root/.venv/bin/python
[ -x "$python" ] || python=python3
images=(python:3.13-slim postgres:17 apache/kafka:4.1.0)

without_docker() {
  echo "test-compose: NOT RUN, docker cannot run here ($1)" >&2
  [ "${LICET_COMPOSE_OPTIONAL:-}" = 1 ] && exit 0
  exit 1
}

have() { docker image inspect "$1" >/dev/null 2>&1; }

if ! docker info >/dev/null 2>&1; then
  [ "$(id -u)" = 0 ] || without_docker "no docker daemon answers, and only root can start one"
  "$here/stand-in/images.sh" dockerd || without_docker "the docker daemon does not start"
fi
if command -v docker-compose >/dev/null; then compose=(docker-compose)
elif docker compose version >/dev/null 2>&1; then compose=(docker compose)
else without_docker "neither docker-compose nor docker compose is installed"; fi
# Without buildx, docker would fall back to the legacy builder with a warning at each build.
docker buildx version >/dev/null 2>&1 || export DOCKER_BUILDKIT=0 COMPOSE_DOCKER_CLI_BUILD=0

for image in "${images[@]}"; do
  have "$image" || timeout 300 docker pull -q "$image" >/dev/null 2>&1 || { standing_in=1; break; }
done
if [ -n "${standing_in:-}" ]; then
  [ "$(id -u)" = 0 ] || without_docker "no image registry is reached, and only root can build the stand-ins"
  "$here/stand-in/images.sh" build
fi
for image in "${images[@]}"; do
  # Every stand-in inherits this variable from its base.
  if docker image inspect -f '{{.Config.Env}}' "$image" | grep -q stand-in-ca; then kind="a stand-in"; else kind="the official image"; fi
  echo "  $image: $kind"
done

work=$(mktemp -d)
export COMPOSE_PROJECT_NAME=licet-test-$$ COMPOSE_FILE=$root/docker-compose.yaml
take_down() {
  local code=$?
  if ((code)); then
    "${compose[@]}" ps || true
    "${compose[@]}" logs --no-color --tail 40 || true
  fi
  "${compose[@]}" down -v -t 5 >/dev/null 2>&1 || true
  rm -rf "$work"
  exit "$code"
}
trap take_down EXIT
trap 'exit 130' INT TERM

# Three ports that are free now, held open together so that they differ.
read -r LICET_PORT POSTGRES_PORT KAFKA_PORT < <("$python" - <<'P'
import socket
held = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
print(*(one.getsockname()[1] for one in held))
P
)
export LICET_PORT POSTGRES_PORT KAFKA_PORT SIMULATOR_OPTIONS="--interval 1"

if command -v go >/dev/null; then
  (cd "$here/seed" && GO111MODULE=off CGO_ENABLED=0 go build -trimpath -o "$work/seed" main.go)
else
  echo "test-compose: SKIPPED the seed's own simulator, it needs Go" >&2
fi
chmod 755 "$work"

"$python" "$here/check.py" "$work/seed" "${compose[@]}"
