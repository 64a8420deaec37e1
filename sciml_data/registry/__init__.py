"""What is described: the registry's layout, descriptors, manifests, options, stage types."""
