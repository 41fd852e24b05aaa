"""The parts of `tocsin demo`: scenarios, the stage they run on, what is expected of them, and how it is shown."""
