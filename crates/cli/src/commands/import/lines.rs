//! Lines of bounded length, numbered, from a reader; it does not know what is in them.

use std::io::{self, BufRead, Read as _};

/// Lines, one after another, in a buffer that is used again.
#[derive(Debug)]
pub(super) struct Lines<R> {
    reader: R,
    bytes_max: usize,
    number: u64,
    buffer: Vec<u8>,
    /// Whether the line in the buffer is still to be given out.
    held: bool,
    too_long: bool,
}

/// One line, without the white space around it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'a> {
    pub(super) number: u64,
    /// `None` when the line is longer than is allowed.
    pub(super) text: Option<&'a [u8]>,
}

impl<R: BufRead> Lines<R> {
    /// The lines of `reader`, of which `before` have gone already.
    pub(super) fn new(reader: R, before: u64, bytes_max: usize) -> Self {
        Self { reader, bytes_max, number: before, buffer: Vec::new(), held: false, too_long: false }
    }

    /// The next line that is not blank; `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        while !std::mem::take(&mut self.held) {
            self.buffer.clear();
            let most = self.bytes_max as u64 + 2;
            if (&mut self.reader).take(most).read_until(b'\n', &mut self.buffer)? == 0 {
                return Ok(None);
            }
            self.number += 1;
            self.too_long = self.buffer.len() as u64 == most && self.buffer.last() != Some(&b'\n');
            if self.too_long {
                self.reader.skip_until(b'\n')?;
            }
            self.held = self.too_long || !self.buffer.trim_ascii().is_empty();
        }
        let text = (!self.too_long).then(|| self.buffer.trim_ascii());
        Ok(Some(Line { number: self.number, text }))
    }

    /// As [`Lines::next`], and the line comes again.
    pub(super) fn peek(&mut self) -> io::Result<Option<Line<'_>>> {
        let any = self.next()?.is_some();
        self.held = any;
        let text = (!self.too_long).then(|| self.buffer.trim_ascii());
        Ok(any.then_some(Line { number: self.number, text }))
    }
}
