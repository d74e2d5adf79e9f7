"""What mail is: frozen values and arithmetic on them; no I/O, no clock, no framework."""
