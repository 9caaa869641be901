"""The method written plainly, with nothing done for speed: what the benchmarks compare with."""
