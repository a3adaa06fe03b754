//! House rules that the compiler does not know: floors, purity, size, and documents that tell the truth.
//!
//! It reads the files of the repository as text and knows nothing of Rust's grammar beyond that. Where a rule
//! looks at code, comments and the tests at the end of a file do not count.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Each floor may name itself and the floors before it (ARCHITECTURE.md).
const FLOORS: [&[&str]; 6] = [
    &["ftp", "balance", "health", "limits", "ending", "diagnosis"],
    &["session", "config", "net", "telemetry", "privilege"],
    &["proxy", "ops"],
    &["app"],
    &["cli"],
    &["main", "lib"],
];

/// What has no input, output, clock or randomness: the session and the floor below it.
const PURE: [&str; 7] = [
    "session",
    "ftp",
    "balance",
    "health",
    "limits",
    "ending",
    "diagnosis",
];

/// What would bring one of these in. Addresses of `std::net` and an `Instant` that is an argument are values.
const IMPURE: [&str; 10] = [
    "Instant::now",
    "SystemTime",
    "TcpListener",
    "TcpStream",
    "ToSocketAddrs",
    "UdpSocket",
    "rand::",
    "socket2",
    "std::fs",
    "tokio",
];

/// Lines of code in one file.
const LONGEST_FILE: usize = 400;

/// What is set, stepped and corrected while ftplb runs. Waits go by `Instant`, which is monotonic.
const WALL_CLOCKS: [&str; 7] = [
    "SystemTime",
    "UNIX_EPOCH",
    "CLOCK_REALTIME",
    "Utc::now",
    "Local::now",
    "Timestamp::now",
    "Zoned::now",
];

/// How many bad inputs the requirements list.
const BAD_INPUTS: usize = 92;

/// What one can keep in mind of the whole.
const LONGEST_ARCHITECTURE: usize = 150;

#[test]
fn no_file_names_a_floor_above_its_own() {
    let mut wrong = Vec::new();
    for source in sources() {
        let Some(floor) = floor_of(&source.module) else {
            wrong.push(format!("{}: `{}` has no floor", source.path, source.module));
            continue;
        };
        if source.code.contains("crate::{") {
            wrong.push(format!(
                "{}: one `use crate::` a module, please",
                source.path
            ));
        }
        for name in names_after(&source.code, "crate::") {
            if floor_of(&name).is_none_or(|other| other > floor) {
                wrong.push(format!("{}: names crate::{name}", source.path));
            }
        }
    }
    assert_none(&wrong);
}

#[test]
fn modules_of_one_floor_do_not_name_each_other_in_turn() {
    let mut named: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in sources() {
        let found = names_after(&source.code, "crate::");
        named.entry(source.module).or_default().extend(found);
    }
    let knows = |one: &str, other: &str| named.get(one).is_some_and(|all| all.contains(other));
    let mut wrong = Vec::new();
    for floor in FLOORS {
        for one in floor {
            let others = floor.iter().filter(|other| *other > one);
            let back = others.filter(|other| knows(one, other) && knows(other, one));
            wrong.extend(back.map(|other| format!("{one} and {other} name each other")));
        }
    }
    assert_none(&wrong);
}

#[test]
fn the_session_and_the_floor_below_have_no_socket_clock_or_chance() {
    let mut wrong = Vec::new();
    for source in sources() {
        if !PURE.contains(&source.module.as_str()) {
            continue;
        }
        let found = IMPURE.iter().filter(|word| source.code.contains(**word));
        wrong.extend(found.map(|word| format!("{}: {word}", source.path)));
    }
    assert_none(&wrong);
}

#[test]
fn no_file_has_more_code_than_one_sitting_reads() {
    let long = sources().into_iter().filter_map(|source| {
        let lines = source.code.lines().count();
        (lines > LONGEST_FILE).then(|| format!("{}: {lines} lines of code", source.path))
    });
    assert_none(&long.collect::<Vec<_>>());
}

#[test]
fn nothing_unfinished_is_left_in_the_code() {
    let mut wrong = Vec::new();
    for source in sources() {
        let found = ["todo!", "unimplemented!", "dbg!"];
        let found = found.iter().filter(|word| source.code.contains(**word));
        wrong.extend(found.map(|word| format!("{}: {word}", source.path)));
    }
    assert_none(&wrong);
}

