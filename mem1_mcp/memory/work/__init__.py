"""Deferred work: found, leased, done step by step, tried again."""
