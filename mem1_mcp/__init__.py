"""mem1-mcp: a long-term memory of its user for any MCP host."""
