// SPDX-License-Identifier: MIT
/// \file belay/sync/replica.hpp
/// Replica: the client's half of sync, with edits that are durable and visible at once.
#pragma once

#include <algorithm>      // std::any_of, std::find_if, std::max
#include <concepts>       // std::constructible_from, std::convertible_to, std::same_as
#include <cstddef>        // std::size_t
#include <cstdint>        // std::uint64_t
#include <optional>       // std::optional
#include <set>            // std::set
#include <span>           // std::span
#include <string>         // std::string
#include <string_view>    // std::string_view
#include <system_error>   // std::error_code
#include <type_traits>    // std::is_invocable_v
#include <unordered_set>  // std::unordered_set
#include <utility>        // std::as_const, std::exchange, std::forward, std::move
#include <vector>         // std::vector

#include <belay/core/detail/scope_exit.hpp>
#include <belay/core/observer.hpp>
#include <belay/core/random.hpp>
#include <belay/journal/log_like.hpp>
#include <belay/queue/codec_like.hpp>
#include <belay/sync/detail/replica_edits.hpp>
#include <belay/sync/detail/replica_pull.hpp>
#include <belay/sync/hybrid_clock.hpp>
#include <belay/sync/replica_options.hpp>
#include <belay/sync/store_like.hpp>
#include <belay/sync/sync_server_like.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

/// False only for a codec whose values have no content_hash. The deduction guides require it.
/// Otherwise the compiler would list each part of a Replica that needs one, after the sentence of
/// the store. If a program names the type, a static_assert has the sentence, and a compiler may
/// list these parts, too.
template <class Codec>
concept ValuesHaveContentHash =
    !requires { typename DecodedBy<Codec>; } || ContentHashable<DecodedBy<Codec>>;

}  // namespace detail

/// Edits the elements of one session on a device that may be offline.
///
///     Replica replica{std::ref(*journal), std::ref(copy), NoteCodec{}};
///     if (auto error = replica.load()) return error;
///     auto id = replica.edit(AddElement{"shopping", Note{"milk"}});   // durable, and visible
///     auto report = replica.sync(server);                             // when online
///
/// An edit is a record of the journal: it is durable with one flush, and visible at once. The local
/// store has what the server has, and its cursor. The edits that wait are applied over it in memory
/// only, so no two files have to agree after a crash.
///
/// An edit leaves the journal when the server has decided it and the local store has the result. If
/// the process ends before that, the same operation is sent again, and the server knows it by its
/// id. So each edit is in the state of the server, or the Report of a sync() has its contents.
///
/// The journal belongs to the replica alone, and its id is the origin of the stamps. A copy of a
/// journal must not be used by a second device.
///
/// Thread safety: one thread at a time.
/// Allocates:     yes.
template <class Codec, class Log, class Store, WallClockLike WallClock = SystemClock>
class Replica {
    // Here, so that a program may name the type before it declares content_hash.
    static_assert(detail::ValuesHaveContentHash<Codec>,
                  "Replica: the value needs 'std::uint64_t content_hash(const value_type&)' in its "
                  "namespace; see docs/tutorials/edit-offline.md");
    using TheLog = detail::Unwrapped<Log>;
    using TheStore = detail::Unwrapped<Store>;
    static_assert(!detail::HasNote<detail::Unwrapped<Codec>>,
                  "Replica: the template arguments are the codec, the log and the local store, in "
                  "this order; see docs/tutorials/edit-offline.md");
    static_assert(explain::codec_like<Codec>());
    static_assert(explain::log_like<TheLog>());
    static_assert(explain::store_like<TheStore>());
    static_assert(detail::HasNote<TheLog>,
                  "Replica: the log needs 'std::error_code keep(BytesView)' and 'BytesView kept() "
                  "const' for the note of the clock; see docs/tutorials/edit-offline.md");
    static_assert(detail::HasForEach<TheStore>,
                  "Replica: the local store needs for_each(session, visit); see "
                  "docs/tutorials/edit-offline.md");
    static_assert(detail::HasNotes<TheStore>,
                  "Replica: the local store needs note(name) and set_note(name, bytes); see "
                  "docs/how-to/store-of-elements.md");

public:
    using value_type = detail::DecodedBy<Codec>;
    using operation_type = Operation<value_type>;
    /// The argument of edit(): an AddElement, UpdateElement, RemoveElement or Interaction.
    using Action = typename operation_type::Action;
    static_assert(std::same_as<value_type, detail::ValueOfStore<TheStore>>,
                  "Replica: the local store must have the codec's value_type");

