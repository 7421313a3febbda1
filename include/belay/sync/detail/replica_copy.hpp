// SPDX-License-Identifier: MIT
/// \file belay/sync/detail/replica_copy.hpp
/// ReplicaCopy: what the server has, in the local store of a Replica.
#pragma once

#include <algorithm>      // std::max
#include <cstddef>        // std::size_t
#include <cstdint>        // std::int64_t, std::uint64_t
#include <functional>     // std::less
#include <map>            // std::map
#include <optional>       // std::optional
#include <string>         // std::string
#include <string_view>    // std::string_view
#include <system_error>   // std::error_code
#include <unordered_set>  // std::unordered_set
#include <utility>        // std::move
#include <vector>         // std::vector

#include <belay/sync/changes.hpp>
#include <belay/sync/detail/replica_edits.hpp>
#include <belay/sync/detail/sync_bytes.hpp>
#include <belay/sync/store_like.hpp>
#include <belay/sync/sync_errc.hpp>
#include <belay/sync/sync_server_like.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Returns the state of an element in a local store. One that is damaged counts as absent, and is
/// replaced by the next change.
template <class Store>
[[nodiscard]] Result<part::ElementState> find_local(Store& store, const part::ElementKey& key) {
    const Result<part::ElementState> found = store.find(key);
    return found || !is_unreadable(found.error()) ? found : part::ElementState{};
}
/// Reads the value of a version in a local store. If it cannot be read, the version has the error.
///
/// Errors: the store's other ones.
template <class Store, class Change>
[[nodiscard]] std::error_code read_value(Store& store, std::string_view session, Change& version) {
    auto value = store.read({session, version.id});
    if (value) {
        version.value = std::move(*value);
        return {};
    }
    if (!is_unreadable(value.error())) return value.error();
    version.error = SyncErrc::unreadable;
    return {};
}

/// The elements whose present values are on no page.
template <class Change>
struct UnreadableValues {
    std::map<std::string, Change, std::less<>> changes{};  // by their ids, if not reported yet
    bool is_due = true;         // they are to be read again, once in each run
    std::optional<bool> any{};  // whether the local store has noted one; none: not known yet
};

/// Brings pages of changes into a store.
///
/// The cursor is a note of the store that has the elements, and is written after them, in the same
/// transaction if the store has transactions. So it is never ahead of them, and changes that are
/// applied again change nothing. The number up to which it has seen the history is written before
/// them, so that elements of a history that the server then loses are noticed. Before the elements
/// of another store come, the end of the former history is kept, too.
///
/// If a value of a page cannot be read, the store gets the stamp of that version, and the number of
/// the cursor before the first such page. From there the next run of the program reads again, with
/// a codec that may be another one.
///
/// If a version gives way to an earlier one, as in a copy of a restored store, the store keeps its
/// stamp. Other devices may still name the lost version, so no later edit may have that stamp.
///
/// If the server's removal is an earlier one than that here, which stays, the store keeps both
/// stamps. An edit that adds the element again names the server's one, else it would be a conflict.
template <StoreLike Store>
class ReplicaCopy {
public:
    using Value = ValueOfStore<Store>;
    using Page = part::ChangesPage<Value>;
    using Change = part::ElementChange<Value>;
    /// The number `seen` while the store has elements of two histories; ahead of each store.
    static constexpr std::uint64_t no_history = (std::uint64_t{1} << 62) - 2;

    using Unreadable = UnreadableValues<Change>;

    ReplicaCopy(Store& store, const std::string& session, Unreadable& unreadable) noexcept
        : store_{store}, session_{session}, unreadable_{unreadable} {}

