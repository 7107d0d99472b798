#!/usr/bin/env bash
# Ten minutes on a machine with one GPU, Python, torch and transformers, and no network.
#
#   tools/gpu_check.sh --wheels FOLDER             where there is a network: fetch what such a machine lacks
#   tools/gpu_check.sh [--with FOLDER] [OPTION...] there: measure, from source; OPTIONs are those of tools/gpu_check.py
#
# The wheels are for Python 3.12 on Linux x86-64 (PYTHON_VERSION=3.11 for another). Results: $OUT, or runs/gpu_check.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}

if [ "${1:-}" = --wheels ]; then
    platforms=()
    for name in manylinux_2_34 manylinux_2_28 manylinux_2_27 manylinux_2_24 manylinux_2_17 manylinux2014 manylinux1; do
        platforms+=(--platform "${name}_x86_64")
    done
    mkdir -p "$2"
    exec "$python" -m pip download -q --no-deps --only-binary=:all: --implementation cp \
        --python-version "${PYTHON_VERSION:-3.12}" "${platforms[@]}" -d "$2" -r tools/gpu_check_wheels.txt
fi

export PYTHONPATH="$PWD:$PWD/envs:$PWD/experiments:$PWD/tools" PYTHONUNBUFFERED=1 HF_HUB_OFFLINE=1
if [ "${1:-}" = --with ]; then
    packages=$(mktemp -d)
    trap 'rm -rf "$packages"' EXIT
    "$python" -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --target "$packages" "$2"/*.whl
    PYTHONPATH="$PYTHONPATH:$packages"
    shift 2
fi
"$python" tools/gpu_check.py "$@"
