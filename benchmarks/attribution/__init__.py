"""Is the blamed change the right one? Generated worlds, rules, and the product's scorer, compared case by case."""