    /// The outcome of one sync().
    using Report = part::ReplicaReport<value_type>;
    /// An entry of Report::replaced.
    using Replaced = typename Report::Replaced;
    /// The type of Report::lost.
    using Lost = typename Report::Lost;

    /// Constructs a replica over a log and a local store, given by `std::ref` or moved in.
    ///
    /// Pre: the limits of `options` are > 0, and its session has a name. Call load() before all
    /// other members.
    template <class L, class S>
        requires std::constructible_from<Log, L> && std::constructible_from<Store, S>
    Replica(L&& log, S&& copy, Codec codec, ReplicaOptions options = {}, WallClock clock = {})
        : log_{std::forward<L>(log)},
          store_{std::forward<S>(copy)},
          options_{std::move(options)},
          bits_{options_.seed ? Random{*options_.seed} : Random{}},
          clock_{this->log().journal_id(), std::move(clock), options_.clock},
          edits_{std::move(codec)} {
        static_assert(!detail::copies_a_part<L> && !detail::copies_a_part<S>,
                      "Replica: pass a log or store that is a variable as std::ref or std::move");
        BELAY_OPTION(
            options_.batch_operations > 0 && options_.edits_max > 0 && options_.kept_max > 0,
            "Replica: batch_operations, edits_max and kept_max must be > 0");
        BELAY_OPTION(!options_.session.empty(), "Replica: session must not be empty");
    }
    template <class L, class S>
        requires(!std::constructible_from<Log, L> || !std::constructible_from<Store, S>)
    Replica(L&&, S&&, Codec codec, ReplicaOptions = {}, WallClock = {})
        : Replica{detail::no_store<Log>(), detail::no_store<Store>(), std::move(codec)} {
        static_assert(std::constructible_from<Log, L> && std::constructible_from<Store, S>,
                      "Replica: pass a log or store that is a variable as std::ref or std::move");
    }

    /// Reads the edits that the journal has.   Pre: it was not called before.
    /// After an error, make a new Replica over the journal.
    ///
    /// Until it has succeeded, edit(), read(), for_each() and sync() return not_loaded, and change
    /// nothing: an edit from before the restart would be overtaken or released.
    ///
    /// An edit whose value the codec rejects, because another version of the program has written
    /// it, is in kept(). Only the later edits of its element wait for it.
    ///
    /// Errors: corrupt: the journal has a record that is none of a Replica; store_corrupt: its note
    ///         is none of a clock; those of the journal.
    [[nodiscard]] std::error_code load() {
        BELAY_PRECONDITION(!is_loaded_ && edits_.all().empty(),
                           "Replica::load: it was called before; make a new Replica to read the "
                           "journal again");
        if (const std::error_code error = clock_.restore(log().kept())) return error;
        if (const std::error_code error = edits_.load(log(), replaced_)) return error;
        for (const auto& [seq, edit] : edits_.all()) clock_.saw(edit.operation.stamp);
        edits_.count_kept();
        is_loaded_ = true;
        return {};
    }

