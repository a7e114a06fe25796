"""Memory without the model's goodwill: a host calls this program at each turn, over standard input."""
