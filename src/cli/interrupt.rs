//! Ctrl-C and its kin ask long work to end; a second one ends the program.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

use crate::base::report::Cancel;
use crate::base::{Error, Result};

/// What the shell expects of a program that Ctrl-C ended.
const STATUS: i32 = 130;

/// From now on signals set the flag of `cancel` instead of ending the program at once.
pub(crate) fn listen(cancel: &Cancel) -> Result<()> {
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        flag::register_conditional_shutdown(signal, STATUS, cancel.flag())
            .and_then(|_| flag::register(signal, cancel.flag()))
            .map_err(|error| Error::io("cannot listen for signals", error))?;
    }
    Ok(())
}
