"""Tasks of the user's own: a task file (TOML) describes a table."""
