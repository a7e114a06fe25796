"""What makes vectors, and language models; see ``protocols.Embedder`` and ``protocols.ChatModel``."""
