//! A program whose standard error is a terminal: what it draws there, beside what it prints when piped.
//! `mod terminal;` in any integration test.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

/// A program that is running with a terminal for its standard error.
pub struct OnTerminal {
    child: Child,
    terminal: File,
    drawn: Vec<u8>,
}

/// What came of it.
#[derive(Debug)]
pub struct Ended {
    /// How it ended.
    pub status: ExitStatus,
    /// Standard output, which was a pipe.
    pub stdout: String,
    /// Everything the terminal was sent, escapes included.
    pub terminal: String,
}

impl OnTerminal {
    /// Starts a program.
    pub fn start(mut command: Command) -> OnTerminal {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudo-terminal");
        grantpt(&master).expect("it is ours");
        unlockpt(&master).expect("it is ours");
        let name = ptsname(&master, Vec::new()).expect("it has a name");
        let path = name.to_str().expect("a path in /dev");
        let terminal = OpenOptions::new().read(true).write(true).open(path).expect("the other end opens");
        let child = command
            .env("TERM", "xterm-256color")
            .env_remove("NO_COLOR")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(terminal)
            .spawn()
            .expect("the program starts");
        // The command keeps the other end open as long as it lives, and the master would never see an end.
        drop(command);
        OnTerminal { child, terminal: master.into(), drawn: Vec::new() }
    }

    /// Its process, for signals.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns once a text was drawn; panics if the program ends without.
    pub fn wait_for(&mut self, text: &str) {
        while !String::from_utf8_lossy(&self.drawn).contains(text) {
            assert!(self.read_some(), "it ended without {text:?}: {}", String::from_utf8_lossy(&self.drawn));
        }
    }

    /// Waits for its end.
    pub fn end(mut self) -> Ended {
        // Nobody here prints more than a pipe holds before the terminal closes.
        while self.read_some() {}
        let mut stdout = String::new();
        self.child.stdout.take().expect("it was piped").read_to_string(&mut stdout).expect("UTF-8");
        let status = self.child.wait().expect("it ends");
        Ended { status, stdout, terminal: String::from_utf8_lossy(&self.drawn).into_owned() }
    }

    /// False once nobody has the other end open, which Linux reports as an error.
    fn read_some(&mut self) -> bool {
        let mut buffer = [0; 4096];
        let read = self.terminal.read(&mut buffer).unwrap_or(0);
        self.drawn.extend_from_slice(&buffer[..read]);
        read > 0
    }
}
