//! Numbers of JSON, compared as what they are: exactly, over all of i64, u64 and f64.

use std::{cmp::Ordering, fmt};

/// A number of JSON: an i64, a u64 or a finite f64. Two are equal when they stand for the same number, however written.
#[derive(Clone, Copy, Debug)]
pub struct Number(Form);

#[derive(Clone, Copy, Debug)]
enum Form {
    Whole(i128),
    /// Finite.
    Float(f64),
}

impl Number {
    /// The number that `float` is, unless it is none.
    pub fn from_f64(float: f64) -> Option<Self> {
        float.is_finite().then_some(Self(Form::Float(float)))
    }

    /// The whole number `whole`, where an i64 or a u64 holds it.
    pub(super) fn from_i128(whole: i128) -> Option<Self> {
        (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&whole).then_some(Self(Form::Whole(whole)))
    }

    /// The number that `text` is in JSON.
    pub(super) fn parse(text: &str) -> Option<Self> {
        // As parsers read it: minus zero is a float, and so is a whole number that neither integer holds.
        if text != "-0" {
            if let Ok(whole) = text.parse::<i64>() {
                return Some(whole.into());
            }
            if let Ok(whole) = text.parse::<u64>() {
                return Some(whole.into());
            }
        }
        text.parse().ok().and_then(Self::from_f64)
    }

    /// The whole number it was written as, if it was written as one.
    pub fn as_whole(self) -> Option<i128> {
        match self.0 {
            Form::Whole(whole) => Some(whole),
            Form::Float(_) => None,
        }
    }

    /// The same number in one form: whole where a whole number stands for it.
    pub(super) fn canonical(self) -> Self {
        match self.0 {
            Form::Float(float) if float.fract() == 0.0 && float.abs() < 2e19 => {
                Self::from_i128(float as i128).unwrap_or(self)
            }
            _ => self,
        }
    }

    /// The nearest f64.
    pub fn as_f64(self) -> f64 {
        match self.0 {
            Form::Whole(whole) => whole as f64,
            Form::Float(float) => float,
        }
    }
}

macro_rules! whole {
    ($($type:ty),*) => { $(
        impl From<$type> for Number {
            fn from(whole: $type) -> Self {
                Self(Form::Whole(whole.into()))
            }
        }
    )* };
}
whole!(i8, i16, i32, i64, u8, u16, u32, u64);

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.0, other.0) {
            (Form::Whole(a), Form::Whole(b)) => a.cmp(&b),
            // Neither is NaN, and the two zeros are one number.
            (Form::Float(a), Form::Float(b)) => a.partial_cmp(&b).unwrap_or(Ordering::Equal),
            (Form::Whole(a), Form::Float(b)) => compare(a, b),
            (Form::Float(a), Form::Whole(b)) => compare(b, a).reverse(),
        }
    }
}

/// A whole number of at most 64 bits with a finite float: turned into the other's kind, either would lose something.
fn compare(whole: i128, float: f64) -> Ordering {
    const BEYOND: f64 = 36_893_488_147_419_103_232.0; // 2^65, far beyond every whole number here, and exact
    if float >= BEYOND {
        return Ordering::Less;
    }
    if float <= -BEYOND {
        return Ordering::Greater;
    }
    let rest = || 0.0_f64.partial_cmp(&float.fract()).unwrap_or(Ordering::Equal);
    whole.cmp(&(float.trunc() as i128)).then_with(rest)
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Number {}

/// As it stands in JSON; a float is written so that the same float is read back.
impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Form::Whole(whole) => write!(f, "{whole}"),
            Form::Float(float) => write!(f, "{float:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Number {
        Number::parse(text).expect("a number")
    }

    /// In this order, and every one smaller than the next. An f64 holds no 2^53 + 1: whoever compares as f64 fails here.
    #[test]
    fn numbers_compare_exactly() {
        let ascending = [
            "-1.7976931348623157e308",
            "-9223372036854775809",
            "-9223372036854775807",
            "-1.5",
            "-1",
            "-5e-324",
            "0",
            "5e-324",
            "0.1",
            "1",
            "9007199254740992",
            "9007199254740993",
            "9007199254740994.0",
            "9223372036854775807",
            "9223372036854775808",
            "18446744073709551614",
            "18446744073709551615",
            "18446744073709551616",
            "1e300",
        ];
        for (a, text) in ascending.iter().enumerate() {
            for (b, other) in ascending.iter().enumerate() {
                assert_eq!(number(text).cmp(&number(other)), a.cmp(&b), "{text} {other}");
            }
        }
    }

    #[test]
    fn one_number_has_many_forms() {
        for (text, other) in [
            ("1", "1.0"),
            ("1e2", "100"),
            ("-0", "0"),
            ("-0.0", "0"),
            ("9007199254740992", "9007199254740992.0"),
            ("-9223372036854775808", "-9.223372036854775808e18"),
            ("1e-400", "0"),
        ] {
            assert_eq!(number(text), number(other), "{text} {other}");
        }
        assert!(Number::parse("1e999").is_none() && Number::from_f64(f64::NAN).is_none());
        assert_eq!(number("1e300").to_string(), "1e300");
        assert_eq!(number("100.0").to_string(), "100.0");
    }
}
