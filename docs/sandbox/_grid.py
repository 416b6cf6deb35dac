"""What the sliders of the page stand at, and how long a run is."""

LEARNING_RATES = (0.003, 0.01, 0.03, 0.1)
WEIGHT_DECAYS = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
B2S = (0.9, 0.99, 0.999)
RATIOS = (1, 3, 10, 30, 100, 300, 1000)

STEPS = 200
# Steps from one point of a path to the next.
EVERY = 5

START = (1.8, 0.4)
MINIMUM = (0.6, 1.4)
# Where independent decay is the same as AdamW's, and does not depend on η elsewhere.
PEAK = 0.01
SEED = 0
