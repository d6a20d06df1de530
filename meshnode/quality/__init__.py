"""Whether an answer is what was paid for: structure, black-box statistics, replay, and probers.

What decides is pure and counts in whole numbers, so that a verdict can be said to the market and
computed again by anybody with the same material. Models run beside the market, never inside it.
"""
