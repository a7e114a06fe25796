#!/usr/bin/env bash
# Holds the server to the official conformance suite, which is written for Node 22 or newer. Both are
# got here, into out/node, where the machine does not have them; all arguments go to the runner.
#
# Without them the suite can't run, and says so in red. That is an error only where MEM1_TEST_REQUIRE
# names conformance. Written for bash 3.2, which is the one on macOS.
set -euo pipefail
cd "$(dirname "$0")/.."

suite_version=0.2.0-alpha.12 # only alpha versions know 2026-07-28 as yet
home=out/node
suite=$home/node_modules/@modelcontextprotocol/conformance
log=$home/install.log

kind=conformance
not_run="The conformance suite did NOT run"

mkdir -p "$home"
rm -f "$log"
. .ci/node.sh
have_node

if [ "$(cat "$home/suite" 2>/dev/null)" != "$suite_version" ]; then
  command -v npm >/dev/null || did_not_run "there is no npm here to get it with"
  printf 'Getting the conformance suite %s …\n' "$suite_version"
  install "$home" "@modelcontextprotocol/conformance@$suite_version" || did_not_run "npm could not install it"
  printf '%s\n' "$suite_version" >"$home/suite"
fi

exec .venv/bin/python -m tests.conformance.run --node "$node" --suite "$suite" "$@"
