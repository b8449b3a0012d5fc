#!/bin/sh
# Check a GPU and keep what is printed: benchmarks/gpu/check.sh OUT [SECONDS [options of benchmarks.gpu.check]]
#
# Prints the state of the GPU, then runs benchmarks.gpu.check: versions; whether every network computes on the GPU what
# it computes on the CPU; crystals per second of training. It is stopped after SECONDS (600); what was printed before is
# in OUT/checks.txt. Run it in a checkout whose dependencies are installed. PYTHON names another interpreter.
set -u
if [ $# -lt 1 ]; then
    sed -n '2,6s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
out=$1 seconds=${2:-600}
shift $(($# < 2 ? $# : 2))
mkdir -p "$out" || exit
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}" PYTHONUNBUFFERED=1
export PYTHONPATH="src${PYTHONPATH:+:$PYTHONPATH}"
{
    if command -v nvidia-smi >/dev/null; then nvidia-smi; fi
    timeout --kill-after 5 "$seconds" "${PYTHON:-python3}" -m benchmarks.gpu.check "$@"
    echo "exit status $?"
} 2>&1 | tee "$out/checks.txt"
tail -n 1 "$out/checks.txt" | grep -q '^exit status 0$'
