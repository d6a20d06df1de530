"""Model files of one's own: where they come from, what is in them, how fast they are."""
