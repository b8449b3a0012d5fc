#!/bin/bash
# Runs a suite on several nodes of a SLURM cluster: sbatch slurm.sh
# Not tried on a real SLURM cluster. Adapt the lines with #SBATCH, and how your environment is activated.
#SBATCH --job-name=crystalbench
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=32
#SBATCH --time=12:00:00
#SBATCH --signal=INT@120
#SBATCH --exclusive

set -euo pipefail
source "$HOME/crystalbench/.venv/bin/activate"

export RAY_USAGE_STATS_ENABLED=0
# Without a token, everybody who can reach a node could run code in your name. It is kept in the home folder.
export RAY_AUTH_MODE=token
ray get-auth-token --generate >/dev/null
# Representations are cached on a disk of each node.
export CRYSTALBENCH_CACHE="${SLURM_TMPDIR:-/tmp}/crystalbench-$SLURM_JOB_ID"

# Ray's port follows from the number of the job, so that two jobs can share a node.
port=$((20000 + SLURM_JOB_ID % 10000))
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head --lines=1)
address=$(getent ahostsv4 "$head" | awk 'NR == 1 { print $1 }'):$port

# Every node starts Ray; the first one runs the command after "--", then all of them stop.
# Submit the script again to continue: what is recorded is not computed again.
srun ray symmetric-run --address "$address" --min-nodes "$SLURM_JOB_NUM_NODES" --num-cpus "$SLURM_CPUS_PER_TASK" -- \
    crystalbench run --suite matbench --data-dir "$HOME/matbench" --results results --engine ray --address "$address"
