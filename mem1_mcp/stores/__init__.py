"""Implementations of the store protocol, one package an engine."""