#[test]
fn unsafe_code_is_forbidden_in_every_crate_of_the_repository() {
    let mut wrong = Vec::new();
    // The lint holds for the library, the program, tests and benches; nothing in them can lift it.
    let lint = "\n[lints.rust]\n";
    let manifest = read("Cargo.toml");
    let lints = manifest.split_once(lint).map_or("", |(_, lints)| lints);
    if !lints.lines().any(|line| line == "unsafe_code = \"forbid\"") {
        wrong.push("Cargo.toml does not forbid unsafe code".to_owned());
    }
    // The fuzz targets are a crate of their own, and what is made of them by a macro is not ours.
    for path in files("fuzz")
        .into_iter()
        .filter(|path| has_ending(path, "rs"))
    {
        if code_of(&read(&path)).contains("unsafe") {
            wrong.push(path);
        }
    }
    assert_none(&wrong);
}

#[test]
fn every_module_begins_by_saying_what_it_is() {
    let silent = sources()
        .into_iter()
        .filter(|source| !source.text.starts_with("//!"))
        .map(|source| source.path);
    assert_none(&silent.collect::<Vec<_>>());
}

#[test]
fn every_side_phase_and_cause_is_documented_and_no_other() {
    let (code, page) = (read("src/ending.rs"), read("docs/endings.md"));
    for (kind, heading) in [("Side", "Sides"), ("Phase", "Phases"), ("Cause", "Causes")] {
        let labels = labels_of(&code, kind);
        let documented = first_cells(section(&page, heading));
        assert_eq!(documented, labels, "docs/endings.md, {heading}");
    }
}

#[test]
fn every_metric_is_documented_with_its_type_and_no_other() {
    let mut families = BTreeSet::new();
    for source in sources() {
        if source.path.starts_with("src/telemetry/metrics") {
            families.extend(literals(&source.code, "ftplb_"));
            families.extend(literals(&source.code, "process_"));
        }
    }
    let page = read("docs/metrics.md");
    assert_eq!(first_cells(&page), families, "docs/metrics.md");
    for row in page.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [_, name, kind, ..] = cells.as_slice() else {
            continue;
        };
        let is_counter = name.trim_matches('`').ends_with("_total");
        assert_eq!(is_counter, *kind == "counter", "docs/metrics.md: {name}");
    }
}

#[test]
fn every_diagnosis_is_documented_and_no_other() {
    let labels = labels_of(&read("src/diagnosis.rs"), "Diagnosis");
    let page = read("docs/metrics.md");
    let documented: BTreeSet<String> = page
        .lines()
        .filter_map(|line| line.strip_prefix("- `"))
        .filter_map(|rest| rest.split('`').next())
        .map(str::to_owned)
        .collect();
    assert_eq!(documented, labels, "docs/metrics.md");
}

#[test]
fn every_test_that_a_document_names_exists() {
    let mut functions = BTreeSet::new();
    for path in files("src").into_iter().chain(files("tests")) {
        if has_ending(&path, "rs") {
            functions.extend(names_after(&read(&path), "fn "));
        }
    }
    // Below so many, the names are not found in the page.
    for (path, at_least) in [
        ("docs/requirements.md", 200),
        ("docs/reliability.md", 30),
        ("docs/threat-model.md", 30),
    ] {
        let page = read(path);
        let cells = page.lines().filter_map(last_cell);
        let words = cells.flat_map(quoted);
        let tests = words.filter(|name| name.contains('_') && is_name(name));
        let named: BTreeSet<String> = tests.map(str::to_owned).collect();
        assert!(named.len() > at_least, "{path}: {}", named.len());
        let missing: Vec<String> = named.difference(&functions).cloned().collect();
        assert_none(&missing);
    }
}

#[test]
fn every_fault_has_a_test() {
    let page = read("docs/reliability.md");
    let rows =
        { page.lines() }.filter(|line| line.starts_with("| ") && !line.starts_with("| fault"));
    let bare = rows.filter(|row| last_cell(row).is_none_or(|cell| quoted(cell).next().is_none()));
    assert_none(&bare.map(str::to_owned).collect::<Vec<_>>());
}

#[test]
fn nothing_is_decided_by_the_clock_on_the_wall() {
    let mut wrong = Vec::new();
    for source in sources() {
        // They say when a line was logged, a configuration was read and a transfer ended, and decide nothing.
        let says = [
            "src/telemetry/log/clock.rs",
            "src/telemetry/metrics/reload.rs",
            "src/telemetry/transfer_log.rs",
        ];
        if !says.contains(&source.path.as_str()) {
            let found = WALL_CLOCKS
                .iter()
                .filter(|word| source.code.contains(**word));
            wrong.extend(found.map(|word| format!("{}: {word}", source.path)));
        }
    }
    assert_none(&wrong);
}

