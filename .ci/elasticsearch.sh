#!/usr/bin/env bash
# Gets what a real Elasticsearch for the tests needs and a Debian lacks: Maven, which fetches it, and a JDK
# of 21 or newer. Prints the JDK's home; says so where none can be had.
set -euo pipefail
cd "$(dirname "$0")/.."

install() {
  apt-get update >out/elasticsearch-setup.log 2>&1 &&
    apt-get install --yes --no-install-recommends "$@" >>out/elasticsearch-setup.log 2>&1
}

java_home() { .venv/bin/python -c 'from tests.elasticsearch_node import java_home; print(java_home())'; }

mkdir -p out
command -v mvn >/dev/null || install maven || { cat out/elasticsearch-setup.log >&2 && exit 1; }
java_home 2>/dev/null || {
  install openjdk-25-jre-headless || install openjdk-21-jre-headless || true
  java_home
}
