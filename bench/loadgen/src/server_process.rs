//! What the kernel says of the server's process.

use crate::Outcome;
use std::fs;

pub struct ServerProcess {
    pid: u32,
}

/// One look at it.
#[derive(Clone, Copy)]
pub struct Usage {
    /// Seconds of CPU time: of all its threads, and of the one it began with.
    pub cpu: f64,
    pub main_cpu: f64,
    pub rss_kib: f64,
}

impl ServerProcess {
    pub fn new(pid: u32) -> ServerProcess {
        ServerProcess { pid }
    }

    pub fn usage(&self) -> Outcome<Usage> {
        let gone = |error| format!("the server's process {} cannot be looked at: {error}", self.pid);
        let mut usage = Usage { cpu: 0.0, main_cpu: 0.0, rss_kib: self.rss_kib().map_err(gone)? };
        for entry in fs::read_dir(format!("/proc/{}/task", self.pid)).map_err(gone)? {
            let task = entry.map_err(gone)?.file_name().to_string_lossy().into_owned();
            // a thread may have ended meanwhile
            let seconds = self.thread_cpu(&task).unwrap_or(0.0);
            usage.cpu += seconds;
            if task == self.pid.to_string() {
                usage.main_cpu = seconds;
            }
        }
        Ok(usage)
    }

    /// In nanoseconds where the kernel says it so, else in ticks of 10 ms.
    fn thread_cpu(&self, task: &str) -> Option<f64> {
        let directory = format!("/proc/{}/task/{task}", self.pid);
        if let Ok(text) = fs::read_to_string(format!("{directory}/schedstat")) {
            return Some(text.split(' ').next()?.parse::<f64>().ok()? / 1e9);
        }
        let text = fs::read_to_string(format!("{directory}/stat")).ok()?;
        let fields: Vec<&str> = text[text.rfind(')')? + 2..].split(' ').collect();
        let ticks = |index: usize| fields.get(index)?.parse::<f64>().ok();
        Some((ticks(11)? + ticks(12)?) / 100.0)
    }

    fn rss_kib(&self) -> std::io::Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        Ok(line.trim().trim_end_matches(" kB").parse().unwrap_or(0.0))
    }
}
