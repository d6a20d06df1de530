"""Engines: whatever answers a chat request, behind one port (`base.Engine`).

Nothing is imported here: `registry.create_engine` loads an engine's module when it is asked for.
"""
