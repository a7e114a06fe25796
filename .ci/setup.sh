#!/usr/bin/env bash
# Makes .venv and installs this package there, editable. `make` calls it with what to install:
# `run` is the package alone; test, dev and bench are dependency groups of pyproject.toml.
# Written for bash 3.2, which is the one on macOS.
set -euo pipefail
cd "$(dirname "$0")/.."

level=${1:-run}
# There while a set-up runs, so also after one that was interrupted: such a .venv is made anew.
unfinished=.venv/.unfinished

say() { printf '%s\n' "$*" >&2; }

quietly() {
  "$@" >.venv/.setup.log 2>&1 || { cat .venv/.setup.log >&2 && return 1; }
}

# Asks by running it: a pyenv shim can exist and have no Python behind it.
new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

# Names the Python under a virtual environment, not the environment: it may be the very .venv that
# is made anew, where somebody has activated it.
pythons() {
  local name
  if [ -n "${PYTHON:-}" ]; then
    set -- "$PYTHON"
  else
    set -- python3.14 python3.13 python3.12 python3.11 python3
  fi
  for name; do
    if new_enough "$name"; then "$name" -c 'import sys; print(sys._base_executable)'; fi
  done | awk '!seen[$0]++'
}

# An older uv does not know dependency groups; then it counts as none.
have_uv() { uv pip install --help 2>/dev/null | grep -e --group >/dev/null; }

made_by_uv() { grep '^uv = ' .venv/pyvenv.cfg >/dev/null 2>&1 && have_uv; }

usable() {
  [ ! -e "$unfinished" ] && [ "$(cat .venv/.home 2>/dev/null)" = "$PWD" ] && new_enough .venv/bin/python &&
    { made_by_uv || .venv/bin/python -c 'import pip' 2>/dev/null; }
}

begin() {
  say "Setting up .venv with $1 ($2) …"
  rm -rf .venv && mkdir .venv && touch "$unfinished"
}

with_uv() {
  have_uv && begin "$1" uv && quietly uv venv --seed --allow-existing --python "$1" .venv
}

with_venv() {
  "$1" -c 'import ensurepip, venv' 2>/dev/null && begin "$1" venv && quietly "$1" -m venv .venv
}

# Debian keeps ensurepip in a package of its own, python3-venv; its pip can still fill a .venv.
with_system_pip() {
  "$1" -c 'import pip, venv' 2>/dev/null && begin "$1" "venv and the system's pip" &&
    quietly "$1" -m venv --without-pip .venv &&
    quietly "$1" -m pip --python .venv/bin/python install pip
}

make_venv() {
  local python IFS=$'\n'
  for python in $(pythons); do
    if with_uv "$python" || with_venv "$python" || with_system_pip "$python"; then return; fi
  done
  # uv can fetch a Python where there is none, but not the one somebody named.
  [ -z "${PYTHON:-}" ] && with_uv 3.13
}

give_up() {
  if [ -n "${PYTHON:-}" ]; then
    say "PYTHON=$PYTHON is not a Python 3.11 or newer that can make a virtual environment."
  else
    say "There is no Python 3.11 or newer here that can make a virtual environment. Get one with:"
    if command -v apt-get >/dev/null; then
      say "    sudo apt-get install python3-venv"
    elif command -v brew >/dev/null; then
      say "    brew install python@3.13"
    else
      say "    your package manager, or the installer from python.org"
    fi
  fi
  exit 1
}

install() {
  set -- --editable .
  [ "$level" = run ] || set -- "$@" --group "$level"
  # --group came with pip 25.1.
  if made_by_uv; then
    quietly uv pip install --python .venv/bin/python 'pip>=25.1' "$@"
  else
    quietly .venv/bin/python -m pip install 'pip>=25.1' &&
      quietly .venv/bin/python -m pip install "$@"
  fi
}

usable || make_venv || give_up
touch "$unfinished"
rm -f .venv/.ready-* # or a run that stops half-way would leave make content with the last one
if [ "$level" = run ]; then say "Installing mem1-mcp …"; else say "Installing mem1-mcp for $level …"; fi
install || { say "The installation failed; the reason is above." && exit 1; }

printf '%s\n' "$PWD" >.venv/.home
touch .venv/.ready-run ".venv/.ready-$level"
if [ "$level" = dev ]; then touch .venv/.ready-test; fi # dev includes test
rm "$unfinished"
say "Ready after $SECONDS seconds."
