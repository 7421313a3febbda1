// SPDX-License-Identifier: MIT
/// \file belay/sync/changes.hpp
/// StoreCursor, ElementChange, ChangesPage: the changes of a store since a reader's last page.
#pragma once

#include <cstdint>       // std::uint64_t
#include <optional>      // std::optional
#include <string>        // std::string
#include <system_error>  // std::error_code
#include <vector>        // std::vector

#include <belay/sync/stamp.hpp>

namespace belay { inline namespace BELAY_ABI { namespace part {

/// A reader's position in the changes of one store. It counts the store's own changes, and never
/// compares stamps, so no clock matters.
///
/// A new reader starts with StoreCursor{}.
///
/// Thread safety: a plain value.
struct StoreCursor {
    /// The id of the store, which is random and made with the store; no_id before the first page.
    Id store{};
    /// The number of the last change of the store that the reader has.
    std::uint64_t changes = 0;
    /// The number of the store's last change when the reader's copy began. The reader needs no
    /// removals up to this one.
    std::uint64_t copied_at = 0;
    /// The number of the store's last change when it made the reader's last page. A change of an
    /// element that had changed again by then is not on that page, though its number is below
    /// `changes`. So the cursor is of the history up to this number.
    std::uint64_t seen = 0;
    /// The epoch of the change `seen`: a random number of the opening of the store that made it. A
    /// store that was restored from a backup, and has since made other changes of the same numbers,
    /// has another epoch there. Kafka finds a log that diverges in this way (KIP-101). 0: unknown,
    /// and not compared.
    std::uint32_t epoch = 0;

    /// Calls `f(name, field)` for each field.
    static constexpr void each_field(auto& self, auto&& f) {
        f("store", self.store), f("changes", self.changes), f("copied_at", self.copied_at);
        f("seen?", self.seen), f("epoch?", self.epoch);
    }
    friend constexpr bool operator==(const StoreCursor&, const StoreCursor&) noexcept = default;
};

/// The present version of an element that changed.
template <class Value>
struct ElementChange {
    /// The id of the element.
    std::string id{};
    /// The stamp of the present version, also of a removal. An edit of it names this in `saw`.
    Stamp stamp{};
    /// The value; nothing if the element was removed, or if there is an error.
    std::optional<Value> value{};
    /// The reason why the value of a live element is not here. store_corrupt: the server could not
    /// write it; bad_operation: this side could not read it; those of the store. The next change of
    /// the element has the value again.
    std::error_code error{};

    /// Returns whether the element was removed. A value that cannot be read is no removal.
    [[nodiscard]] bool is_removal() const noexcept { return !value && !error; }
    friend bool operator==(const ElementChange&, const ElementChange&) = default;
};

/// A part of the changes after a cursor, in the order of the last change of each element.
///
/// Thread safety: a plain value.
template <class Value>
struct ChangesPage {
    /// The changes; each element is listed once, with its present version.
    std::vector<ElementChange<Value>> changes{};
    /// The cursor for the next call.
    StoreCursor next{};
    /// Whether this is the first page of a copy of everything. Elements of the reader that are on
    /// none of the pages of the copy do not exist any more.
    bool begins_copy = false;
    /// Whether there are more changes after this page.
    bool more = false;
    /// Whether the copy begins because the cursor is of another history: of another store, ahead of
    /// this one, or of changes that this store lost when it was restored.
    bool other_history = false;

    /// Calls `f(name, field)` for each field, except the changes.
    static constexpr void each_field(auto& self, auto&& f) {
        f("begins_copy", self.begins_copy), f("more", self.more);
        f("other_history?", self.other_history), f("next", self.next);
    }
    friend bool operator==(const ChangesPage&, const ChangesPage&) = default;
};

}}}  // namespace belay::part