    /// Returns: nothing before the first copy was complete.
    [[nodiscard]] Result<std::optional<part::StoreCursor>> cursor() {
        const Result<Notes> notes = read_notes();
        if (!notes) return notes.error();
        return notes->has_cursor ? std::optional{notes->cursor} : std::nullopt;
    }
    /// Returns the end of the history that the elements here have: its store, and the number of its
    /// last change. The number is 0 if only a part of a copy is here. Until the copy of another
    /// store is complete, it is the end that keep_end() has kept.
    [[nodiscard]] Result<part::StoreCursor> end_of_history(const part::StoreCursor& cursor) {
        part::StoreCursor end{.store = cursor.store, .changes = cursor.changes};
        if (cursor.seen < no_history) {
            if (end.changes != 0) end.changes = std::max(cursor.changes, cursor.seen);
            return end;
        }
        const Result<Notes> notes = read_notes();
        if (!notes) return notes.error();
        return notes->former.store != no_id ? notes->former : end;
    }
    /// Keeps it while the elements of another store come. A later attempt then finds the same loss,
    /// also if the cursor, but not `seen`, is already that of the other store.
    [[nodiscard]] std::error_code keep_end(const part::StoreCursor& end) {
        Result<Notes> notes = read_notes();
        if (!notes) return notes.error();
        notes->former = end;
        return write(*notes);
    }
    /// The transfer that a page belongs to.
    enum class Of : std::uint8_t {
        changes,     ///< its cursor is kept
        again,       ///< some of its changes are here, and the cursor is kept at the end
        copy,        ///< only what differs is a change, and the cursor is kept at the end
        other_copy,  ///< of another store, where a stamp may name another version
        first_copy   ///< into an empty store without a cursor
    };
    /// Calls `visit(change)`, which returns a std::error_code, for each change that apply() makes.
    /// An element whose value cannot be read stays as it is. Calls `skip(change)`, which does, too,
    /// for each removal of an element whose removal here is as late or later.
    template <class Visit, class Skip>
    [[nodiscard]] std::error_code for_each_new(const Page& page, Of of, Visit visit, Skip skip) {
        for (const Change& change : page.changes) {
            if (change.error) continue;
            if (of == Of::copy || of == Of::again || change.is_removal()) {
                const Result<bool> has = has_version(change);
                if (!has) return has.error();
                if (*has) {
                    const auto error = change.is_removal() ? skip(change) : std::error_code{};
                    if (error) return error;
                    continue;
                }
            }
            if (const std::error_code error = visit(change)) return error;
        }
        return {};
    }
    /// `after` is the number of the cursor of the page's question; 0 in a copy. `lost` has the
    /// versions here that are later than those of the page, without values. Adds the changes whose
    /// values the store rejects to `rejected`, without values; their elements stay as they are.
    [[nodiscard]] std::error_code apply(const Page& page, Of of, std::uint64_t after,
                                        const std::vector<Change>& lost,
                                        std::vector<Change>& rejected) {
        return in_transaction([&]() -> std::error_code {
            Result<Notes> notes = read_notes();
            if (!notes) return notes.error();
            if (of != Of::first_copy) {
                // Until the copy of another store is complete, there are elements of two histories.
                const std::uint64_t seen = of != Of::other_copy ? page.next.seen : no_history;
                notes->cursor.seen = seen;
                notes->cursor.epoch = page.next.epoch;
            }
            const auto note_unreadable = [&](const Change& change) {
                // In a copy, the number there may be of another history.
                if (is_copy(of) || !notes->unreadable_after) notes->unreadable_after = after;
                return note(&Stamps::unreadable, change.id, change.stamp);
            };
            for (const Change& change : page.changes) {
                if (!change.error) continue;
                if (const auto error = note_unreadable(change)) return error;
            }
            if (const auto error = write(*notes)) return error;
            for (const Change& one : lost) {
                if (const auto error = note_lost(one)) return error;
            }
            const auto take = [&](const Change& change) {
                const std::error_code error = put(change);
                if (!change.value || error != SyncErrc::bad_operation) return error;
                rejected.push_back({change.id, change.stamp, std::nullopt, error});
                return note_unreadable(change);
            };
            const std::error_code error = for_each_new(
                page, of, take, [&](const Change& change) { return note_removal(change); });
            if (error) return error;
            if (of == Of::changes) notes->take_place(page.next);
            return of == Of::changes || !rejected.empty() ? write(*notes) : std::error_code{};
        });
    }
    /// Returns the number of the cursor before the first version that could not be read; nothing if
    /// all could.
    [[nodiscard]] Result<std::optional<std::uint64_t>> unreadable_after() {
        const Result<Notes> notes = read_notes();
        if (!notes) return notes.error();
        return notes->unreadable_after;
    }
    /// Returns the stamp of the server's version of an element, which is `here` in the store.
    [[nodiscard]] Result<Stamp> version_there(std::string_view element,
                                              const part::ElementState& here) {
        if (here.presence != part::Presence::removed) return here.stamp;
        const Result<Stamp> removal = noted(&Stamps::removal, element);
        if (!removal || *removal != here.stamp) return removal ? here.stamp : removal;
        return noted(&Stamps::earlier, element);
    }
    /// Returns the stamp of the latest version of an element that this replica knows. It may be one
    /// that cannot be read, which an edit of `seen` replaces.
    [[nodiscard]] Result<Stamp> latest_of(std::string_view element, const Stamp& seen) {
        if (!unreadable_.any) {
            const auto after = unreadable_after();
            if (!after) return after.error();
            unreadable_.any = after->has_value();
        }
        if (!*unreadable_.any) return seen;
        const Result<Stamp> hidden = noted(&Stamps::unreadable, element);
        return hidden ? std::max(seen, *hidden) : hidden;
    }
    /// Returns the latest stamp of an element that no edit may get again. It is that of a lost
    /// version, or of an edit that is given up, or may be. Edits of other devices may name it.
    template <class Edits>
    [[nodiscard]] Result<Stamp> lost_of(Edits& edits, std::string_view element) {
        const Result<Stamps> stamps = read_stamps(element);
        if (!stamps) return stamps.error();
        return std::max(stamps->lost,
                        last_rejected(edits, edits.last_of(element), stamps->latest()));
    }
    /// Keeps the stamp of an edit that a later one would get again. A store may have applied the
    /// edit, and have lost it, so edits of other devices may name it.
    template <class Edits, class Edit>
    [[nodiscard]] std::error_code note_given_up(Edits& edits, const Edit& edit) {
        if (edit.operation.kind() == OperationKind::interaction) return {};
        const std::string_view element = edit.operation.element();
        const Result<Stamps> stamps = read_stamps(element);
        if (!stamps) return stamps.error();
        if (!LiftedStamps{edits, edits.last_of(element), stamps->latest()}.has(edit)) return {};
        return note_lost({std::string{element}, edit.operation.stamp, std::nullopt});
    }
    /// Makes this the version of an element, which may be a removal.
    [[nodiscard]] std::error_code put(const Change& change) {
        const part::ElementKey key{session_, change.id};
        return change.value ? store_.add(key, *change.value, mark(change.stamp))
                            : store_.remove(key, mark(change.stamp));
    }
    /// Returns the live elements that are not in `copied`, with their stamps, except those whose
    /// values cannot be read.
    [[nodiscard]] Result<std::vector<Change>> beside(
        const std::unordered_set<std::string>& copied) {
        std::vector<Change> gone;
        const std::error_code error =
            visit_all(store_, session_, [&](std::string_view id, const Value&, const Stamp& stamp) {
                std::string name{id};
                if (copied.count(name) == 0) gone.push_back({std::move(name), stamp, std::nullopt});
            });
        if (error && !is_unreadable(error)) return error;
        return gone;
    }
    /// Ends a copy, or what is read again: removes the elements that are gone, and keeps the cursor
    /// and the number of unreadable_after().
    [[nodiscard]] std::error_code finish(const std::vector<Change>& gone,
                                         const part::StoreCursor& cursor,
                                         std::optional<std::uint64_t> unreadable_after) {
        return in_transaction([&]() -> std::error_code {
            for (const Change& one : gone) {
                // The server does not know any more who removed it, so the removal has no origin.
                const std::error_code failed =
                    store_.remove({session_, one.id}, mark(stamp_above(one.stamp, no_id)));
                if (failed) return failed;
            }
            Result<Notes> notes = read_notes();
            if (!notes) return notes.error();
            notes->unreadable_after = unreadable_after;
            notes->take_place(cursor);
            notes->cursor.seen = cursor.seen;
            notes->cursor.epoch = cursor.epoch;
            return write(*notes);
        });
    }

private:
    /// The note of the copy.
    struct Notes {
        static void each_field(auto& self, auto&& f) {
            f("has_cursor", self.has_cursor), f("cursor", self.cursor), f("former", self.former);
            f("unreadable_after", self.unreadable_after);
        }
        void take_place(const part::StoreCursor& next) noexcept {
            has_cursor = true;
            cursor.store = next.store;
            cursor.changes = next.changes;
            // All of these are here, so no removal of before is needed.
            cursor.copied_at = next.changes;
        }
        bool has_cursor = false;
        part::StoreCursor cursor{};
        part::StoreCursor former{};  // the end of the former history
        std::optional<std::uint64_t> unreadable_after{};
    };
    /// The note of an element. A stamp that is not noted is Stamp{}.
    struct Stamps {
        static void each_field(auto& self, auto&& f) {
            f("unreadable", self.unreadable), f("lost", self.lost);
            f("removal", self.removal), f("earlier", self.earlier);
        }
        /// Returns the latest version, other than the one that it names, above which an edit of the
        /// element may be.
        [[nodiscard]] Stamp latest() const noexcept {
            return std::max({unreadable, lost, removal});
        }
        Stamp unreadable{};  // of the latest version that could not be read
        Stamp lost{};     // the latest one that no edit may get again: of a version that a restored
                          // store has lost, or of an edit that was dropped
        Stamp removal{};  // of the removal here that is later than the server's
        Stamp earlier{};  // of the server's removal then
    };