    /// Makes an edit, which is durable and visible when this returns its id.
    ///
    /// An update of an element that is not there adds it, and an add of one that is there replaces
    /// its value.
    ///
    /// Errors: not_loaded; replica_full, at edits_max or kept_max; bad_operation: the element has
    ///         no id, or the codec rejects the value; end_of_time; those of the local store.
    ///         too_large: the edit is longer than a record of the journal. After each of these the
    ///         edit was not taken. Those of the journal: if it has no space for the edit, or has
    ///         failed before, the edit was not taken, and is not visible. Call edit() again. If
    ///         only the flush failed, waiting() counts the edit, and it is visible. It becomes
    ///         durable, and is sent, with the next edit() or sync() that succeeds. If the journal
    ///         stays failed, open it again for a new Replica, which has the edit or not.
    /// Blocks: for one flush of the journal.
    [[nodiscard]] Result<Id> edit(Action action) {
        operation_type operation{.id = make_id(bits_), .action = std::move(action)};
        std::uint64_t* last = nullptr;
        if (const std::error_code error = prepare(operation, last)) return error;
        const Id id = operation.id;
        if (const std::error_code error = detail::keep_note(log(), clock_)) return error;
        if (const auto error = edits_.append(log(), std::move(operation), last)) return error;
        if (const std::error_code error = log().commit()) return error;
        return id;
    }
    /// Does not compile: it names the four kinds of edits.
    template <class A>
        requires(!std::convertible_to<A, Action>)
    Result<Id> edit(A&&) {
        static_assert(
            std::convertible_to<A, Action>,
            "Replica: edit() takes an AddElement or UpdateElement of the codec's value, a "
            "RemoveElement or an Interaction");
        return SyncErrc::bad_operation;
    }

    /// Returns the value that the element shows: that of the last edit, or of the local store.
    [[nodiscard]] Result<std::optional<value_type>> read(std::string_view element) {
        if (!is_loaded_) return make_error_code(SyncErrc::not_loaded);
        if (const auto* const edit = edits_.shown(edits_.last_of(element))) {
            return edit->operation.kind() == OperationKind::remove
                       ? std::optional<value_type>{}
                       : std::optional{edit->operation.value()};
        }
        return store().read({options_.session, element});
    }
    /// Calls `visit(std::string_view id, const value_type& value)` for each element, in no order.
    ///
    /// `visit` may call edit(). An element that it edits is not visited after that.
    /// Pre:    `visit` does not call drop() or sync().
    /// Errors: the local store's. If it cannot read a value, the other elements are visited.
    template <class Visit>
    [[nodiscard]] std::error_code for_each(Visit&& visit) {
        static_assert(std::is_invocable_v<Visit&, std::string_view, const value_type&>,
                      "Replica::for_each: visit must be callable as visit(std::string_view id, "
                      "const Value& value)");
        if (!is_loaded_) return SyncErrc::not_loaded;
        const detail::FlagScope visiting{is_busy_};
        const std::size_t made = edits_.all().size();
        const auto error =
            detail::visit_all(store(), options_.session,
                              [&](std::string_view id, const value_type& value, const Stamp&) {
                                  if (edits_.shown(edits_.last_of(id)) == nullptr) visit(id, value);
                              });
        edits_.for_each_shown(made, [&](std::string_view id, const auto& edit) {
            if (edit.operation.kind() != OperationKind::remove) visit(id, edit.operation.value());
        });
        return error;
    }

