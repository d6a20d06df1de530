#!/bin/sh
# Installs the gateways that bench_gateway.py measures beside ours, each into its own environment:
#   benchmarks/peers/setup_proxies.sh FOLDER
# Their dependencies contradict each other's and ours, so nothing of them belongs in .venv.
set -eu
folder=${1:?usage: setup_proxies.sh FOLDER}
uv=$(dirname "$0")/../../tools/uv
"$uv" venv --allow-existing "$folder/litellm"
"$uv" pip install --python "$folder/litellm/bin/python" 'litellm[proxy]'
"$uv" venv --allow-existing "$folder/sglang"
"$uv" pip install --python "$folder/sglang/bin/python" sglang-router
echo "now: python benchmarks/bench_gateway.py --proxies $folder"
