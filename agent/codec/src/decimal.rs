//! Decimal numbers that stay integers where they are some (Core 10.6).

use crate::Raw;

/// The number of a JSON text, which must have the syntax of one; `None` if no float
/// holds it.
pub(crate) fn parse<'a>(text: &str) -> Option<Raw<'a>> {
    if let Some(number) = text.parse().ok().and_then(|number| whole(number, 0)) {
        return Some(Raw::Integer(number));
    }
    let number: f64 = text.parse().ok()?;
    // A float below 2^53 is as good as an integer; above, it would hide some digits.
    if number.abs() < FIRST_INEXACT {
        return Some(Raw::Float(number));
    }
    match parts(text).and_then(|(mantissa, exponent)| whole(mantissa, exponent)) {
        Some(number) => Some(Raw::Integer(number)),
        None => number.is_finite().then_some(Raw::Float(number)),
    }
}

/// `mantissa` times ten to the power of `exponent`, if that is an integer of 64 bits
/// and a sign.
pub(crate) fn whole(mut mantissa: i128, mut exponent: i128) -> Option<i128> {
    while exponent < 0 && mantissa % 10 == 0 && mantissa != 0 {
        exponent += 1;
        mantissa /= 10;
    }
    let power = 10_i128.checked_pow(u32::try_from(exponent).ok()?)?;
    mantissa.checked_mul(power).filter(|number| number.unsigned_abs() <= 1 << 64)
}

/// `-1.50e3` as the digits -150 and the power 1.
fn parts(text: &str) -> Option<(i128, i128)> {
    let (digits, exponent) = match text.split_once(['e', 'E']) {
        Some((digits, exponent)) => (digits, exponent.parse().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let mantissa = [whole, fraction].concat().parse().ok()?;
    Some((mantissa, i128::checked_sub(exponent, fraction.len() as i128)?))
}

/// 2^53, where neighbouring integers begin to share a float.
const FIRST_INEXACT: f64 = 9_007_199_254_740_992.0;
