//! Sums that are exact, so that they do not depend on the order in which an engine adds.

use super::number::Number;

/// The bits below one: the smallest float is 2^-1074.
const FRACTION_BITS: usize = 1074;
/// Enough for 2^1024 and as many additions as can be counted.
const DIGITS: usize = (FRACTION_BITS + 1024 + 64).div_ceil(32) + 1;

/// A sum of numbers without any rounding; only what is asked for at the end is rounded, once.
#[derive(Clone, Debug)]
pub(super) struct Sum {
    /// In two's complement as a whole, in digits of 32 bits of which each has room for carries; the lowest first.
    digits: Box<[i64; DIGITS]>,
    /// Additions since the digits were normal.
    pending: u32,
    whole: bool,
}

impl Sum {
    pub(super) fn new() -> Self {
        Self { digits: Box::new([0; DIGITS]), pending: 0, whole: true }
    }

    pub(super) fn add(&mut self, number: Number) {
        match number.as_whole() {
            Some(whole) => self.shifted(whole.unsigned_abs(), FRACTION_BITS, whole < 0),
            None => {
                self.whole = false;
                let bits = number.as_f64().to_bits();
                let (exponent, fraction) = ((bits >> 52) & 0x7ff, bits & ((1 << 52) - 1));
                // A subnormal has the exponent of the smallest normal one, and no leading bit.
                let (mantissa, shift) =
                    if exponent == 0 { (fraction, 0) } else { (fraction | 1 << 52, exponent as usize - 1) };
                self.shifted(mantissa.into(), shift, bits >> 63 == 1);
            }
        }
    }

    /// Adds `magnitude`, which has at most 64 bits, times 2^shift in units of the lowest bit.
    fn shifted(&mut self, magnitude: u128, shift: usize, negative: bool) {
        let (first, within) = (shift / 32, shift % 32);
        let mut rest = magnitude << within;
        for digit in &mut self.digits[first..] {
            if rest == 0 {
                break;
            }
            let low = (rest & 0xffff_ffff) as i64;
            *digit += if negative { -low } else { low };
            rest >>= 32;
        }
        self.pending += 1;
        if self.pending == 1 << 30 {
            self.settle();
        }
    }

    /// Carries, so that every digit but the last is in 0..2^32.
    fn settle(&mut self) {
        let mut carry = 0;
        for digit in &mut self.digits[..DIGITS - 1] {
            let sum = *digit + carry;
            *digit = sum & 0xffff_ffff;
            carry = sum >> 32;
        }
        self.digits[DIGITS - 1] += carry;
        self.pending = 0;
    }

    /// The sum: as a whole number if everything was written as one and it fits, else the nearest float; `None` when there
    /// is none.
    pub(super) fn total(mut self) -> Option<Number> {
        self.settle();
        let negative = self.digits[DIGITS - 1] < 0;
        if negative {
            self.digits.iter_mut().for_each(|digit| *digit = -*digit);
            self.settle();
        }
        // The bits as text of a binary number would be: the highest one, the next 53, and whether anything follows.
        let bit = |at: usize| (self.digits[at / 32] >> (at % 32)) & 1 == 1;
        let Some(highest) = (0..(DIGITS - 1) * 32).rev().find(|at| bit(*at)) else {
            return if self.whole { Some(Number::from(0_u64)) } else { Number::from_f64(0.0) };
        };
        if self.whole && highest < FRACTION_BITS + 64 {
            let magnitude = (FRACTION_BITS..=highest).rev().fold(0_i128, |sum, at| sum << 1 | i128::from(bit(at)));
            if let Some(number) = Number::from_i128(if negative { -magnitude } else { magnitude }) {
                return Some(number);
            }
        }
        let lowest = highest.saturating_sub(52);
        let mut mantissa = (lowest..=highest).rev().fold(0_u64, |sum, at| sum << 1 | u64::from(bit(at)));
        let half = lowest > 0 && bit(lowest - 1);
        let beyond = lowest > 1 && (0..lowest - 1).any(bit);
        if half && (beyond || mantissa & 1 == 1) {
            mantissa += 1;
        }
        // 2^53 at most, times a power of two: exact, or beyond what a float can be.
        let (exponent, mut float) = (lowest as i32 - FRACTION_BITS as i32, mantissa as f64);
        // In steps that are floats themselves.
        let mut left = exponent;
        while left != 0 {
            let step = left.clamp(-1000, 1000);
            float *= 2.0_f64.powi(step);
            left -= step;
        }
        Number::from_f64(if negative { -float } else { float })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(texts: &[&str]) -> Option<String> {
        let mut sum = Sum::new();
        texts.iter().for_each(|text| sum.add(Number::parse(text).expect("a number")));
        sum.total().map(|number| number.to_string())
    }

    #[test]
    fn sums_are_exact() {
        for (texts, total) in [
            (&[][..], "0"),
            (&["1", "2"], "3"),
            (&["-1", "-2"], "-3"),
            (&["1.5", "1.5"], "3.0"),
            (&["9007199254740992", "1"], "9007199254740993"),
            (&["18446744073709551615", "-1"], "18446744073709551614"),
            (&["-9223372036854775808"], "-9223372036854775808"),
            (&["18446744073709551615", "1"], "1.8446744073709552e19"),
            (&["1e300", "1", "-1e300"], "1.0"),
            (&["1", "1e300", "-1e300"], "1.0"),
            (&["0.1", "0.2", "-0.3"], "2.7755575615628914e-17"),
            (&["5e-324", "5e-324"], "1e-323"),
            (&["1.7976931348623157e308", "1e308", "-1e308"], "1.7976931348623157e308"),
            (&["-0.0"], "0.0"),
            (&["9007199254740992.0", "1"], "9007199254740992.0"),
            (&["9007199254740992.0", "1", "0.25"], "9007199254740994.0"),
            (&["9007199254740994.0", "1"], "9007199254740996.0"),
            (&["-2.5", "1"], "-1.5"),
        ] {
            assert_eq!(sum(texts).as_deref(), Some(total), "{texts:?}");
        }
        assert_eq!(sum(&["1.7976931348623157e308", "1.7976931348623157e308"]), None);
    }

    #[test]
    fn carries_go_all_the_way() {
        let mut total = Sum::new();
        for _ in 0..100_000 {
            total.add(Number::from(u64::MAX));
            total.add(Number::from(i64::MIN));
            total.add(Number::from(i64::MIN));
            total.add(Number::from(1));
        }
        assert_eq!(total.total().and_then(Number::as_whole), Some(0));
    }
}
