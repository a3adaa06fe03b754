//! Names of configuration keys, as people write them: `pool[0].backend[1].address`.

use std::fmt;

/// The way from the root of the configuration to one value.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Key(Vec<Step>);

/// One step of that way.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Step {
    Field(String),
    Index(usize),
}

impl Key {
    /// The key of `name` at the root.
    pub fn of(name: &str) -> Self {
        Self::default().field(name)
    }

    /// The key of `name` in the table with this key.
    #[must_use]
    pub fn field(&self, name: &str) -> Self {
        self.with(Step::Field(name.to_owned()))
    }

    /// The key of the element `index`, counted from 0, of the list with this key.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.with(Step::Index(index))
    }

    pub(super) fn steps(&self) -> &[Step] {
        &self.0
    }

    fn with(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Field(name) => {
                    if place > 0 {
                        f.write_str(".")?;
                    }
                    let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
                    // A quoted TOML key holds any character, a line break included.
                    if !name.is_empty() && name.chars().all(bare) {
                        f.write_str(name)?;
                    } else {
                        write!(f, "{name:?}")?;
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_shown_as_people_write_it() {
        let key = Key::of("pool")
            .index(0)
            .field("backend")
            .index(1)
            .field("address");
        assert_eq!(key.to_string(), "pool[0].backend[1].address");
        assert_eq!(
            Key::of("limits").field("a.b\n").to_string(),
            "limits.\"a.b\\n\""
        );
        assert_eq!(Key::default().to_string(), "");
    }
}
