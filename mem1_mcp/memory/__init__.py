"""The use cases, one file each, over a store that is handed in.

``Memory`` is the door that the server and the command line go through; the user comes with each
call.
"""

from mem1_mcp.memory.jobs import Jobs
from mem1_mcp.memory.meaning import Meaning
from mem1_mcp.memory.service import Memory

__all__ = ["Jobs", "Meaning", "Memory"]
