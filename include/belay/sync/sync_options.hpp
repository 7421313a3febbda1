// SPDX-License-Identifier: MIT
/// \file belay/sync/sync_options.hpp
/// SyncOptions: what a SyncProcessor refuses, and keeps.
#pragma once

#include <belay/core/instant.hpp>

namespace belay { inline namespace BELAY_ABI {

/// What a SyncProcessor refuses, and keeps.
struct SyncOptions {
    /// Operations stamped further ahead of the processor's wall clock are refused.
    Duration skew_max = std::chrono::minutes{5};
    /// The longest id of an element.
    std::size_t element_id_bytes_max = 1024;
    /// Keeps an update of an element that was never there until its Add comes; otherwise it is a
    /// conflict that is decided against it.
    bool upsert_updates = false;
    /// The most operations that are pending, over all sessions.
    std::size_t pending_max = 10'000;
    /// So many operations are one transaction of the store, and `on_progress` is told after each;
    /// at least 1.
    std::size_t transaction_operations = 1000;
};

}}  // namespace belay
