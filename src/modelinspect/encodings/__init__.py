"""Read how bytes are laid out, whatever they mean."""
