//! Pseudo-terminals (pty(7), ioctl_tty(2)).

use std::{
    mem,
    os::fd::{AsRawFd, BorrowedFd, OwnedFd},
};

use nix::errno::Errno;

use super::{check, check_fd};

/// `TIOCSPTLCK`: lets the other end of the pseudo-terminal be opened.
pub fn pty_unlock(controller: BorrowedFd) -> Result<(), Errno> {
    let unlocked: libc::c_int = 0;
    // SAFETY: the request reads one int.
    check(unsafe { libc::ioctl(controller.as_raw_fd(), libc::TIOCSPTLCK, &raw const unlocked) }.into()).map(drop)
}

/// `TIOCGPTPEER` (Linux 4.13): opens the program's end without a path, which a hostile /dev/pts could bend.
pub fn pty_peer(controller: BorrowedFd) -> Result<OwnedFd, Errno> {
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: takes integers only.
    check_fd(unsafe { libc::ioctl(controller.as_raw_fd(), libc::TIOCGPTPEER, flags) }.into())
}

/// `TIOCSCTTY`: makes the terminal the controlling one of this session leader.
pub fn set_controlling_terminal(terminal: BorrowedFd) -> Result<(), Errno> {
    // SAFETY: takes integers only.
    check(unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSCTTY, 0) }.into()).map(drop)
}

/// `TIOCGWINSZ`: rows and columns, in characters.
pub fn window_size(terminal: BorrowedFd) -> Result<(u16, u16), Errno> {
    // SAFETY: winsize is four integers, for which all zeros is a value.
    let mut size: libc::winsize = unsafe { mem::zeroed() };
    // SAFETY: the request writes one winsize.
    check(unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) }.into())?;
    Ok((size.ws_row, size.ws_col))
}

/// `TIOCSWINSZ`: sets rows and columns; the foreground process group gets SIGWINCH.
pub fn set_window_size(terminal: BorrowedFd, (rows, columns): (u16, u16)) -> Result<(), Errno> {
    let size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the request reads one winsize.
    check(unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) }.into()).map(drop)
}
