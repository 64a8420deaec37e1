"""From records to a submission that a pull request can carry, and the verdict on one."""
