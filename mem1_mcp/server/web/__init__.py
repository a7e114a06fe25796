"""The server over HTTP: who may reach it, how much of it, and the application that puts it together."""
