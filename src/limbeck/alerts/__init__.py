"""A student watches a stream of articles: the alerts it raises, and what a threshold costs."""
