//! How the demo ends: everything that it started ends before it, also when a person or a supervisor asks.

use std::io;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::screen::Screen;
use crate::children;
use crate::stack::Stack;

/// Exit code of a program that SIGINT ended, by convention.
const INTERRUPTED: i32 = 130;

/// What has to end.
#[derive(Debug, Default)]
pub(super) struct Ending {
    stack: OnceLock<Arc<Stack>>,
    begun: AtomicBool,
    /// Whether being asked to end is how the demo ends well.
    awaited: AtomicBool,
}

impl Ending {
    /// Ends everything when SIGINT, SIGTERM or SIGHUP asks for it.
    pub(super) fn on_signals(screen: Arc<Screen>) -> io::Result<Arc<Self>> {
        let ending = Arc::new(Self::default());
        children::manage();
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
        let shared = Arc::clone(&ending);
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            if signals.forever().next().is_some() {
                shared.begun.store(true, Ordering::SeqCst);
                screen.clear();
                children::end_all();
                shared.stop_stack();
                screen.clear();
                let awaited = shared.awaited.load(Ordering::SeqCst);
                eprintln!("\n{}", if awaited { "The stack is down." } else { "demo: interrupted" });
                process::exit(if awaited { 0 } else { INTERRUPTED });
            }
        })?;
        Ok(ending)
    }

    /// From now on the stack ends with the demo.
    pub(super) fn takes(&self, stack: &Arc<Stack>) {
        let _ = self.stack.set(Arc::clone(stack));
        self.unless_begun();
    }

    pub(super) fn stop_stack(&self) {
        if let Some(stack) = self.stack.get() {
            stack.stop();
        }
    }

    /// Waits to be asked to end.
    pub(super) fn wait(&self) -> ! {
        self.awaited.store(true, Ordering::SeqCst);
        forever()
    }

    /// Comes back unless the end has begun: what fails then fails because of it, and is not worth a word.
    pub(super) fn unless_begun(&self) {
        if self.begun.load(Ordering::SeqCst) {
            forever();
        }
    }
}

/// The thread of the signals ends the process.
fn forever() -> ! {
    loop {
        thread::park();
    }
}
