"""How a question finds what was said: by words, and by vectors where there are some."""
