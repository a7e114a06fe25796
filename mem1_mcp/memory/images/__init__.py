"""Images: how they come in, and what tells what they show."""
