//! Errors, sorted by whose fault it is and what the caller can do: conflict (someone was first), too large (the
//! caller's bug), unavailable (try again), and what keeps a store from opening (a person must act).

use std::path::PathBuf;

/// Why a commit did not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// A precondition did not hold; nothing of the commit was applied. Final: the same commit will not succeed later.
    #[error("precondition {index} of the commit does not hold")]
    Conflict {
        /// Which precondition, counted from zero in the order they were stated.
        index: usize,
    },
    /// A key, a value or the commit as a whole exceeds a bound in [`crate::limits`]: the caller let it grow.
    #[error("the commit exceeds a size bound")]
    TooLarge,
    /// The commit could not be made durable. After `Storage` it is unknown whether it will appear after a restart;
    /// it is certain that nobody has been told it did.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// We could not look, or could not write; trying again later helps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// The bounded queue is full.
    #[error("storage queue is full")]
    QueueFull,
    /// The store is closing.
    #[error("storage is shutting down")]
    ShuttingDown,
    /// The key-value store failed; the log has its reason.
    #[error("storage failed")]
    Storage,
}

/// What a key-value store could not do. Its text is for the log, never for a response.
#[derive(Debug, thiserror::Error)]
pub enum KvError {
    /// The engine refused or failed: disk full, read-only, device error.
    #[error("key-value store: {0}")]
    Engine(String),
    /// A row is not what its table says it is.
    #[error("row of table {table} cannot be read: {reason}")]
    Corrupt {
        /// The table's name in the schema.
        table: &'static str,
        /// What is wrong; never any content of the row.
        reason: &'static str,
    },
}

/// Why a store did not open. One line each, saying what is wrong and what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The place holds something, and it is not ours.
    #[error("{place} is not empty and holds no assay data; choose another data directory")]
    Foreign {
        /// The directory or store.
        place: String,
    },
    /// The data was written by a later format.
    #[error(
        "the data has format {found}, this assay reads up to format {supported}; start the newer assay, or restore a backup made by this one"
    )]
    Newer {
        /// The format found.
        found: u32,
        /// The newest format this build reads.
        supported: u32,
    },
    /// Another process has the directory open.
    #[error("{} is in use by another assay; stop that process or choose another data directory", .path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("cannot open data directory {}: {source}; check that it is writable and that the disk has space", .path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The refusal.
        source: std::io::Error,
    },
    /// The key-value store refused, or a row cannot be read.
    #[error("cannot open the data: {0}; restore a backup or choose another data directory")]
    Kv(#[from] KvError),
}
