"""The book around the chapters: what a notebook calls, how pages are rendered and built."""
