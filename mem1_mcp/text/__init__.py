"""What both stores share about text: terms, traits, dates, budgets. Pure functions of strings."""
