"""What one notebook each needs beyond the core. Nothing in the core imports a chapter."""
