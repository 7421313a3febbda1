// SPDX-License-Identifier: MIT
/// \file belay/sync/store_rule.hpp
/// StoreRule: the rules that check::store checks.
#pragma once

#include <cstddef>  // std::size_t
#include <cstdint>  // std::uint8_t

#include <belay/core/assert.hpp>  // BELAY_ABI

namespace belay { inline namespace BELAY_ABI { namespace check {

/// A rule that a store must follow and the compiler cannot check; see StoreLike.
enum class StoreRule : std::uint8_t {
    starts_empty,
    takes_what_it_should,
    finds_what_was_written,
    reads_what_was_written,
    reads_only_what_is_live,
    update_needs_a_live_element,
    rejection_changes_nothing,
    knows_applied_operations,
    knows_their_decisions,
    knows_no_others,
    expire_keeps_what_is_live,
    expire_keeps_later_tombstones,
    horizon_never_goes_back,
    transaction_runs_once,
    transaction_answers_its_error,
    transaction_keeps_everything,
    transaction_undoes_everything,
    move_keeps_everything,
    reopening_keeps_everything,
    confirms_nothing_when_displaced,
    continues_when_its_file_is_back,
    changes_lead_to_what_it_has,
    lists_only_changes,
    copies_for_other_cursors,
    remembers_what_was_replaced,
    lists_every_write,
    cursors_move_on,
    copies_note_where_they_begin,
    visits_what_is_live,
    remembers_no_unnamed_write,
    keeps_notes,
    notes_are_no_changes
};

/// Returns the rule as a sentence.
[[nodiscard]] constexpr const char* to_string(StoreRule rule) noexcept {
    constexpr const char* sentences[] = {
        "a new store has no element and no remembered operation",
        "add, remove and remember accept everything, and update accepts an element that exists",
        "find returns the last write of the element in its session, and its stamp",
        "read returns the last value that was written",
        "read returns nothing for an absent or removed element",
        "update rejects an absent or removed element",
        "a rejected update changes and remembers nothing",
        "applied returns the hash that came with the operation, even if the operation changed "
        "nothing",
        "applied returns the decision that came with the operation",
        "applied returns nothing for an operation that never came",
        "expire changes no element that exists",
        "expire keeps the tombstones at the horizon and after it",
        "the horizon never decreases",
        "transaction runs its body once",
        "transaction returns the error of its body, and passes its exceptions on",
        "a transaction keeps all changes of its body",
        "a transaction whose body returns an error or throws changes nothing, and remembers no "
        "operation",
        "a moved store keeps everything",
        "a store that is closed and opened again keeps everything",
        "a store whose path leads to another file, or to none, confirms nothing",
        "a store whose file is at its path again continues, with everything it had",
        "a reader that applies the pages of changes_since has the elements of the session",
        "changes_since lists nothing twice, and nothing to a reader that has everything",
        "changes_since begins a copy for a cursor of another store or ahead of it, and no other "
        "unless removals were forgotten",
        "replaced returns the version in whose place an operation that overwrites put its own, and "
        "nothing for other operations",
        "each add, update and remove is a new change for changes_since, also a removal of what is "
        "removed or absent",
        "a cursor of changes_since stays in its store and never goes back, and each page with more "
        "pages after it moves it, except at the beginning of a copy",
        "the cursor of a copy has the number of the last change when the copy began",
        "for_each visits each live element of the session once, with its value and stamp, and no "
        "other",
        "a write whose mark has no id changes the element, and remembers no operation",
        "note returns the last bytes that set_note was given for the name, and none for other "
        "names",
        "set_note changes no element, and is no new change for changes_since"};
    const auto i = static_cast<std::size_t>(rule);
    return i < sizeof sentences / sizeof sentences[0] ? sentences[i] : "unknown";
}

}}}  // namespace belay::check
