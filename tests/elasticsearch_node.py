"""A real Elasticsearch on loopback, one node or several, from Maven Central.

    python -m tests.elasticsearch_node [--nodes 3] [--version 9.5.0] [--heap 512m] [-- COMMAND ...]

runs until Ctrl+C, or runs a command with MEM1_ES_HOSTS and ends with it. What Maven has for tests of
Elasticsearch itself is the real server with few modules; it is unpacked once, where the platform keeps
caches. It needs Maven and a JDK of 21 or newer, and
refuses to run as root: started by root it runs as ``nobody``.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import ctypes
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

VERSION = "9.5.0"

_ARTIFACT = "org.elasticsearch.distribution.integ-test-zip:elasticsearch:{}:zip"
_GETTER = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"
_OLDEST_JAVA = 21
_START_SECONDS = 120
_ACCOUNT = "nobody"
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG


class NotHereError(Exception):
    """A node can't be had on this machine; the text says why."""


class Cluster:
    """Nodes that were started together, ended by ``stop`` or with this process."""

    def __init__(
        self, version: str = VERSION, nodes: int = 1, password: str = "", heap: str = "512m"
    ) -> None:
        self.version, self.password, self.heap = version, password, heap
        self._java = java_home()
        self._home = distribution(version)
        # Not below a folder that only root can enter.
        self._work = Path(tempfile.mkdtemp(prefix="mem1-es-"))
        self._work.chmod(0o755)
        self._http = [free_port() for _ in range(nodes)]
        self._transport = [free_port() for _ in range(nodes)]
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self.urls = [f"http://127.0.0.1:{port}" for port in self._http]
        self.data_folders = [self._work / f"node{number}" / "data" for number in range(nodes)]
        try:
            for number in range(nodes):
                self._configure(number)
            for number in range(nodes):
                self._launch(number)
            for number in range(nodes):
                self.wait(number, nodes)
        except BaseException:
            self.stop()
            raise

    def kill(self, number: int) -> None:
        """Kill a node as a power cut would."""
        process = self._processes.pop(number)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def restart(self, number: int) -> None:
        """Start a killed node again, on its own data; not from a thread, with which it would end."""
        self._launch(number)

    def wait(self, number: int = 0, nodes: int | None = None, status: str = "yellow") -> None:
        """Wait until a node sees so many nodes (all of them), and its shards in this state."""
        expected = len(self.urls) if nodes is None else nodes
        until = time.monotonic() + _START_SECONDS
        while time.monotonic() < until:
            if self._processes[number].poll() is not None:
                break
            with contextlib.suppress(OSError):
                health = self.ask(f"/_cluster/health?wait_for_status={status}&timeout=1s", number)
                if health["number_of_nodes"] >= expected and not health["timed_out"]:
                    return
            time.sleep(0.2)
        log = (self._work / f"node{number}" / "out.log").read_text().splitlines()
        raise NotHereError(f"Elasticsearch {self.version} does not start: " + " | ".join(log[-8:]))

    def ask(self, path: str, number: int = 0) -> Any:
        """GET something of a node."""
        request = urllib.request.Request(self.urls[number] + path)  # noqa: S310 - http on loopback
        if self.password:
            login = base64.b64encode(f"elastic:{self.password}".encode()).decode()
            request.add_header("authorization", f"Basic {login}")
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return json.load(answer)

    def stop(self) -> None:
        """End every node and remove what they kept."""
        for process in self._processes.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        for process in self._processes.values():
            process.wait()
        self._processes.clear()
        shutil.rmtree(self._work, ignore_errors=True)

    def _configure(self, number: int) -> None:
        base = self._work / f"node{number}"
        shutil.copytree(self._home / "config", base / "config")
        for folder in ("data", "logs", "tmp"):
            (base / folder).mkdir()
        peers = [f"127.0.0.1:{port}" for port in self._transport]
        settings: dict[str, object] = {
            "cluster.name": f"mem1-{self._work.name}",
            "node.name": f"n{number}",
            "network.host": "127.0.0.1",
            "http.port": self._http[number],
            "transport.port": self._transport[number],
            "path.data": str(base / "data"),
            "path.logs": str(base / "logs"),
            "node.store.allow_mmap": False,
            "cluster.routing.allocation.disk.threshold_enabled": False,
            "xpack.security.enabled": bool(self.password),
        }
        if len(peers) == 1:
            settings["discovery.type"] = "single-node"
        else:
            settings["discovery.seed_hosts"] = peers
            settings["cluster.initial_master_nodes"] = [f"n{each}" for each in range(len(peers))]
        if self.password:
            settings["xpack.security.autoconfiguration.enabled"] = False
            self._keep_password(base)
        written = "".join(f"{name}: {json.dumps(value)}\n" for name, value in settings.items())
        (base / "config" / "elasticsearch.yml").write_text(written)
        if os.geteuid() == 0:
            account = pwd.getpwnam(_ACCOUNT)
            for path in (base, *base.rglob("*")):
                os.chown(path, account.pw_uid, account.pw_gid)

    def _keep_password(self, base: Path) -> None:
        tool = self._home / "bin" / "elasticsearch-keystore"
        environment = {**os.environ, "ES_PATH_CONF": str(base / "config"), "ES_JAVA_HOME": self._java}
        subprocess.run([tool, "create"], env=environment, check=True, stdout=subprocess.DEVNULL)
        subprocess.run(
            [tool, "add", "-x", "bootstrap.password"],
            env=environment,
            check=True,
            input=self.password.encode(),
        )

    def _launch(self, number: int) -> None:
        base = self._work / f"node{number}"
        with (base / "out.log").open("ab") as log:
            self._processes[number] = subprocess.Popen(
                [self._home / "bin" / "elasticsearch"],
                cwd=base,
                env={
                    "PATH": os.environ["PATH"],
                    "HOME": str(base),
                    "ES_TMPDIR": str(base / "tmp"),
                    "ES_PATH_CONF": str(base / "config"),
                    "ES_JAVA_HOME": self._java,
                    "ES_JAVA_OPTS": f"-Xms{self.heap} -Xmx{self.heap}",
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # a launcher and the server: killed as one group
                preexec_fn=_as_nobody,  # noqa: PLW1509 - no other thread runs yet
            )


def _as_nobody() -> None:
    """In the child: be nobody where the parent is root, and end with the parent."""
    if os.geteuid() == 0:
        account = pwd.getpwnam(_ACCOUNT)
        os.setgroups([])
        os.setgid(account.pw_gid)
        os.setuid(account.pw_uid)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGTERM)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _java_homes() -> Iterator[str]:
    yield from filter(None, (os.environ.get("ES_JAVA_HOME"), os.environ.get("JAVA_HOME")))
    if found := shutil.which("java"):
        yield str(Path(found).resolve().parent.parent)
    for folder, below in (("/usr/lib/jvm", ""), ("/Library/Java/JavaVirtualMachines", "Contents/Home")):
        for home in sorted(Path(folder).glob("*"), reverse=True):
            yield str(home / below)


