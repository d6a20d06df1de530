"""Validators in virtual time: the kernel of consensus under delays, crashes, partitions and liars.

Blocks only: what they carry are names of batches, which stand for the vertices of lane 0. So what is
shown here is the order itself, a hundred times faster than with whole nodes around it.
"""
