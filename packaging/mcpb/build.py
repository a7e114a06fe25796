"""Lay out the folder that the packer makes a bundle of: `build.py WHEEL FOLDER`.

The bundle holds the wheel that pip users get, and a project of its own that needs nothing but that wheel,
so that nothing has to be built where it is started. It has no lock file: that would name an index.
"""  # noqa: INP001 - a script

import json
import shutil
import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent

PROJECT = """\
[project]
name = "mem1-mcp-bundle"
version = "{version}"
requires-python = "{python}"
dependencies = ["mem1-mcp"]

[tool.uv]
package = false

[tool.uv.sources]
mem1-mcp = {{ path = "{wheel}" }}
"""


def main() -> None:
    """Make the folder anew; what does not fit together ends the program."""
    wheel, folder = (Path(argument) for argument in sys.argv[1:])
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    manifest = json.loads((HERE / "manifest.json").read_text(encoding="utf-8"))
    for name, version in (("manifest.json", manifest["version"]), (wheel.name, wheel.name.split("-")[1])):
        if version != project["version"]:
            sys.exit(f"{name} is of {version}, pyproject.toml of {project['version']}")

    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    given = (HERE / "manifest.json", HERE / "server.py", ROOT / "LICENSE", ROOT / "README.md", wheel)
    for file in given:
        shutil.copy(file, folder)
    words = folder / "mcpb-resources"
    shutil.copytree(HERE / "mcpb-resources", words)
    shutil.copy(words / "zh-CN.json", words / "zh-Hans.json")  # hosts name it the one way or the other
    text = PROJECT.format(version=project["version"], python=project["requires-python"], wheel=wheel.name)
    (folder / "pyproject.toml").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
