"""What makes vectors: an endpoint, or a model on this machine; see ``protocols.Embedder``."""
