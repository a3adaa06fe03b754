//! The parts of ftplb that need no sockets, as pieces of work that are timed by the bench `parts` and counted
//! by `instructions`: the parsers and the session machine.

mod machine;
mod parsers;

/// A piece of work that can be done again and again.
pub(crate) struct Work {
    pub(crate) name: &'static str,
    /// Does it once.
    pub(crate) run: Box<dyn FnMut()>,
}

impl Work {
    fn new(name: &'static str, run: impl FnMut() + 'static) -> Self {
        Self {
            name,
            run: Box::new(run),
        }
    }
}

/// Every piece.
pub(crate) fn all() -> Vec<Work> {
    parsers::all().into_iter().chain(machine::all()).collect()
}
