"""The use cases, one file each, over a store that is handed in.

``Memory`` is the door that the server and the command line go through; the user comes with each
call.
"""

from mem1_mcp.memory.images.looking import Captioning, Reading
from mem1_mcp.memory.images.receiving import Receiver
from mem1_mcp.memory.language.model import Model
from mem1_mcp.memory.language.summaries import Summarising
from mem1_mcp.memory.profile.in_force import InForce
from mem1_mcp.memory.profile.refresh import Refreshing
from mem1_mcp.memory.profile.template import load as load_template
from mem1_mcp.memory.remember import Keeping
from mem1_mcp.memory.search.meaning import Meaning
from mem1_mcp.memory.service import Memory
from mem1_mcp.memory.work.embedding import Embedding
from mem1_mcp.memory.work.jobs import Jobs

__all__ = [
    "Captioning",
    "Embedding",
    "InForce",
    "Jobs",
    "Keeping",
    "Meaning",
    "Memory",
    "Model",
    "Reading",
    "Receiver",
    "Refreshing",
    "Summarising",
    "load_template",
]
