// SPDX-License-Identifier: MIT
/// \file belay/sync/detail/replica_pull.hpp
/// ReplicaCopy: what the server has, in the local store of a Replica. ReplicaPull: brings the
/// changes of a server into it, and reports what they replace.
#pragma once

#include <algorithm>      // std::any_of, std::max, std::remove_if
#include <cstddef>        // std::ptrdiff_t, std::size_t
#include <cstdint>        // std::int64_t, std::uint64_t
#include <functional>     // std::less
#include <map>            // std::map, std::multimap
#include <optional>       // std::nullopt, std::optional
#include <set>            // std::set
#include <span>           // std::span
#include <string>         // std::string
#include <string_view>    // std::string_view
#include <system_error>   // std::error_code
#include <unordered_set>  // std::unordered_set
#include <utility>        // std::exchange, std::move, std::pair
#include <vector>         // std::erase_if, std::vector

#include <belay/core/random.hpp>
#include <belay/queue/queue_errc.hpp>
#include <belay/sync/changes.hpp>
#include <belay/sync/detail/replica_edits.hpp>
#include <belay/sync/detail/sync_bytes.hpp>
#include <belay/sync/detail/version.hpp>
#include <belay/sync/replica_options.hpp>
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
                const bool is_copy = of != Of::changes && of != Of::again;
                if (is_copy || !notes->unreadable_after) notes->unreadable_after = after;
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
        return write_note(name_of(element), *stamps);
    }
    [[nodiscard]] Result<Stamps> read_stamps(std::string_view element) {
        return read_note<Stamps>(name_of(element));
    }
    [[nodiscard]] Result<Notes> read_notes() { return read_note<Notes>("copy " + session_); }
    [[nodiscard]] std::error_code write(const Notes& notes) {
        if (notes.cursor.changes > no_history || notes.cursor.seen > no_history) {
            return SyncErrc::store_disagrees;
        }
        return write_note("copy " + session_, notes);
    }
    template <class Fields>
    [[nodiscard]] Result<Fields> read_note(const std::string& name) {
        const Result<Bytes> bytes = store_.note(name);
        if (!bytes) return bytes.error();
        Fields fields;
        if (bytes->empty()) return fields;
        SyncReader in{*bytes};
        in.field(fields);
        return in.whole() ? Result<Fields>{fields} : make_error_code(SyncErrc::store_corrupt);
    }
    template <class Fields>
    [[nodiscard]] std::error_code write_note(const std::string& name, const Fields& fields) {
        Bytes bytes;
        append_field(bytes, fields);
        return store_.set_note(name, bytes);
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

/// Receives the changes since the local store's cursor, once, and reports the versions of a replica
/// that others have replaced.
///
/// Before a change, the versions that the local store loses by it are durable: versions of this
/// replica that others have replaced, and versions that a restored server lacks.
template <class Edits, class Log, class Store, class Clock>
class ReplicaPull {
    using Copy = ReplicaCopy<Store>;
    using Page = typename Copy::Page;
    using Change = typename Copy::Change;
    using Value = typename Copy::Value;
    using Op = typename Edits::Op;
    using Edit = typename Edits::Edit;
    using Of = typename Copy::Of;
    using OtherStore = ReplicaOptions::OtherStore;

public:
    using Replaced = typename Edits::Replaced;
    using Lost = typename Replaced::Lost;

    struct Context {
        const ReplicaOptions& options;
        Clock& clock;
        Random& bits;
        typename Copy::Unreadable& unreadable;
    };
    ReplicaPull(Edits& edits, Replaced& replaced, Log& log, Store& store, Context context) noexcept
        : edits_{edits},
          replaced_{replaced},
          log_{log},
          store_{store},
          context_{context},
          copy_{store, context.options.session, context.unreadable} {}

    template <class Server, class Report>
    [[nodiscard]] std::error_code run(Server& server, Report& report) {
        const std::error_code error = receive(server, report);
        // Also after an error: these are edits from now on.
        report.restored.insert(report.restored.end(), restored_.begin(), restored_.end());
        return error;
    }

    /// Reports the versions that were replaced, and the loss of the server's store, in a process
    /// that ended before its report was read. Call it before and after the changes.
    template <class Report>
    [[nodiscard]] std::error_code report_unread(Report& report) {
        auto& unread = replaced_.unread();
        if (!unread.empty()) {
            Listed listed;
            for (const auto& one : report.replaced)
                listed.emplace(one.mine.id, version_of(one.mine));
            const std::error_code error = list(unread, listed, report);
            std::erase_if(unread, [&](const Change& mine) {
                return listed.count({mine.id, version_of(mine)}) != 0;
            });
            if (error) return error;
        }
        replaced_.take_unread_loss(report.lost);
        return {};
    }
    /// Reports the edits of this sync that others have replaced already.
    template <class Report>
    [[nodiscard]] std::error_code report_replaced(Report& report) {
        auto& unreadable = context_.unreadable.changes;
        // The pull has noted those whose result was here before; an unread report has all.
        std::multimap<std::string, std::size_t, std::less<>> noted;
        for (std::size_t i = 0; i < report.replaced.size(); ++i) {
            noted.emplace(report.replaced[i].mine.id, i);
        }
        const auto is_noted = [&](const Op& operation) {
            const auto [from, to] = noted.equal_range(operation.element());
            return std::any_of(from, to, [&](const auto& one) {
                return is_version_of(report.replaced[one.second].mine, operation);
            });
        };
        for (const auto& [seq, edit] : edits_.all()) {
            const Op& operation = edit.operation;
            const OperationKind kind = operation.kind();
            if (edit.state != EditState::dropped || edit.hidden ||
                kind == OperationKind::interaction ||
                edits_.shown(edits_.last_of(operation.element())) != &edit) {
                continue;
            }
            const bool is_removal = kind == OperationKind::remove;
            const auto mine = [&, element = std::string{operation.element()}]() -> Change {
                return {element, operation.stamp,
                        is_removal ? std::nullopt : std::optional{operation.value()}};
            };
            if (const auto bad = unreadable.find(operation.element()); bad != unreadable.end()) {
                // The local store has the version before both.
                if (is_removal || bad->second.stamp != operation.stamp) {
                    if (!is_noted(operation)) report.replaced.push_back({mine(), bad->second});
                    continue;
                }
                // A merged version would have another stamp, so this one is the edit.
                const std::error_code error = copy_.put(mine());
                if (error == SyncErrc::bad_operation) continue;
                if (error) return error;
                unreadable.erase(bad);
                continue;
            }
            const part::ElementKey key{context_.options.session, operation.element()};
            const auto local = find_local(store_, key);
            if (!local) return local.error();
            if (is_removal && local->presence != part::Presence::live &&
                (local->stamp.origin == no_id || local->stamp < operation.stamp)) {
                // A copy, of this sync or of one before, has no removals, and the one here may be
                // an earlier one of another author. An edit that adds the element again may have
                // seen this one, and this replica reports that.
                if (const std::error_code error = copy_.put(mine())) return error;
            }
            const bool is_live = local->presence == part::Presence::live;
            // An earlier version of this replica is no result of the edit. The result is
            // unreadable, or a copy, which has no removals, lacks it.
            const bool is_outdated = local->stamp < operation.stamp;
            if (local->stamp == operation.stamp || (is_removal && !is_live) ||
                is_noted(operation)) {
                continue;
            }
            Change now{std::string{operation.element()},
                       is_outdated && !is_live ? Stamp{} : local->stamp, std::nullopt};
            if (const auto error = read_value(store_, context_.options.session, now)) return error;
            // The next stamp is that of a merged version. Any other version of this replica may be
            // one that another device has restored.
            if (local->stamp.origin == context_.clock.origin() && !is_outdated &&
                (is_version_of(now, operation) || now.stamp == next_stamp(operation.stamp))) {
                continue;
            }
            report.replaced.push_back({mine(), std::move(now)});
        }
        return {};
    }

private:
    struct Position {
        part::StoreCursor had{};  // at the beginning
        part::StoreCursor cursor{};
        bool is_first = false;  // nothing was received before
        int copies = 0;
        bool has_lost = false;  // changes before it, and the log does not have the loss yet
        bool is_noted = false;  // the log has the loss: of a copy whose cursor did not get here
    };

    template <class Server, class Report>
    [[nodiscard]] std::error_code receive(Server& server, Report& report) {
        const auto found = copy_.cursor();
        if (!found) return found.error();
        position_.is_first = !found->has_value();
        position_.had = found->value_or(part::StoreCursor{});
        position_.cursor = position_.had;
        if (const auto error = go_back()) return error;
        std::size_t empty_pages = 0;  // in a row
        for (bool more = true; more;) {
            auto page = server.changes(position_.cursor);
            if (!page) return page.error();
            if (const auto error = take(*page, report)) return error;
            report.received += page->changes.size();
            position_.cursor = page->next;
            more = page->more;
            empty_pages = page->changes.empty() ? empty_pages + 1 : 0;
            if (more && empty_pages == part::empty_pages_max) return SyncErrc::endless_changes;
            // The following pages are new, so the cursor of each page is kept.
            const bool is_read_again =
                of_ == Of::again && position_.cursor.changes >= position_.had.changes;
            if (is_read_again || (!more && of_ != Of::changes)) {
                if (const auto error = finish(report)) return error;
            }
        }
        context_.unreadable.is_due = false;
        return {};
    }
    /// Goes back to the first value that could not be read, if there is one.
    [[nodiscard]] std::error_code go_back() {
        if (!context_.unreadable.is_due) return {};
        const auto after = copy_.unreadable_after();
        if (!after) return after.error();
        context_.unreadable.any = after->has_value();
        if (*after && **after < position_.cursor.changes) {
            position_.cursor.changes = **after;
            of_ = Of::again;
        }
        return {};
    }
    template <class Report>
    [[nodiscard]] std::error_code finish(Report& report) {
        std::vector<Change> gone;
        if (of_ != Of::again) report.copied = true;
        if (of_ == Of::copy || of_ == Of::other_copy) {
            auto beside = copy_.beside(copied_);
            if (!beside) return beside.error();
            gone = std::move(*beside);
        }
        Page absent;
        for (const Change& one : gone) {
            absent.changes.push_back({one.id, Stamp{}, std::nullopt});
        }
        if (const auto error = prepare(absent, report)) return error;
        if (std::exchange(position_.has_lost, false)) {
            // From now on the local store does not show it.
            if (const auto error = note_loss(gone, *report.lost)) return error;
            if (const auto error = log_.commit()) return error;
        }
        if (const auto error = copy_.finish(gone, position_.cursor, unreadable_after_))
            return error;
        context_.unreadable.any = unreadable_after_.has_value();
        context_.unreadable.is_due = false;
        of_ = Of::changes;
        return {};
    }
    template <class Report>
    [[nodiscard]] std::error_code take(const Page& page, Report& report) {
        if (page.begins_copy) {
            if (const auto error = begin_copy(page, report)) return error;
        }
        // Without a copy, a cursor stays in its store, and never goes back.
        const bool follows =
            page.begins_copy || (!page.other_history && page.next.store == position_.cursor.store &&
                                 page.next.changes >= position_.cursor.changes);
        // The others would not end.
        if (!follows || position_.copies > 3 ||
            (page.more && !page.begins_copy && page.next.changes == position_.cursor.changes)) {
            return SyncErrc::store_disagrees;
        }
        if (of_ == Of::copy || of_ == Of::other_copy) {
            for (const Change& change : page.changes) copied_.insert(change.id);
        }
        if (const auto error = note_unreadable(page)) return error;
        // An empty page of another store notes that there are elements of two histories.
        if (of_ != Of::other_copy && page.changes.empty() &&
            page.next.changes == position_.had.changes) {
            return {};
        }
        lost_.clear();
        const auto before = static_cast<std::ptrdiff_t>(report.replaced.size());
        if (const auto error = prepare(page, report)) return error;
        std::vector<Change> rejected;
        std::error_code error = copy_.apply(
            page, of_, page.begins_copy ? 0 : position_.cursor.changes, lost_, rejected);
        for (const Change& one : rejected) {
            if (error) break;
            // It has replaced nothing here.
            const auto is_one = [&](const Change& mine) { return mine.id == one.id; };
            auto& list = report.replaced;
            list.erase(std::remove_if(list.begin() + before, list.end(),
                                      [&](const auto& entry) { return is_one(entry.mine); }),
                       list.end());
            std::erase_if(lost_, is_one);
            error = note_unreadable(one, page);
        }
        if (of_ == Of::other_copy) {
            // A version that is still here is counted when the page comes again.
            for (const Change& one : lost_) {
                if (!error || is_replaced(one)) count_lost(one.stamp, *report.lost);
            }
        }
        return error;
    }
    /// Returns whether a store without transactions has the change that replaces a version.
    [[nodiscard]] bool is_replaced(const Change& version) {
        const auto here = find_local(store_, {context_.options.session, version.id});
        return here && here->stamp != version.stamp;
    }
    /// Returns whether the store has the version of a change, whose stamp names one version only.
    [[nodiscard]] Result<bool> has_live(const Change& change) {
        const Result<part::ElementState> found =
            find_local(store_, {context_.options.session, change.id});
        if (!found) return found.error();
        return found->presence == part::Presence::live && found->stamp == change.stamp;
    }
    /// Returns whether the store has no element.
    [[nodiscard]] Result<bool> is_empty() {
        bool empty = true;
        const std::error_code error =
            visit_all(store_, context_.options.session,
                      [&](std::string_view, const Value&, const Stamp&) { empty = false; });
        if (error && !is_unreadable(error)) return error;
        return empty && !error;
    }
    template <class Report>
    [[nodiscard]] std::error_code begin_copy(const Page& page, Report& report) {
        // Also if a second copy of this sync follows that of another store.
        const bool is_other =
            position_.has_lost || (position_.had.store != no_id &&
                                   (page.other_history || page.next.store != position_.had.store ||
                                    page.next.copied_at < position_.had.changes));
        if (is_other && !position_.has_lost) {
            if (const auto error = begin_loss(page, report)) return error;
        }
        // It may lack what the former store had applied.
        if (is_other) edits_.send_again(Edits::Decided::all);
        position_.has_lost = is_other;
        const Result<bool> is_empty = this->is_empty();
        if (!is_empty) return is_empty.error();
        // With a cursor, tombstones here may be later than what the store has.
        const bool is_first = position_.is_first && *is_empty;
        of_ = is_first ? Of::first_copy : is_other ? Of::other_copy : Of::copy;
        copied_.clear();
        unreadable_after_.reset();
        ++position_.copies;
        return {};
    }
    /// Notes which changes of the former history this store has lost.
    template <class Report>
    [[nodiscard]] std::error_code begin_loss(const Page& page, Report& report) {
        const auto end = copy_.end_of_history(position_.had);
        if (!end) return end.error();
        Lost range;
        range.last_change = end->changes;
        if (end->changes != 0 && page.next.store != end->store) {
            range.first_change = 1;
        } else if (page.next.copied_at < end->changes) {
            range.first_change = page.next.copied_at + 1;
        }
        // The loss in the log is this one if it is of the same history, and only the end of its
        // copy is not here. Else it is an earlier one.
        const auto& noted = replaced_.noted_loss();
        position_.is_noted = noted && position_.had.seen == Copy::no_history &&
                             noted->lost.last_change == range.last_change;
        if (position_.is_noted) range = noted->lost;
        if (!report.lost) report.lost.emplace();
        report.lost->first_change = range.first_change;
        report.lost->last_change = range.last_change;
        if (context_.options.other_store == OtherStore::stops) return SyncErrc::other_store;
        return copy_.keep_end(*end);
    }
    /// Counts the elements that the copy of another store does not replace: those that are gone,
    /// and those whose earlier versions there cannot be read. Notes the loss in the log.
    [[nodiscard]] std::error_code note_loss(const std::vector<Change>& gone, Lost& lost) {
        std::vector<Stamp> stamps;
        for (const Change& one : gone) stamps.push_back(one.stamp);
        for (const auto& [id, there] : context_.unreadable.changes) {
            const auto here = find_local(store_, {context_.options.session, id});
            if (!here) return here.error();
            if (there.stamp < here->stamp) stamps.push_back(here->stamp);
        }
        // The report with the noted ones may have been read, also without the copy. Those that were
        // here are among these.
        NotedLoss<Value> all{lost};
        if (position_.is_noted) all = *replaced_.noted_loss();
        Lost now = lost;
        for (std::uint64_t i = all.still_here; i < stamps.size(); ++i) {
            count_lost(stamps[i], all.lost);
            count_lost(stamps[i], now);
        }
        all.still_here = stamps.size();
        // Counted once it is in the log, since the next attempt finds the same elements here.
        const std::error_code error = replaced_.note_lost(log_, all);
        if (!error) lost = now;
        return error;
    }
    static void count_lost(const Stamp& stamp, Lost& lost) noexcept {
        const bool is_first = lost.elements++ == 0;
        if (is_first || stamp < lost.earliest) lost.earliest = stamp;
        if (is_first || lost.latest < stamp) lost.latest = stamp;
    }
    [[nodiscard]] std::error_code note_unreadable(const Page& page) {
        auto& changes = context_.unreadable.changes;
        if (page.begins_copy) changes.clear();
        for (const Change& change : page.changes) {
            changes.erase(change.id);
            if (!change.error) continue;
            context_.clock.saw(change.stamp);
            if (const std::error_code error = note_unreadable(change, page)) return error;
        }
        return {};
    }
    [[nodiscard]] std::error_code note_unreadable(const Change& change, const Page& page) {
        context_.unreadable.any = true;
        if (of_ != Of::other_copy) {
            // An edit of this replica that the server cannot write is here.
            const Result<bool> is_here = has_live(change);
            if (!is_here || *is_here) return is_here ? std::error_code{} : is_here.error();
        }
        context_.unreadable.changes.emplace(change.id, change);
        if (!unreadable_after_) {
            unreadable_after_ = page.begins_copy ? 0 : position_.cursor.changes;
        }
        return {};
    }
    /// Makes durable what the local store loses by these changes.
    template <class Report>
    [[nodiscard]] std::error_code prepare(const Page& page, Report& report) {
        if (of_ == Of::other_copy && context_.options.other_store == OtherStore::restores) {
            if (const auto error = restore(page.changes)) return error;
        }
        const std::size_t before = report.replaced.size();
        const auto error = copy_.for_each_new(
            page, of_, [&](const Change& change) { return note_change(change, report); },
            [&](const Change& change) { return note_skipped(change, report); });
        if (error || report.replaced.size() == before) return error;
        return log_.commit();
    }
    /// Makes edits of the local versions that are later than those of another store.
    [[nodiscard]] std::error_code restore(std::span<const Change> changes) {
        for (const Change& there : changes) {
            const part::ElementKey key{context_.options.session, there.id};
            const auto here = find_local(store_, key);
            if (!here) return here.error();
            const bool differs = here->presence == part::Presence::live || !there.is_removal();
            // An edit that waits follows the version here, and is sent anyway.
            if (here->presence == part::Presence::absent || !differs ||
                !(there.stamp < here->stamp) || edits_.shown(edits_.last_of(there.id)) != nullptr ||
                edits_.all().size() >= context_.options.edits_max) {
                continue;
            }
            Op operation;
            operation.id = make_id(context_.bits);
            operation.stamp = here->stamp;
            operation.saw = Stamp{};
            operation.action = RemoveElement{there.id};
            if (here->presence == part::Presence::live) {
                auto value = store_.read(key);
                if (!value && is_unreadable(value.error())) continue;
                if (!value) return value.error();
                if (!*value) return SyncErrc::store_disagrees;
                if (!there.is_removal()) {
                    operation.action = UpdateElement<Value>{there.id, std::move(**value)};
                } else {
                    operation.action = AddElement<Value>{there.id, std::move(**value)};
                }
            }
            const std::error_code error =
                edits_.append(log_, std::move(operation), edits_.last_of(there.id));
            // A version of another author may be too long for this journal.
            if (error == QueueErrc::too_large || error == SyncErrc::bad_operation) continue;
            if (error) return error;
            edits_.all().back().renews = true;
            restored_.insert(there.id);
        }
        return log_.commit();
    }
    /// Notes that an edit waits over a removal of the server, while a later one stays here.
    template <class Report>
    [[nodiscard]] std::error_code note_skipped(const Change& removal, Report& report) {
        if (!waits(removal)) return {};
        const auto here = find_local(store_, {context_.options.session, removal.id});
        if (!here) return here.error();
        const Result<Stamp> before = copy_.version_there(removal.id, *here);
        if (!before) return before.error();
        if (*before != removal.stamp) report.rebased.push_back(removal.id);
        return {};
    }
    /// Returns whether an edit here waits over a change of another author, who may also have
    /// restored the version of the edit.
    [[nodiscard]] bool waits(const Change& change) const {
        const Edit* const edit = edits_.shown(edits_.last_of(change.id));
        return edit != nullptr && edit->state != EditState::dropped &&
               change.stamp.origin != context_.clock.origin() &&
               version_of(edit->operation) != version_of(change);
    }
    /// Notes what a change does to this replica's own versions and edits.
    template <class Report>
    [[nodiscard]] std::error_code note_change(const Change& change, Report& report) {
        context_.clock.saw(change.stamp);
        part::ElementState local;
        if (of_ != Of::first_copy) {
            const auto found = find_local(store_, {context_.options.session, change.id});
            if (!found) return found.error();
            local = *found;
            if (change.stamp < local.stamp) lost_.push_back({change.id, local.stamp, std::nullopt});
        }
        if (restored_.count(change.id) != 0) return {};
        if (position_.is_first && edits_.all().empty()) return {};
        const Edit* const edit = edits_.shown(edits_.last_of(change.id));
        const bool is_own = change.stamp.origin == context_.clock.origin();
        if (waits(change)) report.rebased.push_back(change.id);
        if (position_.is_first) return {};
        // A version of this replica that is earlier, or that no edit here can have made, comes from
        // a restored backup, or from a device that restored it.
        const bool is_result = edit != nullptr && local.stamp != edit->operation.stamp;
        // Two removals are the same state.
        const bool is_mine = local.stamp.origin == context_.clock.origin() &&
                             local.stamp != change.stamp &&
                             (!is_own || change.stamp < local.stamp || !is_result) &&
                             (local.presence == part::Presence::live || change.value);
        const bool replaced_by_own =
            edit != nullptr && edit->state == EditState::dropped && !edit->hidden;
        if (!is_mine || replaced_by_own) return {};
        Change mine{change.id, local.stamp, std::nullopt};
        if (const auto error = read_value(store_, context_.options.session, mine)) return error;
        report.replaced.push_back({std::move(mine), change});
        return replaced_.note(log_, report.replaced.back().mine, edits_.codec());
    }

    [[nodiscard]] static Version version_of(const Change& change) {
        if (change.error) return {change.stamp};
        return {change.stamp, change.value ? hash_of_value(*change.value, 0) : removed_contents};
    }
    /// Returns the version that an operation makes, unless the server lifts or merges it.
    [[nodiscard]] static Version version_of(const Op& operation) {
        const bool is_removal = operation.kind() == OperationKind::remove;
        return {operation.stamp,
                is_removal ? removed_contents : hash_of_value(operation.value(), 0)};
    }
    /// A version, and the element that it is of.
    using Listed = std::set<std::pair<std::string, Version>>;
    /// Adds the unread versions that are not here any more to a report.
    template <class Report>
    [[nodiscard]] std::error_code list(const std::vector<Change>& unread, Listed& listed,
                                       Report& report) {
        for (const Change& mine : unread) {
            if (listed.count({mine.id, version_of(mine)}) != 0) continue;
            const part::ElementKey key{context_.options.session, mine.id};
            const auto local = find_local(store_, key);
            if (!local) return local.error();
            Change now{mine.id, local->stamp, std::nullopt};
            if (const auto error = read_value(store_, context_.options.session, now)) return error;
            // The process ended before the change was here, or another device has restored the
            // version. This sync may replace it.
            const bool is_same =
                mine.error ? now.stamp == mine.stamp : version_of(now) == version_of(mine);
            if (is_same) continue;
            report.replaced.push_back({mine, std::move(now)});
            listed.emplace(mine.id, version_of(mine));
        }
        return {};
    }
    /// Returns whether a version is that of an operation, also with a later stamp, as the server
    /// lifts it.
    [[nodiscard]] static bool is_version_of(const Change& version, const Op& operation) {
        const Version made = version_of(operation);
        return !(version.stamp < made.stamp) && version_of(version).contents == made.contents;
    }

    Edits& edits_;
    Replaced& replaced_;
    Log& log_;
    Store& store_;
    Context context_;
    Copy copy_;
    Position position_{};
    Of of_ = Of::changes;
    std::optional<std::uint64_t> unreadable_after_{};  // the cursor before the first one
    std::unordered_set<std::string> copied_{};
    std::vector<Change> lost_{};        // by the page, without values
    std::set<std::string> restored_{};  // in the order of the report
};

}}}  // namespace belay::detail