#[test]
fn every_bad_input_has_a_test_with_its_number_or_waits_for_tls() {
    let page = read("docs/requirements.md");
    let rows = section(&page, "The list of bad inputs").lines();
    let rows: Vec<&str> = rows.filter(|row| row.starts_with("| ")).skip(1).collect();
    let mut wrong = Vec::new();
    for (number, row) in (1..).zip(&rows) {
        if !row.starts_with(&format!("| {number} |")) {
            wrong.push(format!("{number} is not where it should be: {row}"));
        }
        let (_, tests) = row
            .trim_end_matches('|')
            .rsplit_once('|')
            .unwrap_or_default();
        let mut tests = quoted(tests).peekable();
        if tests.peek().is_none() && !row.contains("Needs TLS") {
            wrong.push(format!("{number} has no test"));
        }
        let others = tests.filter(|name| !numbers_of(name).contains(&number));
        wrong.extend(others.map(|name| format!("{number} is not in the name of {name}")));
    }
    assert_eq!(rows.len(), BAD_INPUTS, "docs/requirements.md");
    assert_none(&wrong);
}

#[test]
fn the_two_commands_of_the_readme_exist() {
    let page = read("README.md");
    for command in ["cargo run -- demo", "tests/run.sh"] {
        let is_there = page.lines().any(|line| line.trim() == command);
        assert!(is_there, "README.md has no line `{command}`");
    }
    assert!(
        read("src/cli.rs").contains("Demo("),
        "there is no command `demo`"
    );
    for script in [
        "tests/run.sh",
        "tests/install.sh",
        "benches/compare.sh",
        "benches/instructions.sh",
        "deploy/container/build.sh",
    ] {
        let metadata = fs::metadata(root().join(script)).expect("the script exists");
        assert!(
            metadata.permissions().mode() & 0o111 != 0,
            "{script} can not be run"
        );
    }
}

#[test]
fn every_link_between_documents_leads_somewhere() {
    let mut wrong = Vec::new();
    for path in files(".").into_iter().filter(|path| has_ending(path, "md")) {
        let folder = Path::new(&path).parent().unwrap_or(Path::new(""));
        for link in read(&path).split("](").skip(1) {
            let target = link.split([')', '#']).next().unwrap_or_default();
            let is_local = !target.is_empty() && !target.contains("://");
            if is_local && !root().join(folder).join(target).exists() {
                wrong.push(format!("{path}: {target}"));
            }
        }
    }
    assert_none(&wrong);
}

#[test]
fn architecture_fits_in_the_head() {
    let lines = read("ARCHITECTURE.md").lines().count();
    assert!(
        lines <= LONGEST_ARCHITECTURE,
        "ARCHITECTURE.md has {lines} lines"
    );
}

#[test]
fn no_file_names_a_place_on_somebodys_machine() {
    let homes =
        ["Users", "builds", "home", "root", "work", "workspace"].map(|name| format!("/{name}/"));
    let mut wrong = Vec::new();
    for path in files(".") {
        // Bytes of tests' inputs and the like are no places.
        let Ok(text) = fs::read_to_string(root().join(&path)) else {
            continue;
        };
        for (number, line) in text.lines().enumerate() {
            let is_absolute = |home: &String| {
                let mut before = line
                    .match_indices(home.as_str())
                    .map(|(at, _)| line.get(..at));
                before.any(|before| before.is_some_and(|text| !ends_in_a_word(text)))
            };
            if homes.iter().any(is_absolute) {
                wrong.push(format!("{path}, line {}: {line}", number + 1));
            }
        }
    }
    assert_none(&wrong);
}

/// A file of `src` that is not a test.
struct Source {
    /// From the root of the repository.
    path: String,
    /// The name of the module of the crate that it belongs to.
    module: String,
    text: String,
    /// Its lines of code, without those that are blank or a comment, and without the tests in it.
    code: String,
}

fn sources() -> Vec<Source> {
    let is_test = |path: &str| {
        path.ends_with("/tests.rs")
            || path.contains("/tests/")
            || path.contains("/simulation")
            || path.starts_with("src/fuzz")
    };
    let paths = files("src").into_iter();
    let sources: Vec<Source> = paths
        .filter(|path| has_ending(path, "rs") && !is_test(path))
        .map(|path| {
            let module = path.trim_start_matches("src/").split(['/', '.']);
            let module = module.into_iter().next().unwrap_or_default().to_owned();
            let text = read(&path);
            let code = code_of(&text);
            Source {
                path,
                module,
                text,
                code,
            }
        })
        .collect();
    assert!(sources.len() > 50, "the sources are not found");
    sources
}

