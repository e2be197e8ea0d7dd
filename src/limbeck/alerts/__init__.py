"""A student on a stream of articles: the alerts it raises, and the false alarms a threshold costs."""
