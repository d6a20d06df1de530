"""Reports: tables, curves, timelines, traces, the DAG, and one page that holds them together."""
