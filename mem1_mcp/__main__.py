"""``python -m mem1_mcp`` is the same program as ``mem1-mcp``."""

from mem1_mcp.cli import main

main()
