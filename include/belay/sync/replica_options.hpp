// SPDX-License-Identifier: MIT
/// \file belay/sync/replica_options.hpp
/// ReplicaOptions: the limits and choices of a Replica.
/// ReplicaReport: the outcome of one sync().
#pragma once

#include <cstddef>       // std::size_t
#include <cstdint>       // std::uint8_t, std::uint64_t
#include <optional>      // std::optional
#include <string>        // std::string, std::to_string
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code
#include <vector>        // std::vector

#include <belay/core/random.hpp>
#include <belay/sync/changes.hpp>
#include <belay/sync/hybrid_clock.hpp>
#include <belay/sync/operation.hpp>
#include <belay/sync/sync_result.hpp>

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
    /// With `stops`, a program can first ask a person which of the two stores is right.
    OtherStore other_store = OtherStore::stops;
    /// Whether an update without `base` gets the value that it changes, for strategies that merge.
    /// Both values are in one record of the journal, so an update is too_large if they are longer
    /// than a record together.
    bool adds_base = true;
    /// How the clock of the edits follows the clocks of other devices, and restarts.
    ReplicaClockOptions clock{};
    /// The seed of the ids; without one, they come from the system's entropy.
    std::optional<Seed> seed = std::nullopt;
};

namespace part {

/// The lists of a ReplicaReport, by the names of its members.
enum class ReportList : std::uint8_t {
    conflicts,
    overwrote,
    kept,
    replaced,
    rebased,
    restored,
    unreadable,
    lost
};

/// Returns the meaning of an entry of a list, for a user.   Complexity: O(1).
[[nodiscard]] constexpr std::string_view to_string(ReportList list) noexcept {
    constexpr std::string_view texts[] = {"your edit lost",
                                          "your edit replaced one that you had not seen",
                                          "the server did not take your edit",
                                          "another device changed your version",
                                          "another device changed it while your edit waited",
                                          "the server had lost it, and gets it again",
                                          "its new value cannot be read",
                                          "the server has lost changes"};
    return texts[static_cast<std::size_t>(list)];
}

/// The outcome of one sync() of a Replica, as `Replica::Report`. An edit may be in several lists.
///
///     report.for_each([](const auto& entry) { std::puts(entry.text(text_of).c_str()); });
///
/// Thread safety: a plain value.
template <class Value>
struct ReplicaReport {
    using operation_type = Operation<Value>;

    /// A version that this replica had made, and the version of another author in its place. Its
    /// author may have seen this one or not.
    struct Replaced {
        /// The version that was made here; its value is empty if it was a removal.
        ElementChange<Value> mine{};
        /// The version of the server in its place.
        ElementChange<Value> now{};
    };
    /// The changes that the server's store has lost, or never had, as far as this replica knows.
    struct Lost {
        /// The first and the last lost change, by their numbers in the former history. The first
        /// one is 0 if it is unknown, because the store has since made more changes. Both are 0 if
        /// this replica has received no change of the former history, or only a part of a copy, or
        /// if a crash interrupted its first changes.
        std::uint64_t first_change = 0;
        /// The number of the last lost change; see `first_change`.
        std::uint64_t last_change = 0;
        /// The number of elements whose versions here are later than those of the store, and the
        /// stamps of these versions. After a sync that failed, the next report counts only as many
        /// as are new. OtherStore::stops counts none.
        std::uint64_t elements = 0;
        /// The lowest of these stamps; Stamp{} if `elements` is 0.
        Stamp earliest{};
        /// The highest of these stamps; Stamp{} if `elements` is 0.
        Stamp latest{};
        /// Calls `f(name, field)` for each field.
        static void each_field(auto& self, auto&& f) {
            f("first_change", self.first_change), f("last_change", self.last_change);
            f("elements", self.elements), f("earliest", self.earliest), f("latest", self.latest);
        }
        friend bool operator==(const Lost&, const Lost&) = default;
    };
    struct Entry;

    /// The reason why the sync did not complete; call it again. No edit is lost.
    std::error_code error{};
    /// The operations that the server has applied, or knew from before.
    std::size_t synced = 0;
    /// The changes that came from the server, those of this replica included.
    std::size_t received = 0;
    /// Whether the server sent a copy of everything: at first, if it has no list of changes, or
    /// if it has forgotten removals since the last sync.
    bool copied = false;
    /// The edits that the server decided against.
    std::vector<Conflict<operation_type>> conflicts{};
    /// The edits that replaced a version that their author had not seen, with that version.
    std::vector<typename SyncResult<operation_type>::Overwrite> overwrote{};
    /// The edits that the server did not take, or that this program cannot read, and that are in
    /// kept() from now on. Each is listed once.
    std::vector<FailedOperation<operation_type>> kept{};
    /// The versions of this replica in whose place the sync received those of other authors.
    std::vector<Replaced> replaced{};
    /// The elements that others changed while edits of them wait here. These edits stay
    /// visible, and the server decides them as concurrent changes.
    std::vector<std::string> rebased{};
    /// The elements whose versions here the server had lost, and which have become edits that
    /// are sent to it, sorted; see ReplicaOptions::OtherStore::restores.
    std::vector<std::string> restored{};
    /// The elements whose values the server could not write, or this device could not read,
    /// with the error; by their ids. They stay here as they were, and the other changes are
    /// received. An edit of such an element replaces its value. The next sync() lists them
    /// again if this one did not receive everything, and the first one of the next run asks
    /// for them again.
    std::vector<ElementChange<Value>> unreadable{};
    /// The loss of the server's store; nothing if it is the former one. After a crash during
    /// the copy of that store, or a report with an error, the next report counts the rest.
    std::optional<Lost> lost{};

