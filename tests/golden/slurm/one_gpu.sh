#!/bin/bash

# Parameters
#SBATCH --array=0-1%2
#SBATCH --cpus-per-task=8
#SBATCH --error=/shared/runs/units/mine/jobs/%A_%a_0_log.err
#SBATCH --gpus-per-node=1
#SBATCH --job-name=orpo-harness
#SBATCH --nodes=1
#SBATCH --open-mode=append
#SBATCH --output=/shared/runs/units/mine/jobs/%A_%a_0_log.out
#SBATCH --partition=gpu
#SBATCH --requeue
#SBATCH --signal=USR2@120
#SBATCH --time=480
#SBATCH --wckey=submitit

# command
export SUBMITIT_EXECUTOR=slurm
srun --unbuffered --output /shared/runs/units/mine/jobs/%A_%a_%t_log.out --error /shared/runs/units/mine/jobs/%A_%a_%t_log.err /env/bin/python -u -m submitit.core._submit /shared/runs/units/mine/jobs

#!/bin/bash

# Parameters
#SBATCH --cpus-per-task=8
#SBATCH --dependency=afterok:100_0:100_1
#SBATCH --error=/shared/runs/units/mine/jobs/%j_0_log.err
#SBATCH --gpus-per-node=1
#SBATCH --job-name=orpo-harness
#SBATCH --kill-on-invalid-dep=yes
#SBATCH --nodes=1
#SBATCH --open-mode=append
#SBATCH --output=/shared/runs/units/mine/jobs/%j_0_log.out
#SBATCH --partition=gpu
#SBATCH --requeue
#SBATCH --signal=USR2@120
#SBATCH --time=480
#SBATCH --wckey=submitit

# command
export SUBMITIT_EXECUTOR=slurm
srun --unbuffered --output /shared/runs/units/mine/jobs/%j_%t_log.out --error /shared/runs/units/mine/jobs/%j_%t_log.err /env/bin/python -u -m submitit.core._submit /shared/runs/units/mine/jobs
