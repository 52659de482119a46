"""Low-rank adapters that PEFT has saved, read, attached and merged without PEFT."""
