#!/bin/sh
# Check a GPU, then train: benchmarks/gpu/check.sh OUT [SECONDS [options of benchmarks.gpu.check]]
#
# Prints the state of the GPU, then runs benchmarks.gpu.check: versions; whether every network computes on the GPU what
# it computes on the CPU; crystals per second of training. What is printed is kept in OUT/checks.txt. If QUEUE names a
# file, its lines are then used as options of benchmarks.run, one command each (# begins a comment), with records in
# OUT/results and what is printed in OUT/queue.txt. All of it is stopped after SECONDS (600). Runs that are recorded are
# not computed again by the same command, and interrupted ones go on where they were saved. Run it in a checkout whose
# dependencies are installed. PYTHON names another interpreter, DEVICE another device than cuda.
set -u
if [ $# -lt 1 ]; then
    sed -n '2,10s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
out=$1 seconds=${2:-600} python=${PYTHON:-python3} device=${DEVICE:-cuda}
end=$(($(date +%s) + seconds))
shift $(($# < 2 ? $# : 2))
mkdir -p "$out" || exit
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}" PYTHONUNBUFFERED=1
export PYTHONPATH="src${PYTHONPATH:+:$PYTHONPATH}"
{
    if command -v nvidia-smi >/dev/null; then nvidia-smi; fi
    timeout --kill-after 5 "$seconds" "$python" -m benchmarks.gpu.check --device "$device" "$@"
    echo "exit status $?"
} 2>&1 | tee "$out/checks.txt"
failed=0
tail -n 1 "$out/checks.txt" | grep -q '^exit status 0$' || failed=1
if [ -n "${QUEUE:-}" ]; then
    while IFS= read -r options || [ -n "$options" ]; do
        options=${options%%#*}
        [ -n "$(printf %s "$options" | tr -d ' ')" ] || continue
        left=$((end - $(date +%s)))
        if [ "$left" -le 0 ]; then
            echo "no time left for: $options"
            continue
        fi
        # Options are separated by spaces, as in a shell. shellcheck disable=SC2086
        timeout --signal INT --kill-after 10 "$left" \
            "$python" -m benchmarks.run $options --device "$device" --results "$out/results" </dev/null
        echo "exit status $?: $options"
    done <"$QUEUE" 2>&1 | tee "$out/queue.txt"
    ! grep -q '^exit status [^0]\|^no time left' "$out/queue.txt" || failed=1
fi
exit $failed
