import math

import pytest

from fedkit import schemes
from fedkit.tenseal import ts

# HomomorphicEncryption.org standard (2018), Table 1: ternary secret, classical, 128 bits of security.
LARGEST_MODULUS_BITS = {1024: 27, 2048: 54, 4096: 109, 8192: 218, 16384: 438}


@pytest.mark.parametrize("scheme", schemes.SCHEMES)
@pytest.mark.parametrize("hospitals", [1, 24, 25, 390, 391, 6241])
def test_security_is_at_least_128_bits(scheme, hospitals):
    parameters = schemes.choose(scheme, hospitals)
    assert sum(parameters.modulus_bits) <= LARGEST_MODULUS_BITS[parameters.ring_dimension]


@pytest.mark.parametrize("hospitals", [1, 24, 25, 390, 391, 6241])
def test_bfv_decrypts_with_room_to_spare(hospitals):
    parameters = schemes.choose("bfv", hospitals)
    t, data_bits = parameters.plain_modulus, parameters.modulus_bits[0]
    assert 2**data_bits / (2 * t) >= 8 * 3.24 * math.sqrt(hospitals)
    assert parameters.room <= (t - 1) // 2
    assert t % (2 * parameters.ring_dimension) == 1
    assert all(pow(base, t - 1, t) == 1 for base in (2, 3, 5, 7, 11))  # t is prime


def test_fields_get_narrower_only_when_they_must():
    assert [schemes.choose("bfv", hospitals).bits for hospitals in (24, 25, 390, 391)] == [52, 50, 50, 48]


def test_ckks_sums_stay_below_half_the_modulus():
    parameters = schemes.choose("ckks", 4)
    assert parameters.room * parameters.scale <= 2 ** (parameters.modulus_bits[0] - 2)
    assert parameters.share * 4 <= parameters.room


def test_seal_itself_refuses_more_modulus_than_the_standard_allows():
    with pytest.raises(ValueError, match="parameters"):
        ts.context(ts.SCHEME_TYPE.CKKS, 4096, coeff_mod_bit_sizes=[60, 60])


@pytest.mark.parametrize(("scheme", "hospitals"), [("paillier", 4), ("bfv", 0), ("ckks", 6242)])
def test_what_cannot_be_is_refused(scheme, hospitals):
    with pytest.raises(ValueError, match=r"choose one of|Keys are made for 1 to 6241"):
        schemes.choose(scheme, hospitals)
