"""BASIS beside PEFT's adapters: one text, one order, one budget, a search of rates for each."""
