#!/usr/bin/env bash
# A search on a SLURM allocation: `sbatch slurm.sh`. Submit it again to continue the search.
#SBATCH --job-name=hybrid-search
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --gpus-per-node=4
#SBATCH --time=24:00:00
#SBATCH --signal=B:TERM@60
set -euo pipefail

# Every node must reach the environment with hybrid-search in it, and the data set. The ledger is a PostgreSQL database,
# its password in ~/.pgpass: home folders are network file systems, where SQLite's locks do not hold between machines.
source "$HOME/hybrid-search/.venv/bin/activate"
cd "$HOME/hybrid-search" # results/ there gets the log and the weights of the front
export HYBRID_SEARCH_DB="postgresql://$USER@db.example.com/hybrid_search"
data="$HOME/data/cifar10"
port=6379

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head=${nodes[0]}
address=$(srun --nodes=1 --ntasks=1 --nodelist="$head" hostname --ip-address | awk '{print $1}')

# --block: `srun` runs each Ray node until the allocation ends.
srun --nodes=1 --ntasks=1 --nodelist="$head" --overlap \
    ray start --head --node-ip-address="$address" --port=$port --block &
for _ in $(seq 60); do
    if srun --nodes=1 --ntasks=1 --nodelist="$head" --overlap ray health-check --address "$address:$port"; then break; fi
    sleep 2
done
for node in "${nodes[@]:1}"; do
    srun --nodes=1 --ntasks=1 --nodelist="$node" --overlap ray start --address="$address:$port" --block &
done

# Nodes join while the search starts. It starts workers on them as they join.
hybrid-search run cifar --name cifar --trials 500 --data-dir "$data" --address "$address:$port" \
    --workers 32 --cpus-per-trial 2 --gpus-per-trial 0.5 --lease 120 \
    --checkpoints "$HOME/hybrid-search/checkpoints" &
search=$!
trap 'kill -TERM $search' TERM
wait $search || wait $search # the first wait ends with the signal, the second with the command
