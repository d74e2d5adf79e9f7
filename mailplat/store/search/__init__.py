"""An index of texts in a file of its own, filled behind the mail and never needed to keep it."""
