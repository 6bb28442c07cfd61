"""The commands of `paper-code`, one module each: its arguments, and what it does.

What a command needs beyond reading its arguments is imported when it runs.
"""
