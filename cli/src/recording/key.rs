//! The keys of a log: a number for each distinct key of a field.

use crate::{address, text, value};
use indexmap::IndexSet;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv6Addr};
use tollgate_policy_file::{Absent, Position};

/// The number of a key in its column.
pub type KeyNumber = u32;

/// The number of an absent key. A recording has fewer keys, because it has fewer rows.
const ABSENT: KeyNumber = KeyNumber::MAX;
/// The text of the key that requests without a key share.
const SHARED_TEXT: &str = "-";

/// How the values of a field become keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueKind {
    /// Each text is a key.
    Text,
    /// Each address is a key, without its port, brackets or zone. Other values are text.
    Address,
    /// The same for values that are an address and nothing else. An address with a port is an error.
    Either,
}

impl ValueKind {
    /// The kind of a field's values. If the file leaves it open, a field named `ip` has addresses, and one
    /// named `path` has none: the path of a CONNECT request is an address with a port.
    pub fn new(is_address: Option<bool>, field: &str) -> Self {
        match is_address {
            Some(true) => ValueKind::Address,
            Some(false) => ValueKind::Text,
            None if field == "ip" => ValueKind::Address,
            None if field == "path" => ValueKind::Text,
            None => ValueKind::Either,
        }
    }
}

/// A field that policies use as key.
#[derive(Debug)]
pub struct KeyColumn {
    /// The field's index among the fields of the log.
    field: usize,
    kind: ValueKind,
    /// Whether requests without a key share one.
    share: bool,
    user: KeyUser,
    texts: IndexSet<Box<str>>,
    absent: u64,
    /// The number of values that are text in a column of addresses.
    not_address: u64,
    /// The first of these values.
    first_not_address: Option<Box<str>>,
}

/// The entry of a policy file that uses a key column.
#[derive(Clone, Copy, Debug)]
pub struct KeyUser {
    /// The index of the policy.
    pub policy: usize,
    /// The entry: "key" or "absent".
    pub entry: &'static str,
    /// The position of the entry's value.
    pub position: Position,
}

/// A value that needs `address = true` or `address = false` in the policy file.
#[derive(Debug)]
pub struct Undecided {
    /// The index of the field.
    pub field: usize,
    /// The start of the value.
    pub value: String,
    /// The first entry that uses the field in this way.
    pub user: KeyUser,
}

impl KeyColumn {
    /// Creates a column without keys.
    pub fn new(field: usize, kind: ValueKind, absent: &Absent, user: KeyUser) -> Self {
        KeyColumn {
            field,
            kind,
            share: *absent == Absent::Share,
            user,
            texts: IndexSet::new(),
            absent: 0,
            not_address: 0,
            first_not_address: None,
        }
    }

    /// The field's index among the fields of the log.
    pub fn field(&self) -> usize {
        self.field
    }

    /// Returns whether both columns have the same number for each value.
    pub fn is_same(&self, other: &KeyColumn) -> bool {
        (self.field, self.kind, self.share) == (other.field, other.kind, other.share)
    }

    /// Adds a value, and returns its number. All spellings of an address have the same number, and so have
    /// all addresses of one IPv6 /64 network.
    pub fn add(&mut self, value: &[u8], scratch: &mut String) -> Result<KeyNumber, Undecided> {
        let value = value::trim(value);
        scratch.clear();
        if value::is_absent(value) {
            self.absent += 1;
            if !self.share {
                return Ok(ABSENT);
            }
            scratch.push_str(SHARED_TEXT);
            return Ok(self.number(scratch));
        }
        scratch.push_str(&String::from_utf8_lossy(value));
        let address = match self.kind {
            ValueKind::Text => None,
            ValueKind::Address | ValueKind::Either => address::parse(scratch),
        };
        match address {
            Some(address) if self.kind == ValueKind::Either && !address.is_bare => {
                let value = text::excerpt(value);
                return Err(Undecided { field: self.field, value, user: self.user });
            }
            Some(address) => {
                scratch.clear();
                let written = match address.ip {
                    IpAddr::V4(ip) => write!(scratch, "{ip}"),
                    IpAddr::V6(ip) => write!(scratch, "{}/64", network(ip)),
                };
                debug_assert!(written.is_ok(), "writing to a String cannot fail");
            }
            None if self.kind == ValueKind::Address => {
                self.not_address += 1;
                self.first_not_address.get_or_insert_with(|| scratch.as_str().into());
            }
            None => {}
        }
        Ok(self.number(scratch))
    }

    fn number(&mut self, text: &str) -> KeyNumber {
        let index = match self.texts.get_index_of(text) {
            Some(index) => index,
            None => self.texts.insert_full(text.into()).0,
        };
        // Lossless: there are at most as many keys as rows, and a row fits in 32 bits.
        index as KeyNumber
    }

    /// The number of distinct keys.
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// The text of a key. The key of an IPv6 address is its /64 network.
    pub fn text(&self, index: usize) -> &str {
        self.texts.get_index(index).map_or("", |text| text)
    }

    /// The number of requests without a key.
    pub fn absent(&self) -> u64 {
        self.absent
    }

    /// The number of values that are text in a column of addresses, and the first of them.
    pub fn not_addresses(&self) -> Option<(u64, &str)> {
        self.first_not_address.as_deref().map(|first| (self.not_address, first))
    }
}

/// The index of a key; `None` if it is absent.
pub fn index(number: KeyNumber) -> Option<usize> {
    (number != ABSENT).then_some(number as usize)
}

/// The first 64 bits of an address.
fn network(address: Ipv6Addr) -> Ipv6Addr {
    Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(kind: ValueKind, absent: &Absent) -> impl FnMut(&str) -> Option<KeyNumber> {
        let user = KeyUser { policy: 0, entry: "key", position: Position::default() };
        let (mut column, mut scratch) = (KeyColumn::new(0, kind, absent, user), String::new());
        move |value| column.add(value.as_bytes(), &mut scratch).ok()
    }

    #[test]
    fn spellings_of_one_address_or_network_have_one_number() {
        for kind in [ValueKind::Address, ValueKind::Either] {
            let mut number = column(kind, &Absent::Skip);
            assert_eq!(number("192.0.2.1"), Some(0));
            assert_eq!(number("::ffff:192.0.2.1"), Some(0));
            assert_eq!(number("2001:db8::1"), Some(1));
            assert_eq!(number(" 2001:DB8::2"), Some(1));
            assert_eq!(number("2001:db8:0:1::1"), Some(2));
            assert_eq!(number("host.example"), Some(3));
            let with_port = number("192.0.2.1:80");
            assert_eq!(with_port, Some(0).filter(|_| kind == ValueKind::Address));
        }
        let mut number = column(ValueKind::Text, &Absent::Skip);
        let texts = ["2001:db8::1", "2001:db8::2", "192.0.2.1", "192.0.2.1:80"].map(&mut number);
        assert_eq!(texts, [Some(0), Some(1), Some(2), Some(3)]);
    }

    #[test]
    fn an_absent_key_has_no_index_unless_it_is_shared() {
        let mut number = column(ValueKind::Text, &Absent::Skip);
        assert_eq!(number(" -").map(index), Some(None));
        assert_eq!(number("a").map(index), Some(Some(0)));
        let mut number = column(ValueKind::Text, &Absent::Share);
        assert_eq!(["a", "", "null", "-"].map(&mut number), [Some(0), Some(1), Some(1), Some(1)]);
    }
}
