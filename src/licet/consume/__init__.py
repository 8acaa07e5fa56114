"""The projector: folds the log into licenses, one batch in one transaction."""
