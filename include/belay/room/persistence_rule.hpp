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
    refuses_bad_ids,
    append_needs_a_history,
    refusal_changes_nothing,
    positions_grow,
    load_finds_what_was_flushed,
    load_shows_only_what_is_stored,
    load_tells_the_epoch,
    load_tells_the_position,
    load_finds_the_snapshot,
    save_covers_no_more_than_it_says,
    save_needs_a_stored_position,
    save_refuses_what_is_older,
    save_needs_a_room,
    reset_begins_anew,
    erase_ends_the_room,
    list_has_what_is_stored,
    move_keeps_everything,
    reopening_keeps_everything,
    failed_flush_names_what_it_refuses,
    confirms_nothing_when_displaced,
    continues_when_its_files_are_back
};

/// Returns the rule as a sentence.
[[nodiscard]] constexpr const char* to_string(PersistenceRule rule) noexcept {
    constexpr const char* sentences[] = {
        "a new persistence has no room",
        "every call is answered, and no Completion dropped",
        "reset, append, erase, flush and save take what is as it should be",
        "ids of no byte and of more than 100 are refused as bad_room_id",
        "an append to a room without a history is unknown_room, at once or by the next flush",
        "what was refused changes nothing",
        "positions of a room grow, over its histories, too",
        "load finds every update that was flushed, whole and in order",
        "load shows nothing that a reopening can lose, and nothing that nobody appended",
        "load answers the epoch that was given to reset",
        "load answers the position of the last change, or a later one",
        "load finds the parts of the snapshot that was saved last",
        "save keeps every update behind what it covers",
        "save refuses to cover what is not stored, as bad_position",
        "save refuses a snapshot older than the stored one or the history, as stale_snapshot",
        "save refuses a room that is not there, as unknown_room",
        "reset leaves nothing of the history before",
        "erase leaves nothing of the room",
        "list answers the stored ids behind `after`, in the order of their bytes, up to `count`",
        "moving a persistence keeps everything",
        "closing and opening a persistence keeps everything that was flushed",
        "a flush that fails for some rooms names them, and has stored the changes of all others",
        "while its paths lead to other files, or to none, a persistence confirms nothing",
        "a persistence whose files are at their paths again goes on, with everything it had"};
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
