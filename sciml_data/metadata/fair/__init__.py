"""The FAIR judge: the FAIRsFAIR metrics, each with its evidence."""
