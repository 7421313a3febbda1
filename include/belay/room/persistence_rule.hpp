// SPDX-License-Identifier: MIT
/// \file belay/room/persistence_rule.hpp
/// check::PersistenceRule: the rules for a persistence of rooms that the compiler cannot check.
#pragma once

#include <cstddef>  // std::size_t
#include <cstdint>  // std::uint8_t, std::uint64_t

#include <belay/core/assert.hpp>  // BELAY_ABI

namespace belay { inline namespace BELAY_ABI { namespace check {

/// The rules for a persistence that the compiler cannot check.
///
/// PersistenceLike explains them.
enum class PersistenceRule : std::uint8_t {
    starts_empty,
    answers_every_call,
    takes_what_it_should,
    rejects_bad_ids,
    append_needs_a_history,
    rejection_changes_nothing,
    flush_returns_positions,
    positions_grow,
    load_finds_what_was_flushed,
    load_shows_only_what_is_stored,
    load_returns_the_epoch,
    load_returns_the_position,
    load_finds_the_snapshot,
    save_keeps_later_updates,
    save_needs_a_stored_position,
    save_rejects_what_is_older,
    save_needs_a_room,
    reset_begins_anew,
    erase_ends_the_room,
    list_has_what_is_stored,
    move_keeps_everything,
    reopening_keeps_everything,
    failed_flush_names_what_it_rejects,
    confirms_nothing_when_displaced,
    continues_when_its_files_are_back,
    calls_overlap
};

/// Returns the rule as a sentence.
[[nodiscard]] constexpr const char* to_string(PersistenceRule rule) noexcept {
    constexpr const char* sentences[] = {
        "a new persistence has no room",
        "the persistence answers every call, and drops no Completion",
        "reset, append, erase, flush and save accept valid arguments",
        "the persistence rejects ids of no byte or of more than 100 bytes with bad_room_id",
        "append to a room without a history fails with unknown_room, at once or at the next flush",
        "a rejected call changes nothing",
        "a flush returns the position of each room that has a history and stored changes",
        "the positions of a room grow, also across its histories",
        "load returns every flushed update, complete and in order",
        "load returns nothing that reopening can lose, and nothing that was not appended",
        "load returns the epoch that was passed to reset",
        "load returns the position of the last change, or a later one",
        "load returns the parts of the last saved snapshot",
        "save keeps every update after the position that it covers",
        "save rejects a snapshot whose position is not stored, with bad_position",
        "save rejects a snapshot that is older than the stored one or than the history, with "
        "stale_snapshot",
        "save rejects an unknown room, with unknown_room",
        "reset removes everything of the previous history",
        "erase removes everything of the room",
        "list returns at most `count` stored ids after `after`, in the order of their bytes",
        "a moved persistence keeps everything",
        "a persistence that is closed and opened again has everything that was flushed",
        "a flush that fails for some rooms names them, and has stored the changes of all other "
        "rooms",
        "a persistence whose paths lead to other files, or to none, confirms nothing",
        "a persistence whose files are at their paths again continues, with everything it had",
        "calls may be made before earlier ones are answered, and a load has what an earlier flush "
        "stores"};
    const auto i = static_cast<std::size_t>(rule);
    return i < sizeof sentences / sizeof sentences[0] ? sentences[i] : "unknown";
}

/// A fault that check::persistence found in a persistence.
struct PersistenceFault {
    /// The rule that is broken.
    PersistenceRule rule{};
    /// The number of the history that broke it. The same persistence breaks it in the same history
    /// again.
    std::uint64_t history = 0;
    /// The number of steps before the fault.
    std::uint64_t step = 0;
};

}}}  // namespace belay::check
