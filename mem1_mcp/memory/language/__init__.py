"""Language models put to use: what they are asked, and what of their answers holds."""
