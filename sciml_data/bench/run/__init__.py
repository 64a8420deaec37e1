"""One run from request to record: resolve, stage, execute, rescore, draw."""
