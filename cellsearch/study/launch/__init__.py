"""Workers on other machines: a launcher places agents there and does nothing else. What a worker works on
it finds in the database, and a job that is ended gives it back; nothing is decided or recorded here.

    slurm     jobs of a Slurm cluster, through submitit; they go on when this command has ended
    ray       tasks of a Ray cluster; they end with this command
    place     the configuration of a launcher; errors where its package is missing
    job       the process around an agent, on whatever machine it runs
"""