    /// Calls `visit(const Entry&)` for each entry of each list, and once for `lost`. So a program
    /// that shows all of them forgets no list.
    /// Throws: what `visit` throws.   Complexity: linear in the entries.
    template <class Visit>
    void for_each(Visit&& visit) const {
        // Does not compile with a member that is not named here.
        const auto& [error_, synced_, received_, copied_, conflicts_, overwrote_, kept_, replaced_,
                     rebased_, restored_, unreadable_, lost_] = *this;
        const auto show = [&](const Entry& entry) { visit(entry); };
        for (const auto& one : conflicts_) show(Entry::of(ReportList::conflicts, one.operation));
        for (const auto& one : overwrote_) {
            Entry entry = Entry::of(ReportList::overwrote, one.operation);
            entry.other = pointer_to(one.replaced.value);
            show(entry);
        }
        for (const auto& one : kept_) {
            Entry entry = Entry::of(ReportList::kept, one.operation);
            entry.error = one.error;
            show(entry);
        }
        for (const auto& one : replaced_) {
            show(Entry{ReportList::replaced, one.mine.id, nullptr, pointer_to(one.mine.value),
                       pointer_to(one.now.value), one.now.error ? one.now.error : one.mine.error,
                       bool{one.mine.error}});
        }
        for (const auto& id : rebased_) show(Entry{ReportList::rebased, id});
        for (const auto& id : restored_) show(Entry{ReportList::restored, id});
        for (const auto& one : unreadable_) {
            show(Entry{ReportList::unreadable, one.id, nullptr, nullptr, nullptr, one.error});
        }
        if (lost_) show(Entry{ReportList::lost});
    }

private:
    [[nodiscard]] static const Value* pointer_to(const std::optional<Value>& value) noexcept {
        return value ? &*value : nullptr;
    }
};

/// An entry of a list of a ReplicaReport. Its pointers are valid as long as the report.
template <class Value>
struct ReplicaReport<Value>::Entry {
    ReportList list{};
    /// The id of the element; empty for `lost`.
    std::string_view element{};
    /// The edit, in conflicts, overwrote and kept; otherwise null.
    const operation_type* edit = nullptr;
    /// The value of the edit, or in `replaced` that of this replica's version; null for a removal.
    const Value* mine = nullptr;
    /// In overwrote the value that the edit replaced, and in `replaced` the value that is there
    /// now; null for a removal.
    const Value* other = nullptr;
    /// In `kept` the reason; in `unreadable`, and in `replaced` if a version cannot be read, the
    /// error of the value.
    std::error_code error{};
    /// In `replaced`, whether this program cannot read the value of this replica's version.
    bool mine_is_unreadable = false;

    /// Returns one line with everything in the entry. `text_of(const Value&)` returns the text of a
    /// value.
    /// Throws: std::bad_alloc; what `text_of` throws.
    template <class TextOf>
    [[nodiscard]] std::string text(TextOf&& text_of) const {
        const auto shown = [&](const Value* value) {
            return value != nullptr ? '"' + std::string{text_of(*value)} + '"' : "removed";
        };
        std::string line{element};
        if (!line.empty()) line += ": ";
        line += to_string(list);
        if (edit != nullptr && edit->kind() == OperationKind::interaction) {
            line += ": " + std::string{what_happened(*edit)};
        } else if (edit != nullptr || list == ReportList::replaced) {
            line += ": " + (mine_is_unreadable ? "unreadable" : shown(mine));
        }
        if (list == ReportList::overwrote) line += " in place of " + shown(other);
        if (list == ReportList::replaced && (!error || other != nullptr)) {
            line += " is now " + shown(other);
        }
        if (error) line += " (" + error.message() + ')';
        return line;
    }

private:
    friend ReplicaReport;
    [[nodiscard]] static Entry of(ReportList list, const operation_type& edit) {
        const bool has_value =
            edit.kind() == OperationKind::add || edit.kind() == OperationKind::update;
        return {list, edit.element(), &edit, has_value ? &edit.value() : nullptr, nullptr, {}};
    }
};

}  // namespace part

}}  // namespace belay
