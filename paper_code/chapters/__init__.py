"""One module per chapter of the book: its tables, figures, their words, its claims with their rules, its chart."""
