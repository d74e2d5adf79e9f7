"""The kit: contracts to inherit, fakes, cuts and dialogues, for our tests and plugins."""
