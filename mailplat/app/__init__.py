"""The application: configuration, registry, wiring, service tree, operations, command line."""
