//! What the kernel says of the processes of the server: one, or one for each node of a cluster.

use crate::Outcome;
use std::fs;

pub struct ServerProcess {
    pids: Vec<u32>,
}

/// One look at all of them.
#[derive(Clone, Copy)]
pub struct Usage {
    /// Seconds of CPU time: of all its threads, and of the one it began with.
    pub cpu: f64,
    pub main_cpu: f64,
    pub rss_kib: f64,
}

impl ServerProcess {
    pub fn new(pids: &[u32]) -> ServerProcess {
        ServerProcess { pids: pids.to_vec() }
    }

    pub fn usage(&self) -> Outcome<Usage> {
        let mut sum = Usage { cpu: 0.0, main_cpu: 0.0, rss_kib: 0.0 };
        for &pid in &self.pids {
            add(pid, &mut sum)
                .map_err(|error| format!("the server's process {pid} cannot be looked at: {error}"))?;
        }
        Ok(sum)
    }
}

fn add(pid: u32, sum: &mut Usage) -> std::io::Result<()> {
    sum.rss_kib += rss_kib(pid)?;
    for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
        let task = entry?.file_name().to_string_lossy().into_owned();
        // a thread may have ended meanwhile
        let seconds = thread_cpu(pid, &task).unwrap_or(0.0);
        sum.cpu += seconds;
        if task == pid.to_string() {
            sum.main_cpu += seconds;
        }
    }
    Ok(())
}

/// In nanoseconds where the kernel says it so, else in ticks of 10 ms.
fn thread_cpu(pid: u32, task: &str) -> Option<f64> {
    let directory = format!("/proc/{pid}/task/{task}");
    if let Ok(text) = fs::read_to_string(format!("{directory}/schedstat")) {
        return Some(text.split(' ').next()?.parse::<f64>().ok()? / 1e9);
    }
    let text = fs::read_to_string(format!("{directory}/stat")).ok()?;
    let fields: Vec<&str> = text[text.rfind(')')? + 2..].split(' ').collect();
    let ticks = |index: usize| fields.get(index)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / 100.0)
}

fn rss_kib(pid: u32) -> std::io::Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    Ok(line.trim().trim_end_matches(" kB").parse().unwrap_or(0.0))
}
