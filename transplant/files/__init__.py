"""Files written whole or not at all, and read strictly; the registry shares this package."""
