"""The node under Maelstrom, the workbench that drives programs over standard input and output.

python -m simulations.maelstrom            one node: what `maelstrom test --bin` starts
python -m simulations.maelstrom test ...   our own runner: real processes, or virtual time
"""
