//! The floor: the least that a program can do for an answer. A blocking receive,
//! a fixed answer with the message id and token of the request, a blocking send.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::UdpSocket;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

use crate::channel::Channel;
use crate::load;
use crate::process::Process;
use crate::request::{Request, answer_to};

/// The floor as a process of its own.
pub(crate) struct Floor {
    child: Child,
    pub(crate) channel: Channel,
}

impl Floor {
    /// Starts a floor that answers with these bytes.
    pub(crate) fn start(answer: &[u8]) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("floor")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        child.stdin.take().context("no pipe to the floor")?.write_all(answer)?;
        let mut port = String::new();
        let stdout = child.stdout.take().context("no pipe from the floor")?;
        BufReader::new(stdout).read_line(&mut port)?;
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.connect(("127.0.0.1", port.trim().parse::<u16>()?))?;
        Ok(Self { child, channel: Channel::over(socket)? })
    }

    pub(crate) fn process(&self) -> Process {
        Process::new(self.child.id())
    }

    /// CPU per answer, of so many with one outstanding.
    pub(crate) fn microseconds(&mut self, answers: u32) -> Result<f64> {
        let (process, mut request) = (self.process(), Request::get("3/0/0", None));
        let cpu =
            process.cpu_of(|| load::run(&mut self.channel, &mut request, answers, 1).map(drop))?;
        Ok(cpu.as_secs_f64() * 1e6 / f64::from(answers))
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Is the floor; says its port on standard output, then answers for ever.
pub(crate) fn serve() -> Result<()> {
    let mut answer = Vec::new();
    std::io::stdin().read_to_end(&mut answer)?;
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    writeln!(std::io::stdout(), "{}", socket.local_addr()?.port())?;
    let mut request = [0; 2048];
    let (_, peer) = socket.peek_from(&mut request)?;
    socket.connect(peer)?;
    loop {
        let length = socket.recv(&mut request)?;
        answer_to(&request[..length], &mut answer);
        socket.send(&answer)?;
    }
}
