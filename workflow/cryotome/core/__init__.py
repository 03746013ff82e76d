"""Files, cards, stores, tables and errors: what every other package uses."""
