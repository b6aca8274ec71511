"""What a person runs and looks at."""
