#!/usr/bin/env bash
# Local stand-ins for the three base images, for a machine that reaches no image registry, so that the compose
# file is tried there end to end. Needs root and Debian's apt; two minutes, once.
#
#   images.sh dockerd    start dockerd where none answers (installs what is missing)
#   images.sh build      build the images that are missing
#
# They are made of Debian's packages and of Maven Central's jars, carry the official tags, and keep the part of each
# image's contract that docker-compose.yaml leans on:
#   python:3.13-slim     python, python3 and pip on PATH
#   postgres:17          POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB, data in /var/lib/postgresql/data, pg_isready
#                        and psql on PATH, port 5432
#   apache/kafka:4.1.0   KAFKA_* variables become server properties, KRaft, data in KAFKA_LOG_DIRS, user appuser
# They are not the official images: a claim about those needs a run on those.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
work=${STAND_IN_WORK:-/tmp/stand-in-images}
base=stand-in/debian:trixie

install_missing() { # COMMAND PACKAGE …
  local missing=()
  while (($#)); do command -v "$1" >/dev/null || missing+=("$2"); shift 2; done
  ((${#missing[@]} == 0)) && return
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

dockerd_up() {
  docker info >/dev/null 2>&1 && return
  install_missing dockerd docker.io docker docker-cli docker-compose docker-compose iptables iptables
  mkdir -p "$work"
  setsid dockerd >>"$work/dockerd.log" 2>&1 </dev/null &
  local pid=$!
  for _ in $(seq 60); do
    docker info >/dev/null 2>&1 && { echo "$pid" >"$work/dockerd.pid"; return; }
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.5
  done
  echo "dockerd did not start: see $work/dockerd.log" >&2
  return 1
}

have() { docker image inspect "$1" >/dev/null 2>&1; }
legacy_build() { # docker says at each legacy build that it is deprecated; that is heard where it fails
  DOCKER_BUILDKIT=0 docker build -q "$@" >"$work/build.log" 2>&1 || { cat "$work/build.log" >&2; return 1; }
}

debian() {
  install_missing debootstrap debootstrap
  local root=$work/rootfs
  rm -rf "$root"
  debootstrap --variant=minbase --include=ca-certificates trixie "$root" >"$work/debootstrap.log"
  # This machine's own certificates, so that pip and apt reach the registries from inside as they do from outside.
  cp /etc/ssl/certs/ca-certificates.crt "$root/usr/local/share/stand-in-ca.crt"
  cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
  rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
  tar -C "$root" -c . | docker import \
    -c 'ENV SSL_CERT_FILE=/usr/local/share/stand-in-ca.crt' -c 'ENV PIP_CERT=/usr/local/share/stand-in-ca.crt' \
    -c 'ENV REQUESTS_CA_BUNDLE=/usr/local/share/stand-in-ca.crt' -c 'CMD ["bash"]' - "$base" >/dev/null
  rm -rf "$root"
}

build() {
  mkdir -p "$work"
  have "$base" || debian
  have python:3.13-slim || legacy_build -t python:3.13-slim - <"$here/python.Dockerfile"
  have postgres:17 || legacy_build -t postgres:17 -f "$here/postgres.Dockerfile" "$here"
  have apache/kafka:4.1.0 && return
  install_missing java default-jre-headless mvn maven
  mkdir -p "$work/kafka"
  cp "$here/kafka.Dockerfile" "$here/kafka-entrypoint.sh" "$work/kafka/"
  "$here/../../support/kafka.sh" fetch "$work/kafka/libs" >/dev/null
  legacy_build -t apache/kafka:4.1.0 -f "$work/kafka/kafka.Dockerfile" "$work/kafka"
}

case ${1:-} in
  dockerd) dockerd_up ;;
  build) build ;;
  *) sed -n '2,15p' "$0" >&2; exit 2 ;;
esac
