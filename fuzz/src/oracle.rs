//! A process of Node's that answers questions (`oracle.js`): one for each process that fuzzes, which lives as long as that.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, OnceLock};

use serde_json::Value;

struct Oracle {
    _child: Child,
    questions: ChildStdin,
    answers: ChildStdout,
}

static ORACLE: OnceLock<Mutex<Oracle>> = OnceLock::new();

/// Asks a question of a kind, which is a letter that `oracle.js` knows.
///
/// # Panics
/// If there is no `node`, or it has failed.
pub fn ask(kind: u8, question: &[u8]) -> Value {
    // a question that was not answered leaves nothing that another could be asked by
    let mut oracle = ORACLE.get_or_init(start).lock().expect("the oracle has failed before");
    let length = u32::try_from(question.len() + 1).expect("a question of some size");
    let message = [&length.to_le_bytes()[..], &[kind], question].concat();
    oracle.questions.write_all(&message).expect("node takes a question");
    let mut length = [0; 4];
    oracle.answers.read_exact(&mut length).expect("node answers; see its error above");
    let mut answer = vec![0; u32::from_le_bytes(length) as usize];
    oracle.answers.read_exact(&mut answer).expect("node answers");
    drop(oracle);
    let answer: Value = serde_json::from_slice(&answer).expect("JSON of the oracle's");
    if let Some(failure) = answer.get("failure") {
        panic!("the oracle could not answer {:?} {question:x?}: {failure}", kind as char);
    }
    answer
}

fn start() -> Mutex<Oracle> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("oracle.js");
    let mut child = Command::new("node")
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this target asks node, which could not be started");
    let (questions, answers) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
    Mutex::new(Oracle { _child: child, questions, answers })
}
