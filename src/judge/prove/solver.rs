//! The solver: a cvc5 process that questions are written to and answers read from, in SMT-LIB 2.6.
//!
//! Off the walk: `policy verify` alone starts one. Everything here blocks, so the futures that Cedar's compiler wants are
//! ready when they are made, and no runtime is needed. MUST NOT take a solver that is silent, dies or babbles for one that
//! says "no such request": each of these is an error.

use std::future::{Future, ready};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use cedar_policy_symcc::solver::{Decision, DecisionWithModel, Solver as Solves, SolverError};

/// How much longer than the solver's own limit an answer is waited for: it has to be printed, and may be long.
const GRACE: Duration = Duration::from_secs(5);
/// Lines of a model.
const MODEL_LINES: usize = 1_000_000;

/// Which solver is asked, and for how long.
#[derive(Clone, Debug)]
pub struct Solver {
    /// The program: a path, or a name that is looked for in `PATH`.
    pub program: PathBuf,
    /// For one question.
    pub limit: Duration,
}

impl Solver {
    /// What the solver calls itself; an error if there is none.
    pub fn version(&self) -> Result<String, String> {
        let told = Command::new(&self.program).arg("--version").stdin(Stdio::null()).output();
        let told = told.map_err(|error| self.absent(&error))?;
        let text = String::from_utf8_lossy(&told.stdout);
        let version = text.split_whitespace().skip_while(|word| *word != "version").nth(1);
        match version.filter(|_| told.status.success() && text.contains("cvc5")) {
            Some(version) => Ok(format!("cvc5 {version}")),
            None => Err(format!("`{}` does not say that it is cvc5", self.program.display())),
        }
    }

    pub(super) fn start(&self) -> Result<Session, String> {
        let mut child = Command::new(&self.program)
            .args(["--lang", "smt", &format!("--tlimit-per={}", self.limit.as_millis())])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| self.absent(&error))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("the solver has no input or output".to_owned());
        };
        let (send, lines) = channel();
        // Ends with the process, whose end is that of its output.
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Session { child, input, script: Vec::new(), lines, limit: self.limit + GRACE })
    }

    fn absent(&self, error: &std::io::Error) -> String {
        format!("`{}` cannot be started ({error})", self.program.display())
    }
}

/// A running solver.
#[derive(Debug)]
pub(super) struct Session {
    child: Child,
    input: ChildStdin,
    /// What it is yet to be told.
    script: Vec<u8>,
    lines: Receiver<String>,
    limit: Duration,
}

impl Session {
    fn ask(&mut self) -> Result<Decision, SolverError> {
        self.script.extend_from_slice(b"(check-sat)\n");
        self.tell()?;
        match self.line()?.trim() {
            "sat" => Ok(Decision::Sat),
            "unsat" => Ok(Decision::Unsat),
            "unknown" => Ok(Decision::Unknown),
            other => Err(said(other)),
        }
    }

    fn model(&mut self) -> Result<String, SolverError> {
        self.script.extend_from_slice(b"(get-model)\n");
        self.tell()?;
        let mut model = self.line()?;
        if model.trim() != "(" {
            return Err(said(&model));
        }
        for _ in 0..MODEL_LINES {
            let line = self.line()?;
            model.push('\n');
            model.push_str(&line);
            if line.trim() == ")" {
                model.push('\n');
                return Ok(model);
            }
        }
        Err(said("a model without an end"))
    }

    fn tell(&mut self) -> Result<(), SolverError> {
        self.input.write_all(&self.script)?;
        self.script.clear();
        Ok(self.input.flush()?)
    }

    fn line(&mut self) -> Result<String, SolverError> {
        self.lines.recv_timeout(self.limit).map_err(|why| {
            SolverError::Solver(match why {
                RecvTimeoutError::Timeout => format!("no answer within {} s", self.limit.as_secs()),
                RecvTimeoutError::Disconnected => "the solver has gone".to_owned(),
            })
        })
    }
}

impl Solves for Session {
    fn smtlib_input(&mut self) -> &mut (dyn tokio::io::AsyncWrite + Unpin + Send) {
        &mut self.script
    }

    fn enable_models(&mut self) -> impl Future<Output = Result<(), SolverError>> + Send {
        self.script.extend_from_slice(b"(set-option :produce-models true)\n");
        ready(Ok(()))
    }

    fn check_sat(&mut self) -> impl Future<Output = Result<Decision, SolverError>> + Send {
        ready(self.ask())
    }

    fn check_sat_with_model(
        &mut self,
    ) -> impl Future<Output = Result<DecisionWithModel, SolverError>> + Send {
        ready(self.ask().and_then(|decision| {
            Ok(match decision {
                Decision::Sat => DecisionWithModel::Sat { model: self.model()? },
                Decision::Unsat => DecisionWithModel::Unsat,
                Decision::Unknown => DecisionWithModel::Unknown,
            })
        }))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _already_dead = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn said(text: &str) -> SolverError {
    SolverError::UnrecognizedSolverOutput(text.chars().filter(|c| !c.is_control()).take(200).collect())
}
