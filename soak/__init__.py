"""A small training that is killed, again and again, and has to end as if nothing had happened."""
