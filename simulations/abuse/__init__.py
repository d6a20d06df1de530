"""Attacks of members and strangers on the real core, each with its defence switched off, and on.

A row mounts one attack in a simulated mesh and counts what it did to honest nodes. It does so
twice: with the one defence taken out (a limit made enormous, or a method replaced as a seeded bug
is), and as the core is. The second figure has a bound, and the first must be beyond it, or the
attack was none.
"""
