"""The own account at a provider of Kimi: asking it, and finding out how it stands."""
