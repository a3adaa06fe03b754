//! How a rate is spelled: `"20/s"`, `"600/m burst 50"`.

use std::time::Duration;

use super::super::file::{Node, Value};
use super::super::problem::Mistake;
use crate::limits::Rate;

/// A rate, or `false` for none. Without a burst, as many may come at once as come in the time.
pub(in crate::config) fn rate(node: &Node) -> Result<Option<Rate>, Mistake> {
    const HINT: &str = "so many a second, minute or hour, from 1 to 1000000, and how many at once: \
                        \"20/s\", \"600/m burst 50\"; or false";
    let mistake = || Mistake::new(format!("{} is no rate", node.value), HINT);
    match &node.value {
        Value::Boolean(false) => Ok(None),
        Value::Text(text) => parse(text).map(Some).ok_or_else(mistake),
        _ => Err(mistake()),
    }
}

/// A rate as [`rate`] reads it back.
pub(in crate::config) fn rate_text(rate: Rate) -> String {
    let unit = UNITS.iter().find(|(_, per)| *per == rate.per);
    let unit = unit.expect("a rate has one of the units").0;
    format!("{}/{unit} burst {}", rate.events, rate.burst)
}

fn parse(text: &str) -> Option<Rate> {
    let mut words = text.split_whitespace();
    let (events, unit) = words.next()?.split_once('/')?;
    let (_, per) = UNITS.iter().find(|(name, _)| *name == unit)?;
    let events = number(events)?;
    let burst = match (words.next(), words.next(), words.next()) {
        (None, ..) => events,
        (Some("burst"), Some(burst), None) => number(burst)?,
        _ => return None,
    };
    Some(Rate {
        events,
        per: *per,
        burst,
    })
}

fn number(text: &str) -> Option<u32> {
    let number = text.parse().ok()?;
    (1..=1_000_000).contains(&number).then_some(number)
}

const UNITS: [(&str, Duration); 3] = [
    ("s", Duration::from_secs(1)),
    ("m", Duration::from_mins(1)),
    ("h", Duration::from_hours(1)),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_read_with_its_unit_and_burst_and_written_back() {
        for (text, written) in [
            ("20/s", "20/s burst 20"),
            ("600/m burst 50", "600/m burst 50"),
            (" 1/h  burst  1000000 ", "1/h burst 1000000"),
        ] {
            let rate = parse(text).unwrap();
            assert_eq!(rate_text(rate), written);
            assert_eq!(parse(written), Some(rate));
        }
        for wrong in [
            "",
            "20",
            "/s",
            "20/",
            "20/d",
            "0/s",
            "-1/s",
            "1.5/s",
            "1000001/s",
            "20/s burst",
            "20/s burst 0",
            "20/s 50",
            "20/s burst 5 5",
            "20 /s",
        ] {
            assert_eq!(parse(wrong), None, "{wrong:?}");
        }
    }
}
