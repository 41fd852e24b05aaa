"""How often does a drift test cry wolf over 50 features and 30 days, and how soon does it find a real shift?"""
