"""``kedro stages``, ``compare``, ``prune`` and ``lineage``: what the records of past runs tell."""
