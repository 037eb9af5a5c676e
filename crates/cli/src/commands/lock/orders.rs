//! What the holder of a lease tells the guard of its command, through a socket that ends when the holder does.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, recvmsg,
    sendmsg,
};

use super::moment::Moment;

/// One order; on the wire always as many bytes, so that it comes whole or not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// The lease lasts until then.
    Until(Moment),
    /// Pass this signal on to the command.
    Signal(i32),
    /// The lease is lost: end the command.
    Stop,
}

pub(super) const ORDER_BYTES: usize = 17;
pub(super) type Frame = [u8; ORDER_BYTES];

impl Order {
    pub(super) fn to_frame(self) -> Frame {
        let (tag, first, second) = match self {
            Self::Until(Moment { wall, boot }) => (b'u', wall, boot),
            Self::Signal(signal) => (b's', u64::from(signal.unsigned_abs()), 0),
            Self::Stop => (b'x', 0, 0),
        };
        let mut frame = [tag; ORDER_BYTES];
        frame[1..9].copy_from_slice(&first.to_le_bytes());
        frame[9..].copy_from_slice(&second.to_le_bytes());
        frame
    }

    /// The order in `frame`. What is none means that nobody is left who knows what he says: `Stop`.
    pub(super) fn from_frame(frame: &[u8]) -> Self {
        let Ok(frame) = <&Frame>::try_from(frame) else { return Self::Stop };
        let number = |bytes: &[u8]| bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte));
        let (first, second) = (number(&frame[1..9]), number(&frame[9..]));
        match (frame[0], i32::try_from(first)) {
            (b'u', _) => Self::Until(Moment { wall: first, boot: second }),
            (b's', Ok(signal)) => Self::Signal(signal),
            _ => Self::Stop,
        }
    }
}

/// Sends the first order, with the standard input of the command: the guard's own is this socket.
pub(super) fn send_first(socket: impl AsFd, order: Order, input: BorrowedFd<'_>) -> io::Result<()> {
    let inputs = [input];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&inputs));
    sendmsg(socket, &[IoSlice::new(&order.to_frame())], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Receives what [`send_first`] has sent.
pub(super) fn receive_first(socket: impl AsFd) -> io::Result<(Order, OwnedFd)> {
    let mut frame: Frame = [0; ORDER_BYTES];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(socket, &mut [IoSliceMut::new(&mut frame)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let input = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    let order = Order::from_frame(&frame[..received.bytes]);
    input.map(|input| (order, input)).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        os::unix::net::UnixStream,
    };

    use super::*;

    const UNTIL: Order = Order::Until(Moment { wall: 1_700_000_000_123, boot: u64::MAX });

    #[test]
    fn an_order_arrives_as_it_was_given() {
        for order in [UNTIL, Order::Signal(15), Order::Stop] {
            assert_eq!(Order::from_frame(&order.to_frame()), order);
        }
    }

    #[test]
    fn what_is_no_order_stops_the_command() {
        for bytes in [&b""[..], b"u", &[0; ORDER_BYTES], &[b's'; ORDER_BYTES], &[b'u'; ORDER_BYTES + 1]] {
            assert_eq!(Order::from_frame(bytes), Order::Stop, "{bytes:?}");
        }
    }

    #[test]
    fn the_first_order_brings_the_input() {
        let (ours, theirs) = UnixStream::pair().expect("sockets");
        let (mut writer, reader) = UnixStream::pair().expect("sockets");
        send_first(&ours, UNTIL, reader.as_fd()).expect("it is sent");
        let (order, input) = receive_first(&theirs).expect("it is received");
        assert_eq!(order, UNTIL);
        writer.write_all(b"x").expect("somebody listens");
        let mut byte = [0];
        UnixStream::from(input).read_exact(&mut byte).expect("it can be read");
        assert_eq!(&byte, b"x");
        drop(ours);
        assert!(receive_first(&theirs).is_err(), "nobody is there any more");
    }
}
