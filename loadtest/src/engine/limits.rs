//! Files: each user has a connection, and each connection is one.

use anyhow::{Result, bail};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What the program itself has open beside its users' connections.
const OWN: u64 = 64;

/// Raises the limit of open files as far as it goes.
///
/// # Errors
/// When that is not far enough for `users` connections.
pub(crate) fn allow_connections(users: usize) -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    let needed = users as u64 + OWN;
    let hard = limit.maximum.unwrap_or(u64::MAX);
    if limit.current.is_none_or(|soft| soft >= needed) {
        return Ok(());
    }
    if hard < needed {
        bail!(
            "{users} users need {needed} open files and this machine lets a process have {hard} \
             (`ulimit -Hn`): use fewer users, or raise the limit first"
        );
    }
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: Some(hard),
            maximum: limit.maximum,
        },
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_users_than_files_is_said_in_figures() {
        allow_connections(100).unwrap();
        if getrlimit(Resource::Nofile).maximum.is_some() {
            let said = allow_connections(usize::MAX / 2).unwrap_err().to_string();
            assert!(said.contains("ulimit -Hn"), "{said}");
        }
    }
}