    /// Sends the edits that wait, brings what the server has into the local store, and releases
    /// the decided edits.
    ///
    /// `server` is a part::SyncServerLike, or a SyncProcessor.
    /// Pre:        while `server` runs, nothing calls drop() or sync(); edit() is allowed.
    /// Errors:     in the report. After other_store, construct the replica with
    ///             OtherStore::copies, or point it to the former server.
    /// Throws:     what the server and the local store throw. The next sync() sends the edits of
    ///             this one again, and reports what this one would have; nothing is lost.
    /// Complexity: linear in the edits and in the changes. Without either it asks one question, and
    ///             reads no element.
    template <class Server>
    [[nodiscard]] Report sync(Server& server) {
        return sync(server, [](const Report&) {});
    }
    /// Does the same, and calls `on_report(report)` before the decided edits leave the journal. If
    /// it throws, the next sync() reports the same again. If the process ends before it returns,
    /// the next one reports `conflicts`, `overwrote`, `replaced` and `lost` again, and `kept()` has
    /// the edits that the server did not take. The first sync() of a run reports `unreadable`
    /// again. But `restored` and `rebased`, which name no loss, are in memory only: they are not
    /// reported again if the local store has the cursor after these changes.
    /// An edit() in `on_report` changes what the server has, if the sync has received it.
    // Unconstrained, so that an error in the body of a generic lambda is reported once.
    template <class Server, class OnReport>
    [[nodiscard]] Report sync(Server& server, OnReport&& on_report) {
        if constexpr (detail::ProcessesBatches<Server>) {
            detail::ProcessorServer<Server> in_process{server, options_.session,
                                                       options_.batch_operations};
            return sync(in_process, std::forward<OnReport>(on_report));
        } else {
            static_assert(explain::sync_server_like<Server, operation_type>());
            Report report;
            static_assert(
                requires {
                    { on_report(std::as_const(report)) } -> std::same_as<void>;
                },
                "Replica::sync: on_report must be callable as on_report(const Report&), and return "
                "void; if it throws, the next sync() reports the same again");
            BELAY_PRECONDITION(!is_busy_,
                               "Replica::sync: a visitor of for_each() and the server "
                               "of a sync() must not call it");
            if (!is_loaded_) {
                report.error = SyncErrc::not_loaded;
                return report;
            }
            const detail::FlagScope running{is_busy_};
            exchange_unread(report);
            detail::ScopeExit interruption{[&] {
                exchange_unread(report);
                edits_.send_again(Edits::Decided::all);
            }};
            report.error = log().commit();
            edits_.send_again(Edits::Decided::unconfirmed);
            if (!report.error) report.error = pull().report_unread(report);
            // First, so that no edit goes to another store than the one that its author saw.
            if (!report.error) report.error = pull().run(server, report);
            bool pulled = !report.error;
            const auto is_due = [](const auto& one) { return one.second.is_due(); };
            if (pulled && std::any_of(edits_.all().begin(), edits_.all().end(), is_due)) {
                Sender sender{edits_, options_.batch_operations};
                sender.send(server, report);
                bool renews = false;
                if (!report.error) report.error = renew_too_old(report, renews);
                if (!report.error && renews) sender.send(server, report);
                const std::error_code unsent = report.error;
                report.error = pull().run(server, report);
                pulled = !report.error;
                if (unsent) report.error = unsent;
            }
            if (pulled) {
                std::error_code error = pull().report_replaced(report);
                if (!error) error = pull().report_unread(report);
                if (!error) error = note_decided_against();
                pulled = !error;
                if (pulled) edits_.hide_decided();
                if (!report.error) report.error = error;
            }
            complete(report);
            is_busy_ = false;
            on_report(std::as_const(report));
            interruption.release();
            if (pulled) {
                unreadable_.changes.clear();
                const std::error_code error = edits_.release(log(), replaced_);
                if (!report.error) report.error = error;
                edits_.count_kept();
            }
            return report;
        }
    }

