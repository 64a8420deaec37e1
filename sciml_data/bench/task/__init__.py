"""What a benchmark asks for: task.toml, variants, settings, splits."""
