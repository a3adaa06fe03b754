//! Finds what a mistyped name was meant to be.

/// The name that is most like `written`, if any is so like it that a slip explains the difference.
pub(super) fn similar<'n>(written: &str, names: &[&'n str]) -> Option<&'n str> {
    let slips = 1 + written.len() / 4;
    let length = written.chars().count();
    names
        .iter()
        // Each character too many is a slip of its own: most names need no closer look.
        .filter(|name| name.chars().count().abs_diff(length) <= slips)
        .map(|name| (distance(written, name), *name))
        .min()
        .filter(|(distance, _)| *distance <= slips)
        .map(|(_, name)| name)
}

/// How many characters must be put in, taken out or replaced to make `a` into `b` (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (above, left) in a.chars().enumerate() {
        let mut diagonal = above;
        let mut before = above + 1;
        for (cell, right) in row
            .iter_mut()
            .zip(std::iter::once(None).chain(b.chars().map(Some)))
        {
            let Some(right) = right else {
                *cell = before;
                continue;
            };
            let replaced = diagonal + usize::from(left != right);
            diagonal = *cell;
            *cell = replaced.min(*cell + 1).min(before + 1);
            before = *cell;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_another_word_is_not() {
        let names = ["address", "passive_ports", "pool", "port_address"];
        for (written, meant) in [
            ("adress", Some("address")),
            ("passive_port", Some("passive_ports")),
            ("passiv_prots", Some("passive_ports")),
            ("pools", Some("pool")),
            ("colour", None),
            ("", None),
            ("ääääääää", None),
        ] {
            assert_eq!(similar(written, &names), meant, "{written}");
        }
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", ""), 3);
    }
}
