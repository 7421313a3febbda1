// SPDX-License-Identifier: MIT
/// \file belay/sync/replica_options.hpp
/// ReplicaOptions: the limits and choices of a Replica.
#pragma once

#include <cstddef>   // std::size_t
#include <cstdint>   // std::uint8_t
#include <optional>  // std::optional
#include <string>    // std::string

#include <belay/core/random.hpp>
#include <belay/sync/hybrid_clock.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The options of the clock of a Replica, as those of a HybridClock.
struct ReplicaClockOptions {
    /// How far stamps of other devices may draw this clock ahead of its wall clock.
    Duration skew_max = HybridClockOptions{}.skew_max;
    /// The journal stores the note of the clock with the edits: in Flush::group without a flush of
    /// its own. So the note covers less time than that of a HybridClock. The first stamp after a
    /// restart may be that far ahead of the wall clock, and LastWriteWins then takes it for the
    /// later one. Edits that are further apart have a record with a note each, which costs a second
    /// flush in Flush::each.
    Duration note_covers = std::chrono::milliseconds{1};

    [[nodiscard]] constexpr operator HybridClockOptions() const noexcept {
        return {.skew_max = skew_max, .note_covers = note_covers};
    }
};

/// The limits and choices of a Replica.
struct ReplicaOptions {
    /// The action of sync() if the server's store is another one than before, or an older state of
    /// it.
    enum class OtherStore : std::uint8_t {
        stops,   ///< returns the error other_store, and changes nothing
        copies,  ///< replaces the local copy by what the server has; edits that wait are sent
        /// Does the same, and sends each version of the local copy that is later than the server's,
        /// also those of other authors. It is decided as a concurrent change.
        restores
    };

    /// The name of the session in the local store, and at a server in the same process.
    std::string session = "replica";
    /// The most edits that the server has not decided. At the limit, edit() returns an error.
    std::size_t edits_max = 1'000'000;
    /// The most edits that the server did not take. At the limit, edit() returns an error. None of
    /// them is dropped, and a sync may add more.
    std::size_t kept_max = 1'000;
    /// The most operations in one batch, and the most changes in a page of a SyncProcessor.
    std::size_t batch_operations = 1'000;
    OtherStore other_store = OtherStore::stops;
    /// Whether an update without `base` gets the value that it changes, for strategies that merge.
    /// Both values are in one record of the journal, so an update is too_large if they are longer
    /// than a record together.
    bool adds_base = true;
    ReplicaClockOptions clock{};
    /// The longest wait for the server's clock. The stamp of an edit is ahead of that clock if this
    /// device's clock is or was wrong. An edit that would wait longer gets a new id and stamp.
    Duration restamp_after = std::chrono::hours{1};
    /// The seed of the ids; without one, they come from the system's entropy.
    std::optional<Seed> seed = std::nullopt;
};

}}  // namespace belay
