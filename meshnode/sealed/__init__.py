"""Sealed requests: what two peers tell each other, encrypted beneath the transport's encryption.

Pure but for the file of keys: values in, values out; whoever calls brings the randomness.
"""
