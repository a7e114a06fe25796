"""The MCP surface: tools, resources, prompts, identity, transports, and the words they answer in."""
