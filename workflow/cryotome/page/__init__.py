"""One page that holds what a study found: tables, figures, errors, cost."""
