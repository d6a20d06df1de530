"""Questions a researcher asks of the mesh, as data: a TOML file each, answered by a measurement.

    scenario = load("reach")                                  # or the path of a file of your own
    tasks = scenario.tasks(seeds=range(5), overrides={"nodes": 500}, grid=True)
    records = [execute(task) for task in tasks]

`catalogue` finds scenarios, `schema` says what one holds, `measures` are what they run, `networks`
the weather they run in, and `theory` the published curves they are drawn beside.
"""
