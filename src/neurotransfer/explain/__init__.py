"""What a network holds: its features, and maps of what it looks at."""
