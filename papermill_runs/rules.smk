# One Snakemake rule for each job of `graph`, which the including Snakefile has filled.
# Jobs run in the folder of all runs; the executed notebook is the log: it stays when a run fails.
# The marker is all that is promised: of a finished run nothing is thrown away.


def as_it_is(text):
    """A parameter in which Snakemake takes no braces for wildcards."""
    return lambda wildcards: text


for job in graph.jobs.values():

    rule:
        name:
            f"run_{job.name}"
        input:
            job.inputs,
        output:
            job.marker,
        log:
            job.log,
        params:
            arguments=as_it_is(job.arguments),
            parameters=as_it_is(job.params),
            code=as_it_is(job.code),
        priority: job.priority
        threads: graph.threads
        shell:
            "cd {graph.project:q} && {graph.python:q} -m vidssl.cli {params.arguments}"


onerror:
    print("\nA run stopped; its notebook (`log` above) shows where. What is done is kept.")


graph.note_results(config["target"])
