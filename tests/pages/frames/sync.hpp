// SPDX-License-Identifier: MIT
// For the pages on offline sync: a store and a batch of operations on texts.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <belay/sync.hpp>
#include <belay/sync/replica_link.hpp>

#include "usual.hpp"

namespace frames::sync {

using Note = std::string;
struct NoteCodec {
    bool encode(const Note& note, Bytes& into);
    std::optional<Note> decode(BytesView bytes);
};
using Mine = MemoryStore<Note>;  // a store
inline MemoryStore<Note> store;
inline SyncProcessor processor{std::ref(store), LastWriteWins{}};
extern const std::string session;
extern const std::vector<Operation<Note>> operations;
extern const std::string body;  // of a request
extern posix::Journal journal;
inline const posix::Endpoint peer{"127.0.0.1", 9000};
std::string text_of(const Note& note);

}  // namespace frames::sync
