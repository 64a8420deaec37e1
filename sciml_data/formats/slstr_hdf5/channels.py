"""The nine channels of SLSTR that the task uses, nadir view: what they are and how quiet."""

from __future__ import annotations

REFLECTIVE = ("S1", "S2", "S3", "S4", "S5", "S6")
THERMAL = ("S7", "S8", "S9")

# Band centres in micrometres (ESA, SLSTR user guide, "Radiometric Resolution", table 1).
CENTRE_UM = {
    "S1": 0.555,
    "S2": 0.659,
    "S3": 0.865,
    "S4": 1.375,
    "S5": 1.61,
    "S6": 2.25,
    "S7": 3.74,
    "S8": 10.85,
    "S9": 12.0,
}

# Solar irradiance in the band, mW m-2 nm-1, at 15 March 2017: viscal.nc of the level-1 granule
# S3A_SL_1_RBT____20170315T113420 (variables S1_solar_irradiances to S6_, mean of the detectors).
SOLAR_IRRADIANCE = {
    "S1": 1859.03,
    "S2": 1538.28,
    "S3": 968.238,
    "S4": 370.099,
    "S5": 248.224,
    "S6": 78.3506,
}

# How the level-1 product itself stores brightness temperature (S7_BT_in of the same granule):
# packing with these loses nothing. The reflectance's step has no such origin: the native values
# were interpolated from 0.5 km. 5e-5 is a fifth of the noise at 0.5 % albedo and signal-to-noise
# 20, which is what was required of the instrument (Coppo et al. 2010, J. Mod. Opt. 57, 1815, doi
# 10.1080/09500340.2010.503010), and the range reaches from -0.138 to 3.138.
BRIGHTNESS_TEMPERATURE_STEP_K = 0.01
BRIGHTNESS_TEMPERATURE_OFFSET_K = 283.73
REFLECTANCE_STEP = 5e-5
REFLECTANCE_OFFSET = 1.5
PACKED_FILL = -32768
PACKED_MOST = 32767
