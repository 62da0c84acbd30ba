"""The command line: one thin file a command; each reads arguments, calls one function, prints."""
