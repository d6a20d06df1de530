"""Questions and answers between peers: one stream per answer, one signed result for each."""
