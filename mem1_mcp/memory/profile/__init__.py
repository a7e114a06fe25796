"""The profile: what is known of a user, how it is shown, and how a model keeps it current."""
