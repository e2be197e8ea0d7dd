"""From a large stream of articles, the few that matter: a cheap screen, then a judge that is asked once."""