    /// Returns the edits that the server did not take, and those that cannot be read, in their
    /// order.
    ///
    /// An edit with `retryable` is sent again with each sync(), except after too_old. Later edits
    /// of its element wait for it (held_back).
    ///
    /// If the codec rejects the value of an edit, the error is `unreadable`, and the operation is
    /// an Interaction that has only its element. The value stays in the journal: a later program
    /// whose codec reads it sends the edit.
    [[nodiscard]] std::vector<FailedOperation<operation_type>> kept() const {
        std::vector<FailedOperation<operation_type>> list;
        for (const auto& [seq, edit] : edits_.all()) {
            if (edit.is_kept()) list.push_back(edit.failed());
        }
        return list;
    }
    /// Lets the next sync() send a kept edit again, independent of its error. If the server rejects
    /// it as too_old again, that sync makes one new edit of it and the later ones of its element.
    /// That has the last of their values, an id and a stamp of now.
    ///
    /// Returns: whether it was kept, and can be read.
    bool send_again(const Id& edit) {
        const auto found = kept_edit(edit);
        if (found == edits_.all().end() || found->second.is_unreadable()) return false;
        found->second.renews = found->second.why == SyncErrc::too_old;
        found->second.state = detail::EditState::waiting;
        edits_.count_kept();
        return true;
    }
    /// Gives up a kept edit, durably.
    ///
    /// Errors: unknown_number: no edit with this id is kept; those of the local store and of the
    ///         journal's append, and then the edit is still kept. After an error of its commit the
    ///         edit is given up. That becomes durable with the next edit() or sync() that succeeds.
    [[nodiscard]] std::error_code drop(const Id& edit) {
        BELAY_PRECONDITION(!is_busy_,
                           "Replica::drop: a visitor of for_each() and the server of a "
                           "sync() must not call it");
        const auto at = kept_edit(edit);
        if (at == edits_.all().end()) return QueueErrc::unknown_number;
        if (const std::error_code error = copy().note_given_up(edits_, at->second)) return error;
        const auto before = std::exchange(at->second.state, detail::EditState::dropped);
        if (const std::error_code error = edits_.write(log(), at->second)) {
            at->second.state = before;
            return error;
        }
        edits_.erase(at);
        edits_.count_kept();
        return log().commit();
    }

    /// Returns the number of edits that the server has not decided, kept ones included.
    [[nodiscard]] std::size_t waiting() const noexcept { return edits_.all().size(); }
    /// Returns the clock of the edits; its ahead() shows how far their stamps are in the future.
    [[nodiscard]] const HybridClock<WallClock>& clock() const noexcept { return clock_; }

private:
    using Edits = detail::ReplicaEdits<Codec, TheLog>;
    using Edit = typename Edits::Edit;
    using Copy = detail::ReplicaCopy<TheStore>;
    using Pull = detail::ReplicaPull<Edits, TheLog, TheStore, HybridClock<WallClock>>;
    using Sender = detail::ReplicaSender<Edits>;

    [[nodiscard]] TheLog& log() noexcept { return detail::unwrap(log_); }
    [[nodiscard]] TheStore& store() noexcept { return detail::unwrap(store_); }

    /// Returns the place of a kept edit; the end if there is none with this id.
    [[nodiscard]] typename Edits::Edits::iterator kept_edit(const Id& id) {
        return std::find_if(edits_.all().begin(), edits_.all().end(), [&](const auto& one) {
            return one.second.operation.id == id && one.second.is_kept();
        });
    }

