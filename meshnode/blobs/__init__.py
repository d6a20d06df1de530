"""Blobs: content too large for a vertex, kept on disk, served to members, fetched from several."""
