// SPDX-License-Identifier: MIT
/// \file belay/sync/sync_options.hpp
/// SyncOptions: the limits of a SyncProcessor.
#pragma once

#include <belay/core/instant.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The limits of a SyncProcessor.
struct SyncOptions {
    /// How far a stamp may be ahead of the processor's wall clock. Operations with later stamps are
    /// rejected.
    Duration skew_max = std::chrono::minutes{5};
    /// The longest id of an element, in bytes.
    std::size_t element_id_bytes_max = 1024;
    /// Whether an update of an element that was never there waits for its Add. Otherwise it is a
    /// conflict that is decided against it.
    bool upsert_updates = false;
    /// The most pending operations, over all sessions. If a limit is reached, the next operation
    /// that would be pending is kept by its sender: `pending_full`.
    std::size_t pending_max = 10'000;
    /// The most pending operations of one session.
    std::size_t pending_of_session_max = 2'500;
    /// The most pending operations of one origin of stamps, over all sessions.
    std::size_t pending_of_origin_max = 1'000;
    /// How long an operation may be pending, by the wall clock. The next batch of any session
    /// removes an older one, and reports it to `on_operation`, with the error `pending_expired`.
    /// `forever` removes none.
    Duration pending_for = std::chrono::hours{24};
    /// The number of operations in one transaction of the store; at least 1. `on_progress` is
    /// called after each transaction.
    std::size_t transaction_operations = 1000;
};

}}  // namespace belay
