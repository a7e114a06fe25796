"""What a host starts in the bundle: the server, for which a field left empty is a setting left unset."""  # noqa: INP001 - a script

import os

from mem1_mcp.cli import main


def leave_out_what_was_left_empty() -> None:
    """Drop settings that hold their placeholder: so do some hosts hand on a field without a value."""
    for name, value in tuple(os.environ.items()):
        if name.startswith("MEM1_") and value.startswith("${user_config."):
            del os.environ[name]


if __name__ == "__main__":
    leave_out_what_was_left_empty()
    main()