    /// Returns the place of an edit; the end if it is gone.
    [[nodiscard]] typename Edits::Edits::iterator edit_at(std::uint64_t seq) {
        return std::find_if(edits_.all().begin(), edits_.all().end(),
                            [&](const auto& one) { return one.first == seq; });
    }
    /// Keeps the stamps of edits that the server decided against, and whose versions would be later
    /// than the one in their place. A strategy other than LastWriteWins decides so.
    [[nodiscard]] std::error_code note_decided_against() {
        for (const auto& [seq, edit] : edits_.all()) {
            const bool is_decided = edit.state == detail::EditState::dropped && edit.hidden;
            if (!is_decided || edit.operation.kind() == OperationKind::interaction) continue;
            const auto there =
                detail::find_local(store(), {options_.session, edit.operation.element()});
            if (!there) return there.error();
            if (!(there->stamp < edit.operation.stamp)) continue;
            if (const std::error_code error = copy().note_given_up(edits_, edit)) return error;
        }
        return {};
    }
    /// Sets stamp, version and base of an edit, and the place of the last edit of its element.
    [[nodiscard]] std::error_code prepare(operation_type& operation, std::uint64_t*& place) {
        if (!is_loaded_) return SyncErrc::not_loaded;
        if (edits_.all().size() >= options_.edits_max || edits_.kept() >= options_.kept_max) {
            return SyncErrc::replica_full;
        }
        const std::string_view element = operation.element();
        if (operation.kind() == OperationKind::interaction) {
            operation.stamp = clock_.stamp();
            return {};
        }
        if (element.empty()) return SyncErrc::bad_operation;
        auto* const update = std::get_if<UpdateElement<value_type>>(&operation.action);
        const bool wants_base = options_.adds_base && update != nullptr && !update->base;
        place = edits_.last_of(element);
        Stamp above{};
        if (const Edit* const last = edits_.shown(place)) {
            operation.saw = last->operation.stamp;
            if (wants_base && last->operation.kind() != OperationKind::remove) {
                update->base = last->operation.value();
            }
        } else {
            const part::ElementKey key{options_.session, element};
            const auto found = detail::find_local(store(), key);
            if (!found) return found.error();
            const auto there = copy().version_there(element, *found);
            if (!there) return there.error();
            operation.saw = *there;
            above = found->stamp;
            if (wants_base && found->presence == part::Presence::live) {
                auto value = store().read(key);
                // An edit replaces a value that cannot be read.
                if (!value && !detail::is_unreadable(value.error())) return value.error();
                if (value) update->base = std::move(*value);
            }
        }
        const Result<Stamp> latest = copy().latest_of(element, *operation.saw);
        if (!latest) return latest.error();
        const Stamp seen = std::max({*latest, above, detail::last_stamp(edits_, place)});
        return stamp_above(seen, operation);
    }
    /// Stamps an edit above a version of its element, with the stamp of no lost version. The time
    /// of the clock was in no stamp before, but the next stamp above `seen` may have been. Lost
    /// versions may be far ahead, so edits of other elements are not put above them.
    [[nodiscard]] std::error_code stamp_above(const Stamp& seen, operation_type& operation) {
        Result<Stamp> stamp = clock_.stamp_above(seen);
        if (stamp && *stamp == detail::stamp_above(seen, clock_.origin())) {
            const Result<Stamp> lost = copy().lost_of(edits_, operation.element());
            if (!lost) return lost.error();
            if (!(*lost < *stamp)) stamp = clock_.stamp_above(*lost);
        }
        if (!stamp) return stamp.error();
        operation.stamp = *stamp;
        return {};
    }
    /// Makes a new edit of each that the server has rejected as too_old, and that is to become an
    /// edit of now.
    [[nodiscard]] std::error_code renew_too_old(Report& report, bool& any) {
        std::vector<std::uint64_t> found;
        for (const auto& [seq, edit] : edits_.all()) {
            const bool is_too_old =
                edit.state == detail::EditState::kept && edit.why == SyncErrc::too_old;
            const bool changes = edit.operation.kind() != OperationKind::interaction;
            if (is_too_old && edit.renews && changes) found.push_back(seq);
        }
        for (const std::uint64_t seq : found) {
            // A part of the new edit of an earlier one is gone.
            if (edit_at(seq) == edits_.all().end()) continue;
            if (const std::error_code error = renew(seq, report, any)) return error;
        }
        return any ? log().commit() : std::error_code{};
    }
    /// Makes a new edit of an edit and the later ones of its element: the last of them, which
    /// replaces the version that the first one has seen.
    [[nodiscard]] std::error_code renew(std::uint64_t first, Report& report, bool& any) {
        const operation_type& before = edits_.all().at(first).operation;
        std::uint64_t* const place = edits_.last_of(before.element());
        std::vector<std::uint64_t> former;  // from the last one back
        for (std::uint64_t at = *place; at >= first; at = edits_.all().at(at).before) {
            const Edit& edit = edits_.all().at(at);
            if (edit.is_unreadable()) return {};  // a later program may read it
            if (edit.state != detail::EditState::rejected) former.push_back(at);
        }
        operation_type made = edits_.all().at(former.front()).operation;
        // A server that gets the first one late rejects it.
        made.formerly = before.formerly == no_id ? before.id : before.formerly;
        made.id = make_id(bits_);
        made.saw = before.saw;
        // The server has no version to merge with. With the base, the edit might be too large.
        auto* const update = std::get_if<UpdateElement<value_type>>(&made.action);
        if (update != nullptr) update->base.reset();
        const Result<Stamp> latest = copy().latest_of(made.element(), made.stamp);
        if (!latest) return latest.error();
        if (const std::error_code error = stamp_above(*latest, made)) return error;
        if (const std::error_code error = detail::keep_note(log(), clock_)) return error;
        if (const auto error = edits_.append(log(), std::move(made), place)) return error;
        any = true;
        for (const std::uint64_t seq : former) {
            const auto at = edit_at(seq);
            Edit& edit = at->second;
            const auto state = std::exchange(edit.state, detail::EditState::dropped);
            if (const std::error_code error = edits_.write(log(), edit)) {
                edit.state = state;
                return error;
            }
            std::erase_if(report.kept,
                          [&](const auto& one) { return one.operation.id == edit.operation.id; });
            edits_.erase(at);
        }
        edits_.count_kept();
        return {};
    }

