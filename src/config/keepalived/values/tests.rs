//! Addresses as keepalived writes them.

use super::*;

#[test]
fn a_range_is_one_address_or_several() {
    for (text, first, last, count) in [
        ("10.0.0.1", "10.0.0.1", "10.0.0.1", 1),
        ("10.0.0.1-9", "10.0.0.1", "10.0.0.9", 9),
        ("10.0.0.250-10.0.1.5", "10.0.0.250", "10.0.1.5", 12),
        ("10.0.0.8/29", "10.0.0.8", "10.0.0.15", 8),
        ("2001:db8::1", "2001:db8::1", "2001:db8::1", 1),
        ("2001:db8::9-1f", "2001:db8::9", "2001:db8::1f", 23),
        (
            "2001:db8::ff-2001:db8::101",
            "2001:db8::ff",
            "2001:db8::101",
            3,
        ),
        ("2001:db8::/126", "2001:db8::", "2001:db8::3", 4),
    ] {
        let range = Range::parse(text).unwrap();
        assert_eq!(range.first, first.parse::<IpAddr>().unwrap(), "{text}");
        assert_eq!(range.last, last.parse::<IpAddr>().unwrap(), "{text}");
        assert_eq!(range.len(), count, "{text}");
        let addresses: Vec<_> = range.addresses().collect();
        assert_eq!(addresses.len(), usize::try_from(count).unwrap());
        assert_eq!(addresses.last(), Some(&range.last));
    }
    assert_eq!(Range::parse("::/1").unwrap().len(), 1 << 127);
}

#[test]
fn what_is_no_range_is_told() {
    for text in [
        "10.0.0.9-1",
        "10.0.0.1-1",
        "10.0.0.1-256",
        "10.0.0.1-",
        "10.0.0.1-x",
        "10.0.0.1-2001:db8::1",
        "2001:db8::1-10.0.0.1",
        "2001:db8::1-1ffff",
        "10.0.0.9/29",
        "10.0.0.8/0",
        "10.0.0.8/33",
        "10.0.0.8/x",
        "x",
        "",
    ] {
        assert!(Range::parse(text).is_err(), "{text}");
    }
}
