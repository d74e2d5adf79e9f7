"""DNS answers with their proof, and a bounded cache of them."""