def java_home() -> str:
    """Return the home of a Java that is new enough."""
    for home in _java_homes():
        java = Path(home, "bin", "java")
        if not java.is_file():
            continue
        told = subprocess.run(
            [java, "-XshowSettings:properties", "-version"], capture_output=True, text=True, check=False
        ).stderr
        versions = [line for line in told.splitlines() if "java.specification.version" in line]
        if versions and float(versions[0].split("=")[1]) >= _OLDEST_JAVA:
            return home
    raise NotHereError(f"there is no JDK {_OLDEST_JAVA} or newer here (ES_JAVA_HOME can name one)")


def distribution(version: str) -> Path:
    """Return the unpacked server; got with Maven where it is not in the cache."""
    # As root the cache of root can't be entered by whom the server runs as.
    cache = Path("/var/cache/mem1-mcp-tests") if os.geteuid() == 0 else user_cache_path("mem1-mcp-tests")
    home = cache / f"elasticsearch-{version}"
    if home.exists():
        return home
    if shutil.which("mvn") is None:
        raise NotHereError("there is no Maven here (mvn), which gets the server")
    cache.mkdir(parents=True, exist_ok=True)
    artifact = _ARTIFACT.format(version)
    with tempfile.TemporaryDirectory(dir=cache) as unfinished:
        got = subprocess.run(
            ["mvn", "-q", "-B", _GETTER, f"-Dartifact={artifact}", f"-DoutputDirectory={unfinished}"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if got.returncode:
            raise NotHereError(f"Maven could not get it: {got.stdout.strip()[-300:]}")
        (archive,) = Path(unfinished).glob("*.zip")
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(unfinished)
        unpacked = Path(unfinished, home.name)
        for script in (unpacked / "bin").iterdir():
            script.chmod(0o755)
        # Another run may have been faster.
        with contextlib.suppress(OSError):
            unpacked.rename(home)
    return home


def main() -> None:
    """Run nodes until somebody ends it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nodes", type=int, default=1)
    parser.add_argument("--version", default=VERSION)
    parser.add_argument("--heap", default="512m")
    parser.add_argument("--password", default="", help="switches security on; the user is elastic")
    parser.add_argument("command", nargs="*", help="what to run beside it, after --")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        cluster = Cluster(asked.version, asked.nodes, asked.password, asked.heap)
    except NotHereError as error:
        sys.exit(f"Elasticsearch can't be had: {error}")
    try:
        hosts = ",".join(cluster.urls)
        if asked.command:
            sys.exit(subprocess.call(asked.command, env={**os.environ, "MEM1_ES_HOSTS": hosts}))
        sys.stdout.write(f"MEM1_ES_HOSTS={hosts}\n")
        sys.stdout.flush()
        signal.pause()
    except KeyboardInterrupt:
        pass
    finally:
        cluster.stop()


if __name__ == "__main__":
    main()