    [[nodiscard]] Copy copy() noexcept { return {store(), options_.session, unreadable_}; }
    [[nodiscard]] Pull pull() noexcept {
        return {edits_, replaced_, log(), store(), {options_, clock_, bits_, unreadable_}};
    }
    /// Exchanges the lists of a report with those of a sync that an exception ended. Its edits are
    /// sent again, and the next report has the versions that its own would have listed.
    void exchange_unread(Report& report) noexcept {
        report.replaced.swap(unread_.replaced);
        report.overwrote.swap(unread_.overwrote);
        report.kept.swap(unread_.kept);
        report.rebased.swap(unread_.rebased);
        report.restored.swap(unread_.restored);
        report.lost.swap(unread_.lost);
    }
    /// Lists what the replica has in memory.
    void complete(Report& report) const {
        std::set<Id> unlisted;
        for (const auto& [seq, edit] : edits_.all()) {
            if (edit.is_kept()) unlisted.insert(edit.operation.id);
        }
        // A report that was not read may have edits that are not kept any more.
        std::erase_if(report.kept,
                      [&](const auto& one) { return unlisted.erase(one.operation.id) == 0; });
        for (const auto& [seq, edit] : edits_.all()) {
            const bool is_new = edit.is_unreadable() && edit.recorded != edit.state;
            if (is_new && unlisted.count(edit.operation.id) != 0) {
                report.kept.push_back(edit.failed());
            }
        }
        for (const auto& [id, change] : unreadable_.changes) report.unreadable.push_back(change);
    }

    Log log_;
    Store store_;
    ReplicaOptions options_;
    Random bits_;
    HybridClock<WallClock> clock_;
    Edits edits_;
    typename Edits::Replaced replaced_{};
    Report unread_{};  // of a sync that an exception ended
    typename Copy::Unreadable unreadable_{};
    bool is_loaded_ = false;
    bool is_busy_ = false;  // drop() and sync() would take edits away that are in use
};

template <class Log, class Store, class Codec, class WallClock = SystemClock>
    requires detail::ValuesHaveContentHash<Codec>
Replica(Log&&, Store&&, Codec, ReplicaOptions = {}, WallClock = {})
    -> Replica<Codec, std::remove_cvref_t<Log>, std::remove_cvref_t<Store>, WallClock>;

}}  // namespace belay
