# One Snakemake rule for each job of `graph`, which the including Snakefile has filled.
# Jobs run in the folder of all runs; the executed notebook is the log: it stays when a run fails.

for job in graph.jobs.values():

    rule:
        name:
            f"run_{job.name}"
        input:
            job.inputs,
        output:
            job.outputs,
        log:
            job.log,
        params:
            arguments=job.arguments,
            parameters=job.params,
            code=job.code,
        priority: job.priority
        threads: graph.threads
        shell:
            "cd {graph.project:q} && {graph.python:q} -m vidssl.cli {params.arguments}"


onerror:
    print("\nA run stopped; its notebook (`log` above) shows where. What is done is kept.")


graph.note_results(config["target"])