    /// Returns whether the store has the version of a change, or a later removal than this one. An
    /// earlier removal may come after it if the server has forgotten or lost it. The store keeps
    /// the later one: an edit that has not seen it may undo it, and its author is to report that.
    [[nodiscard]] Result<bool> has_version(const Change& change) {
        const Result<part::ElementState> found = find_local(store_, {session_, change.id});
        if (!found) return found.error();
        const auto there = change.value ? part::Presence::live : part::Presence::removed;
        if (found->presence != there) return false;
        return found->stamp == change.stamp || (change.is_removal() && change.stamp < found->stamp);
    }
    [[nodiscard]] static bool is_copy(Of of) noexcept {
        return of != Of::changes && of != Of::again;
    }
    /// Returns such a stamp; Stamp{} if there is none.
    [[nodiscard]] Result<Stamp> noted(Stamp Stamps::*of, std::string_view element) {
        const Result<Stamps> stamps = read_stamps(element);
        if (!stamps) return stamps.error();
        return (*stamps).*of;
    }
    /// Notes a version as a lost one.
    [[nodiscard]] std::error_code note_lost(const Change& version) {
        const Result<Stamp> before = noted(&Stamps::lost, version.id);
        if (!before) return before.error();
        return *before < version.stamp ? note(&Stamps::lost, version.id, version.stamp)
                                       : std::error_code{};
    }
    /// Notes a removal of the server that is earlier than the one here, or the one here again.
    [[nodiscard]] std::error_code note_removal(const Change& there) {
        const Result<part::ElementState> here = find_local(store_, {session_, there.id});
        if (!here) return here.error();
        if (here->presence != part::Presence::removed || here->stamp < there.stamp) return {};
        const Result<Stamp> before = version_there(there.id, *here);
        if (!before) return before.error();
        if (*before == there.stamp) return {};
        return change_stamps(there.id, [&](Stamps& stamps) {
            stamps.earlier = there.stamp;
            stamps.removal = here->stamp;
        });
    }
    [[nodiscard]] std::error_code note(Stamp Stamps::*of, std::string_view element,
                                       const Stamp& stamp) {
        return change_stamps(element, [&](Stamps& stamps) { stamps.*of = stamp; });
    }
    template <class Body>
    [[nodiscard]] std::error_code change_stamps(std::string_view element, Body change) {
        Result<Stamps> stamps = read_stamps(element);
        if (!stamps) return stamps.error();
        change(*stamps);
        Bytes bytes;
        append_field(bytes, *stamps);
        return store_.set_note(name_of(element), bytes);
    }
    [[nodiscard]] Result<Stamps> read_stamps(std::string_view element) {
        const Result<Bytes> bytes = store_.note(name_of(element));
        if (!bytes) return bytes.error();
        Stamps stamps;
        if (bytes->empty()) return stamps;
        SyncReader in{*bytes};
        in.field(stamps);
        return in.whole() ? Result<Stamps>{stamps} : make_error_code(SyncErrc::store_corrupt);
    }
    [[nodiscard]] Result<Notes> read_notes() {
        const Result<Bytes> bytes = store_.note("copy " + session_);
        if (!bytes) return bytes.error();
        Notes notes;
        if (bytes->empty()) return notes;
        SyncReader in{*bytes};
        in.field(notes);
        return in.whole() ? Result<Notes>{notes} : make_error_code(SyncErrc::store_corrupt);
    }
    [[nodiscard]] std::error_code write(const Notes& notes) {
        if (notes.cursor.changes > no_history || notes.cursor.seen > no_history) {
            return SyncErrc::store_disagrees;
        }
        Bytes bytes;
        append_field(bytes, notes);
        return store_.set_note("copy " + session_, bytes);
    }
    /// Different for each session and element, though their names are any bytes.
    [[nodiscard]] std::string name_of(std::string_view element) const {
        std::string name = "element " + std::to_string(session_.size()) + ' ' + session_;
        return name.append(element);
    }
    [[nodiscard]] static part::WriteMark mark(const Stamp& stamp) noexcept {
        // Without an id: only a processor needs to know what was applied.
        return {stamp, no_id, 0, part::Decision::unknown};
    }
    template <class Body>
    [[nodiscard]] std::error_code in_transaction(Body body) {
        if constexpr (HasTransaction<Store>) {
            return store_.transaction(body);
        } else {
            return body();
        }
    }

    Store& store_;
    const std::string& session_;
    Unreadable& unreadable_;
};

}}}  // namespace belay::detail
