"""One page that shows a set-up."""
