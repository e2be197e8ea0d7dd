"""Result records of limbeck 0.1, one format for each kind of run, as records of today."""
