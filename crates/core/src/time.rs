//! Moments: milliseconds since the epoch, UTC.

use std::{fmt, time::Duration};

use crate::error::{Error, Result};

/// A moment, in whole milliseconds since 1970-01-01T00:00:00Z, up to the end of the year 9999.
///
/// Displayed as RFC 3339 with three fractional digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// 1970-01-01T00:00:00.000Z.
    pub const EPOCH: Self = Self(0);
    /// 9999-12-31T23:59:59.999Z, minus the day that every offset fits into.
    pub const MAX: Self = Self(253_402_207_200_000 - 1);

    /// The moment `millis` milliseconds after the epoch.
    ///
    /// # Errors
    /// `Invalid` before the epoch and after [`Timestamp::MAX`].
    pub fn from_millis(millis: i64) -> Result<Self> {
        let moment = Self::from_millis_saturating(millis);
        if moment.0 != millis {
            return Err(Error::invalid(format!("a time of {millis} ms is outside 0..={}", Self::MAX.0)));
        }
        Ok(moment)
    }

    /// The nearest moment to `millis` milliseconds after the epoch.
    pub const fn from_millis_saturating(millis: i64) -> Self {
        if millis < 0 {
            Self(0)
        } else if millis > Self::MAX.0 {
            Self::MAX
        } else {
            Self(millis)
        }
    }

    /// Milliseconds since the epoch; never negative.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// `duration` later; what is beyond [`Timestamp::MAX`] is that. Fractions of a millisecond are rounded up, so that
    /// nothing expires before its time.
    pub fn after(self, duration: Duration) -> Self {
        let millis = i64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(i64::MAX);
        Self::from_millis_saturating(self.0.saturating_add(millis))
    }

    /// `duration` earlier; what is before the epoch is the epoch.
    pub fn before(self, duration: Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self::from_millis_saturating(self.0.saturating_sub(millis))
    }

    /// The moment written as RFC 3339, with any offset; fractions of a millisecond are cut off.
    ///
    /// # Errors
    /// `Invalid` when `text` is not RFC 3339 or out of range.
    pub fn parse(text: &str) -> Result<Self> {
        let faulty = || Error::invalid("a time is written as in RFC 3339, such as 2030-01-31T12:00:00Z");
        let (seconds, fraction, offset) = rfc3339(text).ok_or_else(faulty)?;
        // Cut before it is read: jiff takes nine digits at most, and rounds towards the epoch from both sides.
        let millis = &fraction[..fraction.len().min(4)];
        let moment: jiff::Timestamp =
            format!("{seconds}{millis}{offset}").parse().map_err(|error| faulty().caused_by(error))?;
        Self::from_millis(moment.as_millisecond())
    }
}

/// Date and time to the second, fraction with its point or nothing, and offset, when `text` has the shape of RFC 3339.
///
/// jiff reads more than that: other forms of ISO 8601, and time zones by name.
fn rfc3339(text: &str) -> Option<(&str, &str, &str)> {
    let shaped = |text: &str, shape: &str| {
        let alike = |(byte, wanted): (u8, u8)| if wanted == b'0' { byte.is_ascii_digit() } else { byte == wanted };
        text.len() == shape.len() && text.to_ascii_uppercase().bytes().zip(shape.bytes()).all(alike)
    };
    let (seconds, rest) = text.split_at_checked("0000-00-00T00:00:00".len())?;
    let digits = rest.strip_prefix('.').map(|rest| rest.bytes().take_while(u8::is_ascii_digit).count());
    if digits == Some(0) {
        return None;
    }
    let (fraction, offset) = rest.split_at(digits.map_or(0, |digits| digits + 1));
    let utc = offset.eq_ignore_ascii_case("Z");
    let within_a_day = || (shaped(offset, "+00:00") || shaped(offset, "-00:00")) && offset[1..] < *"24";
    (shaped(seconds, "0000-00-00T00:00:00") && (utc || within_a_day())).then_some((seconds, fraction, offset))
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = jiff::Timestamp::from_millisecond(self.0).expect("a timestamp is within the years that jiff knows");
        write!(f, "{moment:.3}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_number_agree() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1, "1970-01-01T00:00:00.001Z"),
            (1_700_000_000_120, "2023-11-14T22:13:20.120Z"),
            (Timestamp::MAX.0, "9999-12-30T21:59:59.999Z"),
        ] {
            let moment = Timestamp::from_millis(millis).expect("in range");
            assert_eq!(moment.to_string(), text);
            assert_eq!(Timestamp::parse(text).ok(), Some(moment));
        }
        assert!(Timestamp::parse("2030-01-31").is_err());
        assert!(Timestamp::from_millis(-1).is_err() && Timestamp::from_millis(i64::MAX).is_err());
    }

    #[test]
    fn only_rfc_3339_is_read() {
        for (text, millis) in [
            ("2030-01-31T12:00:00Z", 1_896_091_200_000),
            ("2030-01-31t12:00:00z", 1_896_091_200_000),
            ("2030-01-31T13:30:00.5+01:30", 1_896_091_200_500),
            ("2030-01-31T11:59:59.9999999999999-00:00", 1_896_091_199_999),
            ("2030-01-30T12:01:00-23:59", 1_896_091_200_000),
            ("1970-01-01T00:00:00.0000001Z", 0),
        ] {
            assert_eq!(Timestamp::parse(text).map(Timestamp::as_millis).ok(), Some(millis), "{text}");
        }
        for bad in [
            "",
            "2030-01-31",
            "20300131T120000Z",
            "2030-01-31 12:00:00Z",
            "2030-01-31T12:00Z",
            "2030-01-31T12Z",
            "2030-01-31T12:00:00",
            "2030-01-31T12:00:00,5Z",
            "2030-01-31T12:00:00.Z",
            "2030-01-31T12:00:00+01",
            "2030-01-31T12:00:00+0100",
            "2030-01-31T12:00:00+01:00:00",
            "2030-01-31T12:00:00+24:00",
            "2030-01-31T12:00:00+01:60",
            "2030-01-31T12:00:00\u{2212}01:00",
            "2030-01-31T12:00:00Z[UTC]",
            "2030-01-31T12:00:00[UTC]",
            "+002030-01-31T12:00:00Z",
            "2030-02-30T12:00:00Z",
            "2030-01-31T24:00:00Z",
            "1969-12-31T23:59:59.9999Z",
            " 2030-01-31T12:00:00Z",
            "2030-01-31T12:00:00Z ",
        ] {
            let read = Timestamp::parse(bad).map_err(|error| error.kind());
            assert_eq!(read, Err(crate::error::ErrorKind::Invalid), "{bad:?}");
        }
    }

    #[test]
    fn a_fraction_of_a_millisecond_is_not_lost() {
        assert_eq!(Timestamp::EPOCH.after(Duration::from_micros(1)).as_millis(), 1);
        assert_eq!(Timestamp::MAX.after(Duration::MAX), Timestamp::MAX);
    }
}
