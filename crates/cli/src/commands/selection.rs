//! Which keys: the arguments that `list`, `scan`, `count` and others share.

use clap::Args;
use larder::{Glob, Key, Result, Select};

/// Keys by prefix or by glob; all of them when neither is given.
#[derive(Args, Clone, Debug)]
pub(crate) struct Keys {
    /// Only keys that begin with this text, taken literally
    pub(crate) prefix: Option<String>,

    /// Only keys that match this pattern, in which * stands for any text
    #[arg(long, value_name = "PATTERN", conflicts_with = "prefix")]
    pub(crate) glob: Option<String>,
}

impl Keys {
    pub(crate) fn select(&self) -> Result<Select> {
        Ok(match (&self.prefix, &self.glob) {
            (_, Some(pattern)) => Select::glob(Glob::new(pattern.as_str())?),
            (Some(prefix), None) => Select::prefix(prefix),
            (None, None) => Select::all(),
        })
    }
}

/// Which part of the selected keys, and in which order.
#[derive(Args, Clone, Debug)]
pub(crate) struct Window {
    /// At most so many; without it all of them
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,

    /// Without the first so many
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) offset: usize,

    /// Only what comes after this key, whether it is there or not
    #[arg(long, value_name = "KEY")]
    pub(crate) after: Option<String>,

    /// From the last key to the first
    #[arg(long)]
    pub(crate) reverse: bool,
}

impl Window {
    /// The window on `select`; the limit is left to who pages.
    pub(crate) fn on(&self, mut select: Select) -> Result<Select> {
        select = select.offset(self.offset);
        if let Some(after) = &self.after {
            select = select.after(Key::new(after.as_str())?);
        }
        Ok(if self.reverse { select.reverse() } else { select })
    }

    /// As [`Window::on`], with the limit.
    pub(crate) fn limited(&self, select: Select) -> Result<Select> {
        let select = self.on(select)?;
        Ok(match self.limit {
            Some(limit) => select.limit(limit),
            None => select,
        })
    }
}
