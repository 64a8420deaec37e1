"""Options of the conversion of granules: label, mask, crop, packing; and the flags of a pixel."""

from __future__ import annotations

from dataclasses import dataclass

from sciml_data.registry.options import option

# Bits of bayes_in, as the level-1 product names them (flag_meanings of flags_in.nc); 16 to 128 are
# spare.
BAYES_BITS = {"single_low": 1, "single_moderate": 2, "dual_low": 4, "dual_moderate": 8}
NOT_COMPUTED = 255  # seen in every pixel of a granule of 2017, without a _FillValue to say so

# What a pixel may have; the last three say something and exclude nothing by themselves.
FLAGS = {
    "not_computed": 1,
    "unfilled": 2,
    "padded": 4,
    "cosmetic": 8,
    "duplicate": 16,
    "beyond_range": 32,
    "reflectance_missing": 64,
    "unlit": 128,
    "summary_cloud": 256,
}
EXCLUDED_BY_DEFAULT = (
    "not_computed",
    "unfilled",
    "padded",
    "cosmetic",
    "duplicate",
    "beyond_range",
)


@dataclass(frozen=True)
class Options:
    """Options of a granule; by default the reference's label, without pixels of unknown label."""

    label: str = option("bayes", "source of the cloud label", choices=("bayes", "summary"))
    bayes_bits: tuple[str, ...] = option(
        tuple(BAYES_BITS),
        "a pixel is cloud where one of these bits is set",
        choices=tuple(BAYES_BITS),
        minimum=1,
    )
    exclude: tuple[str, ...] = option(
        EXCLUDED_BY_DEFAULT, "a pixel with one of these flags is not valid", choices=tuple(FLAGS)
    )
    training_crop: str = option(
        "none", "the reference's centre crop, of training scenes", choices=("none", "reference")
    )
    compression: str = option(
        "none", "of the ready files; gzip makes them a third smaller", choices=("none", "gzip")
    )
    refs: str = option(
        "reflectance",
        "quantity under the key `refs` of the native files",
        choices=("reflectance", "radiance"),
    )

    @property
    def bayes_mask(self) -> int:
        """Return the chosen bits as one number."""
        return sum(BAYES_BITS[name] for name in self.bayes_bits)

    @property
    def excluded_mask(self) -> int:
        """Return the flags that make a pixel invalid as one number.

        `not_computed` is of the Bayesian mask: it does not count where the label is `summary`.
        """
        not_asked = {"not_computed"} if self.label == "summary" else set()
        return sum(FLAGS[name] for name in set(self.exclude) - not_asked)
