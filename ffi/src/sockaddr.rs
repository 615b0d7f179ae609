//! The IP address in a `struct sockaddr`.

use std::net::IpAddr;

/// The address in the bytes of a `struct sockaddr` with the family `AF_INET` or `AF_INET6`. `None` for
/// other families, and if the bytes end before the end of the address.
#[cfg(unix)]
pub(crate) fn address(bytes: &[u8]) -> Option<IpAddr> {
    use std::mem::offset_of;
    let family =
        libc::sa_family_t::from_ne_bytes(field(bytes, offset_of!(libc::sockaddr, sa_family))?);
    match i32::from(family) {
        libc::AF_INET => {
            field::<4>(bytes, offset_of!(libc::sockaddr_in, sin_addr)).map(IpAddr::from)
        }
        libc::AF_INET6 => {
            field::<16>(bytes, offset_of!(libc::sockaddr_in6, sin6_addr)).map(IpAddr::from)
        }
        _ => None,
    }
}

/// On other systems, the layout of the struct is not known.
#[cfg(not(unix))]
pub(crate) fn address(_bytes: &[u8]) -> Option<IpAddr> {
    None
}

/// The `N` bytes at `offset`, if there are as many.
#[cfg(unix)]
fn field<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..)?.first_chunk().copied()
}
