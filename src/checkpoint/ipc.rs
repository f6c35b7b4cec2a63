//! System V IPC: shared memory, message queues, semaphores.

use serde::Serialize;

use crate::base::listing::keep;
use crate::base::{Error, Listing, Result};
use crate::checkpoint::Checkpoint;
use crate::image::{Entry, Kind};
use crate::object::{message, v1};

/// The System V objects of a dump, of all its IPC namespaces.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Ipc {
    /// Shared memory.
    pub segments: Vec<Segment>,
    /// Message queues.
    pub queues: Vec<MessageQueue>,
    /// Sets of semaphores.
    pub semaphores: Vec<Semaphores>,
    /// What could not be read.
    #[serde(skip)]
    pub problems: Vec<Error>,
}

/// What all System V objects have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Desc {
    /// The IPC namespace it is in.
    pub ns_id: u32,
    /// Its number there.
    pub id: u32,
    /// The key tasks find it by; 0 is private.
    pub key: u32,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Its permissions.
    pub mode: u32,
}

/// A segment of shared memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Segment {
    /// What all objects have.
    #[serde(flatten)]
    pub desc: Desc,
    /// Its bytes.
    pub size: u64,
    /// Whether its content is among the pages of the dump, not behind its entry.
    pub in_pagemaps: bool,
    /// Whether it consists of huge pages.
    pub is_huge: bool,
}

/// A message queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct MessageQueue {
    /// What all objects have.
    #[serde(flatten)]
    pub desc: Desc,
    /// Bytes it may hold.
    pub qbytes: u32,
    /// Its messages, the oldest first.
    pub messages: Vec<Message>,
}

/// A message in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Message {
    /// Its type.
    pub mtype: u64,
    /// Its bytes.
    pub size: u32,
}

/// A set of semaphores.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Semaphores {
    /// What all objects have.
    #[serde(flatten)]
    pub desc: Desc,
    /// Their values.
    pub values: Vec<u16>,
}

impl Desc {
    fn new(ns_id: u64, entry: &v1::IpcDescEntry) -> Self {
        Self {
            ns_id: u32::try_from(ns_id).unwrap_or(u32::MAX),
            id: entry.id,
            key: entry.key,
            uid: entry.uid,
            gid: entry.gid,
            mode: entry.mode,
        }
    }
}

impl Checkpoint {
    /// The System V objects of all IPC namespaces that are part of the dump.
    ///
    /// Errors: none; what cannot be read is among [`Ipc::problems`].
    pub fn ipc(&self) -> Result<Ipc> {
        let mut ipc = Ipc::default();
        ipc.segments = self.objects(Kind::IpcnsShm, &mut ipc.problems, |ns, entry| {
            let shm = entry.decode::<v1::IpcShmEntry>()?;
            Ok(Segment {
                desc: Desc::new(ns, &shm.desc),
                size: shm.size,
                in_pagemaps: shm.in_pagemaps(),
                is_huge: shm.hugetlb_flag() != 0,
            })
        });
        ipc.queues = self.objects(Kind::IpcnsMsg, &mut ipc.problems, |ns, entry| {
            let queue = entry.decode::<v1::IpcMsgEntry>()?;
            let mut messages = Vec::new();
            for record in entry.records() {
                let bytes = entry.payload_bytes().slice_ref(record?.message);
                let found = message::<v1::IpcMsg>(bytes, entry.image().limits(), entry.image().name())?;
                messages.push(Message { mtype: found.mtype, size: found.msize });
            }
            Ok(MessageQueue { desc: Desc::new(ns, &queue.desc), qbytes: queue.qbytes, messages })
        });
        ipc.semaphores = self.objects(Kind::IpcnsSem, &mut ipc.problems, |ns, entry| {
            let set = entry.decode::<v1::IpcSemEntry>()?;
            let count = usize::try_from(set.nsems).unwrap_or(usize::MAX);
            let (values, _) = entry.payload().as_chunks::<2>();
            let values = values.iter().take(count).map(|value| u16::from_le_bytes(*value)).collect();
            Ok(Semaphores { desc: Desc::new(ns, &set.desc), values })
        });
        Ok(ipc)
    }

    fn objects<T>(&self, kind: Kind, problems: &mut Vec<Error>, make: impl Fn(u64, Entry<'_>) -> Result<T>) -> Vec<T> {
        let mut listing = Listing::default();
        for name in self.images_of(kind) {
            match self.open_image(name) {
                Ok(image) => image.iter().for_each(|entry| listing.push(entry.and_then(|entry| make(name.id, entry)))),
                Err(error) => listing.push(Err(error)),
            }
        }
        keep(problems, listing.problems);
        listing.items
    }
}
