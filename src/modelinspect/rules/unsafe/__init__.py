"""Find unsafe content without executing anything: one module for each kind of it."""
