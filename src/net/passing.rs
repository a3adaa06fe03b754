//! Descriptors that go from one process to another beside bytes, over a Unix stream socket (`SCM_RIGHTS`,
//! unix(7)).

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// Descriptors of one message. The kernel takes 253.
pub const MOST: usize = 128;

/// Sends `bytes`, and `descriptors` with the first of them, at most [`MOST`]; returns how many bytes the socket
/// took.
pub fn send(socket: impl AsFd, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<usize> {
    if descriptors.len() > MOST {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    // There is room for as many as are allowed.
    if !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let bytes = [IoSlice::new(bytes)];
    Ok(sendmsg(
        socket,
        &bytes,
        &mut ancillary,
        SendFlags::NOSIGNAL,
    )?)
}

/// Receives into `bytes` as much as there is, and adds to `descriptors` what came with it. They are not
/// inherited by programs that are run. Returns how many bytes there were; 0 at the end.
pub fn receive(
    socket: impl AsFd,
    bytes: &mut [u8],
    descriptors: &mut Vec<OwnedFd>,
) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut bytes = [IoSliceMut::new(bytes)];
    let received = recvmsg(socket, &mut bytes, &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(more) = message {
            descriptors.extend(more);
        }
    }
    if received.flags.contains(ReturnFlags::CTRUNC) {
        return Err(io::Error::other(
            "descriptors were lost: the limit on open files is too low",
        ));
    }
    Ok(received.bytes)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_listener_that_was_passed_accepts_who_waited_for_the_one_who_passed_it() {
        let (here, there) = UnixStream::pair().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert_eq!(send(&here, b"one\n", &[listener.as_fd()]).unwrap(), 4);
        drop(listener);
        let (mut bytes, mut descriptors) = ([0; 16], Vec::new());
        assert_eq!(receive(&there, &mut bytes, &mut descriptors).unwrap(), 4);
        assert_eq!(&bytes[..4], b"one\n");
        let passed = TcpListener::from(descriptors.pop().unwrap());
        passed.accept().unwrap().0.write_all(b"hello").unwrap();
        let mut said = String::new();
        client.read_to_string(&mut said).unwrap();
        assert_eq!(said, "hello");
    }

    #[test]
    fn bytes_alone_pass_as_well_and_too_many_descriptors_do_not() {
        let (here, there) = UnixStream::pair().unwrap();
        let many = vec![here.as_fd(); MOST + 1];
        let error = send(&here, b"x", &many).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        send(&here, b"x", &[]).unwrap();
        send(&here, b"y", &many[..MOST]).unwrap();
        let mut descriptors = Vec::new();
        let mut receive = || receive(&there, &mut [0; 1], &mut descriptors).unwrap();
        assert_eq!((receive(), receive()), (1, 1));
        assert_eq!(descriptors.len(), MOST);
    }
}
