#!/usr/bin/env bash
# Makes the bundle for desktop hosts, dist/mem1-mcp-VERSION.mcpb, with the official packer, unpacks it, and
# starts it as hosts do: with no field filled in, with some, and where the host puts nothing in their place.
#
# Node 22 or newer and uv are got here where the machine does not have them. Without them nothing is made,
# and that is said in red; it is an error only where MEM1_TEST_REQUIRE names mcpb. Written for bash 3.2.
set -euo pipefail
cd "$(dirname "$0")/.."

packer_version=2.1.2
out=out/mcpb
packer=$out/packer/node_modules/@anthropic-ai/mcpb
log=$out/install.log

kind=mcpb
not_run="The bundle was NOT made"

have_uv() {
  uv --version >/dev/null 2>&1 && return
  PATH=$PWD/$out/uv/bin:$PATH
  uv --version >/dev/null 2>&1 && return
  .venv/bin/python -m venv --without-pip "$out/uv"
  .venv/bin/python -m pip --python "$out/uv/bin/python" install --quiet uv >"$log" 2>&1 ||
    did_not_run "there is no uv here, and pip could not install it"
}

mcpb() { "$node" "$packer/dist/cli/cli.js" "$@"; }

say() { printf '\n== %s\n' "$*"; }

# Starts once before the talk: the first start gets the libraries, which takes longer than an answer may.
host() {
  say "a host with $1"
  "$node" .ci/mcpb_host.mjs "$packer" "$bundle" "$out/start" "$2"
  "$out/start" --version
  .venv/bin/python .ci/handshake.py "$out/start"
}

mkdir -p "$out" dist
rm -rf "$log" "$out/wheel" "$out/bundle" "$out/a host" "$out/data"
. .ci/node.sh
have_node
have_uv
if [ "$(cat "$out/packer/version" 2>/dev/null)" != "$packer_version" ]; then
  command -v npm >/dev/null || did_not_run "there is no npm here to get the packer with"
  printf 'Getting the packer %s …\n' "$packer_version"
  install "$out/packer" "@anthropic-ai/mcpb@$packer_version" || did_not_run "npm could not install the packer"
  printf '%s\n' "$packer_version" >"$out/packer/version"
fi

say "the wheel, and the folder to pack"
.venv/bin/python -m build --wheel --outdir "$out/wheel" >"$log" 2>&1 || { cat "$log" >&2 && exit 1; }
wheel=$(ls "$out"/wheel/*.whl)
version=$(basename "$wheel" | cut -d- -f2)
.venv/bin/python packaging/mcpb/build.py "$wheel" "$out/bundle"
file=dist/mem1-mcp-$version.mcpb
rm -f "$file"
mcpb validate "$out/bundle/manifest.json"
mcpb pack "$out/bundle" "$file"

# Spaces, as in "Application Support"; no file of the person who runs this is touched.
bundle="$out/a host/mem1-mcp"
mcpb unpack "$file" "$bundle"
UV_CACHE_DIR=$(uv cache dir)
UV_PYTHON_INSTALL_DIR=$(uv python dir)
XDG_DATA_HOME=$PWD/$out/data
export UV_CACHE_DIR UV_PYTHON_INSTALL_DIR XDG_DATA_HOME
memory="$PWD/$out/a host/memory of Mei"

host "no field filled in" '{}'
host "nothing to put in the place of fields" null
host "fields filled in" "{\"memory_dir\": \"$memory\", \"user_id\": \"Mei\", \"timezone\": \"Asia/Shanghai\"}"
"$out/start" doctor >"$out/doctor.txt" || { cat "$out/doctor.txt" && exit 1; }
grep -F -e "$memory" -e Mei -e Asia/Shanghai "$out/doctor.txt"

say "$file"
.venv/bin/python -c 'import hashlib, sys; print("sha256", hashlib.sha256(open(sys.argv[1], "rb").read()).hexdigest())' "$file"