fn code_of(text: &str) -> String {
    text.lines()
        .take_while(|line| !line.starts_with("mod tests {"))
        .filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with("//"))
        .flat_map(|line| [line, "\n"])
        .collect()
}

fn floor_of(module: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&module))
}

/// The names that follow `mark`, where it is not the end of a longer word.
fn names_after(text: &str, mark: &str) -> BTreeSet<String> {
    text.match_indices(mark)
        .filter(|(at, _)| !text.get(..*at).is_some_and(ends_in_a_word))
        .filter_map(|(at, _)| text.get(at + mark.len()..))
        .map(|rest| rest.chars().take_while(|c| is_word(*c)).collect())
        .filter(|name: &String| !name.is_empty())
        .collect()
}

/// The string literals that begin with `prefix`.
fn literals(code: &str, prefix: &str) -> BTreeSet<String> {
    let starts = format!("\"{prefix}");
    let parts = code.split(&starts).skip(1);
    parts
        .filter_map(|rest| rest.split('"').next())
        .map(|rest| format!("{prefix}{rest}"))
        .collect()
}

/// The labels that the methods of an enum give its variants.
fn labels_of(code: &str, kind: &str) -> BTreeSet<String> {
    let (_, from) = code
        .split_once(&format!("\nimpl {kind} {{"))
        .expect("the enum has methods");
    let body = from.split("\n}\n").next().unwrap_or_default();
    let labels: BTreeSet<String> = body
        .lines()
        .filter_map(|line| line.split_once("=> \""))
        .filter_map(|(_, label)| label.split('"').next())
        .map(str::to_owned)
        .collect();
    assert!(!labels.is_empty(), "no labels of {kind} are found");
    labels
}

/// The part of a page under the heading `## heading`.
fn section<'p>(page: &'p str, heading: &str) -> &'p str {
    let (_, rest) = page
        .split_once(&format!("\n## {heading}\n"))
        .expect("the page has the heading");
    rest.split("\n## ").next().unwrap_or_default()
}

/// What stands in backticks in the first cell of each row of the tables of a page.
fn first_cells(page: &str) -> BTreeSet<String> {
    page.lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .filter_map(|rest| rest.split('`').next())
        .map(str::to_owned)
        .collect()
}

/// The last cell of a row of a table, which tells the tests.
fn last_cell(row: &str) -> Option<&str> {
    let (_, cell) = row.strip_suffix(" |")?.rsplit_once('|')?;
    Some(cell)
}

/// The numbers that the name of a test begins with: `bad_input_31_and_35_to_39_what_happens`.
fn numbers_of(name: &str) -> Vec<usize> {
    let words = name.trim_start_matches("bad_input_").split('_');
    let mut numbers: Vec<usize> = Vec::new();
    let mut is_range = false;
    for word in words {
        match (word, word.parse(), numbers.last()) {
            ("to", ..) => is_range = true,
            ("and", ..) => {}
            (_, Ok(last), Some(first)) if is_range => {
                numbers.extend(first + 1..=last);
                is_range = false;
            }
            (_, Ok(number), _) => numbers.push(number),
            _ => break,
        }
    }
    numbers
}

/// What stands between backticks.
fn quoted(page: &str) -> impl Iterator<Item = &str> {
    page.lines()
        .flat_map(|line| line.split('`').skip(1).step_by(2))
}

fn is_name(text: &str) -> bool {
    text.chars()
        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn ends_in_a_word(text: &str) -> bool {
    text.ends_with(|c: char| is_word(c) || matches!(c, '.' | '-' | '}' | ')'))
}

/// The files under `folder`, from the root of the repository, without what is built or recorded.
fn files(folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root().join(&folder)).expect("the folder can be read") {
            let entry = entry.expect("the folder can be read");
            let name = entry.file_name();
            let path = folder.join(&name);
            let path = path.strip_prefix(".").unwrap_or(&path).to_owned();
            // In a second work tree `.git` is a file.
            let is_skipped = ["target", ".git", "corpus", "artifacts"]
                .iter()
                .any(|skip| name == *skip);
            if is_skipped {
                continue;
            }
            if entry.path().is_dir() {
                folders.push(path);
            } else {
                found.push(path.display().to_string());
            }
        }
    }
    found.sort();
    found
}

fn has_ending(path: &str, ending: &str) -> bool {
    Path::new(path)
        .extension()
        .is_some_and(|extension| extension == ending)
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).expect("the file can be read")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn assert_none(wrong: &[String]) {
    assert!(
        wrong.is_empty(),
        "against the rules of the house:\n{}",
        wrong.join("\n")
    );
}
