//! The representation of the data (RFC 959 §3.1.1), as TYPE sets it: whether line ends were translated.

/// What TYPE was last set to.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Representation {
    /// Text, with CRLF for line ends on the way. What a session begins with.
    #[default]
    Ascii,
    /// Text in EBCDIC.
    Ebcdic,
    /// Bytes as they are.
    Image,
    /// Bytes of another size, which are bytes as they are where a byte has eight bits.
    Local,
}

impl Representation {
    /// Reads the argument of TYPE. Its second word changes nothing that can be seen from here.
    pub fn parse(argument: &[u8]) -> Option<Self> {
        let word = argument.split(|byte| *byte == b' ').next()?;
        match word.to_ascii_uppercase().as_slice() {
            b"A" => Some(Self::Ascii),
            b"E" => Some(Self::Ebcdic),
            b"I" => Some(Self::Image),
            // Servers take `L8` too.
            [b'L', ..] => Some(Self::Local),
            _ => None,
        }
    }

    /// The label in logs: as TYPE has it.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Ascii => "A",
            Self::Ebcdic => "E",
            Self::Image => "I",
            Self::Local => "L",
        }
    }

    /// Whether it is text, whose length on the way is not that of the file.
    pub const fn is_text(self) -> bool {
        matches!(self, Self::Ascii | Self::Ebcdic)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_argument_of_type_is_read_in_every_spelling() {
        for (argument, is) in [
            (&b"I"[..], Some(Representation::Image)),
            (b"i", Some(Representation::Image)),
            (b"A", Some(Representation::Ascii)),
            (b"a n", Some(Representation::Ascii)),
            (b"E T", Some(Representation::Ebcdic)),
            (b"L 8", Some(Representation::Local)),
            (b"L8", Some(Representation::Local)),
            (b"", None),
            (b"IMAGE", None),
            (b" I", None),
        ] {
            assert_eq!(
                Representation::parse(argument),
                is,
                "{}",
                argument.escape_ascii()
            );
        }
    }
}
