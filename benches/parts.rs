//! The time that the parts of ftplb take, by criterion: `cargo bench --bench parts [-- PART-OF-A-NAME]`.

mod work;

use criterion::{Criterion, criterion_group, criterion_main};

fn parts(c: &mut Criterion) {
    for mut work in work::all() {
        c.bench_function(work.name, |b| b.iter(&mut work.run));
    }
}

criterion_group!(benches, parts);
criterion_main!(benches);
