// SPDX-License-Identifier: MIT
/// \file belay/room/detail/room_admin.hpp
/// RoomAdmin: erases, resets, lists and exports rooms. RoomImports: adds stored rooms to rooms.
#pragma once

#include <cstddef>       // std::size_t
#include <cstdint>       // std::uint64_t
#include <functional>    // std::less
#include <map>           // std::map
#include <optional>      // std::optional
#include <set>           // std::set
#include <string>        // std::string, std::to_string
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code
#include <utility>       // std::exchange, std::move
#include <vector>        // std::vector

#include <belay/core/machine_group.hpp>
#include <belay/core/order.hpp>
#include <belay/room/detail/persistence_scheduler.hpp>
#include <belay/room/detail/room_awareness.hpp>
#include <belay/room/detail/turn_context.hpp>
#include <belay/room/document_like.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The imports of rooms. An import waits until its room is loaded, is checked on a copy of the
/// document, and is answered when its last update is durable.
///
/// This part calls
/// - `rooms`: `find_or_make`, `step` and `end_history`,
/// - `scheduler`: `append`, to store the updates,
/// - `replication`: `on_held_back`, to compare the document with a storage that may have lost it.
///
/// Thread safety: the manager's home thread.
template <class Persistence, class Document>
class RoomImports {
    using Room = RoomState<Document>;

public:
    RoomImports(TurnContext& context, RoomModule<Persistence, Document>& parts) noexcept
        : context_{context}, parts_{parts} {}
    RoomImports(const RoomImports&) = delete;
    RoomImports& operator=(const RoomImports&) = delete;

    void import_room(const std::string& room_id, StoredRoom content,
                     Completion<PersistenceError> done) {
        if (!parts_.answers.accept(room_id, done)) return;
        const AdminAnswers::Beginning beginning{parts_.answers};
        if (content.loss) {
            content.loss.cure =
                "import another copy, or clear StoredRoom::loss to import what is left";
            return parts_.answers.answer(done, std::move(content.loss));
        }
        std::error_code error;
        auto* const room = parts_.rooms.find_or_make(room_id, error);
        if (room == nullptr) return parts_.answers.answer_error(done, error);
        const std::size_t size = bytes_of(content);
        if (size > context_.options.unflushed_bytes_max - room->after_load.import_bytes)
            return parts_.answers.answer_error(done, make_error_code(RoomErrc::update_too_large));
        parts_.rooms.step(*room, timeline::RoomCore::Event::used);
        RoomImport import{std::move(content), std::move(done)};
        if (room->core.live()) return apply(*room, import);
        room->after_load.imports.push_back(std::move(import));
        room->after_load.import_bytes += size;
    }
    /// Applies the imports that waited for the load. After one that throws, the room ends.
    void on_loaded(Room& room) {
        room.after_load.import_bytes = 0;
        bool goes_on = true;
        for (RoomImport& import : std::exchange(room.after_load.imports, {})) {
            goes_on = goes_on && context_.errors.attempt([&] { apply(room, import); });
            if (!goes_on)
                parts_.answers.answer_error(import.done, make_error_code(RoomErrc::not_loaded));
        }
        if (!goes_on && !room.evicted) parts_.rooms.end_history(room, RoomErrc::not_loaded);
    }
    /// Answers imports with an error: the room ended, or its pending changes are lost.
    void fail_all(RoomBase& room, const PersistenceError& why) {
        room.after_load.import_bytes = 0;
        for (RoomImport& import : std::exchange(room.after_load.imports, {}))
            parts_.answers.answer_error(import.done, why);
        for (PendingUpdate& change : room.pending.all()) fail_change(change, why);
        answer_known(room, why);
    }
    /// Answers the imports that the document has: without an error if the storage has all of it.
    void answer_known(RoomBase& room, const PersistenceError& error) {
        for (auto& done : std::exchange(room.after_load.known_imports, {}))
            parts_.answers.answer_error(done, error);
    }
    /// A load to compare the document with the storage has ended. If no changes are being stored
    /// again, it has failed, and so has each import that waits for it.
    void on_compared(RoomBase& room, const PersistenceError& error) {
        if (room.evicted || !may_be_lost(room) || room.pending.restores()) return;
        answer_known(room, error ? error : PersistenceError{RoomErrc::not_durable, {}, {}});
    }
    /// Answers the import whose last change this is, if it is one.
    void fail_change(PendingUpdate& change, const PersistenceError& why) {
        if (!change.done) return;
        parts_.answers.answer_error(*change.done, why);
        change.done.reset();
    }
    /// A change is durable. If it is the last one of an import, holds the answer, which is an error
    /// if the room ends before the change is applied.   Returns: whether it is.
    [[nodiscard]] bool hold(RoomBase& room, PendingUpdate& change) {
        if (!change.done) return false;
        room.after_load.known_imports.push_back(std::move(*change.done));
        change.done.reset();
        return true;
    }
    /// Answers the imports that are held without an error as soon as the storage surely has all of
    /// the document.
    void answer_or_hold(RoomBase& room) {
        if (!may_be_lost(room)) return answer_known(room, {});
        room.replication->loss.holds_statuses = true;
        parts_.replication.on_held_back(room);
    }

private:
    [[nodiscard]] static std::size_t bytes_of(const StoredRoom& content) noexcept {
        std::size_t size = 0;
        for (const auto* part : {&content.snapshot, &content.updates})
            for (const Bytes& update : *part) size += update.size();
        return size;
    }

    /// Whether a shared storage may lack changes of the document.
    [[nodiscard]] static bool may_be_lost(const RoomBase& room) noexcept {
        return room.replication && room.replication->loss.is_possible();
    }
    void apply(Room& room, RoomImport& import) {
        std::vector<BytesView> adding;
        if (PersistenceError error = check_import(room, import.content, adding))
            return parts_.answers.answer(import.done, std::move(error));
        for (const BytesView update : adding) {
            if (const std::error_code e = parts_.scheduler.append(
                    room, {.update = update, .first = import.content.epoch}))
                return parts_.answers.answer_error(import.done, e);
            parts_.rooms.step(room, timeline::RoomCore::Event::appended);
        }
        if (adding.empty()) {
            room.after_load.known_imports.push_back(std::move(import.done));
            return answer_or_hold(room);
        }
        room.pending.all().back().done = std::move(import.done);
    }
    /// Collects the new updates of an import, after all were tried on a copy of the document.
    [[nodiscard]] PersistenceError check_import(Room& room, const StoredRoom& content,
                                                std::vector<BytesView>& adding) const {
        // Merges the document first, so that its content is known.
        static_cast<void>(room.document.state_vector());
        Document trial{room.document};
        std::size_t number = 0;
        std::size_t size = room.pending.bytes();
        for (const auto* part : {&content.snapshot, &content.updates}) {
            for (const Bytes& update : *part) {
                ++number;
                auto adds = trial.check(update);
                std::error_code error;
                if (!adds.has_value()) error = static_cast<std::error_code>(adds.error());
                if (!error && !*adds) continue;
                // A backup of a document above its limits is restored, as it would be loaded.
                if (is_document_full(error) && room.document.bytes() == 0) error = {};
                if (!error) error = static_cast<std::error_code>(trial.apply(update));
                if (error) return {error, {}, "part " + std::to_string(number) + " of the import"};
                size += update.size();
                adding.emplace_back(update);
            }
        }
        if (size > context_.options.unflushed_bytes_max)
            return {RoomErrc::update_too_large, {}, "RoomOptions::unflushed_bytes_max"};
        return {};
    }

    TurnContext& context_;
    RoomModule<Persistence, Document>& parts_;
};

/// A list or an export that waits for the storage: a machine of RoomAdmin's group. An export whose
/// question was not asked waits until an erase or a reset of its room is stored.
template <class Admin, class V>
struct AdminCall {
    AdminCall(Admin& o, std::uint64_t n, std::string name, Completion<V> d, Instant e)
        : admin{o}, number{n}, room_id{std::move(name)}, done{std::move(d)}, ends{e} {}
    void attach(Waker w) {
        waker = std::move(w);
        question.attach(waker);
    }
    [[nodiscard]] Instant deadline() const noexcept { return smaller(question.deadline(), ends); }
    void advance(Instant now) { admin.take(*this, now); }

    Admin& admin;
    const std::uint64_t number;
    const std::string room_id;
    Completion<V> done;
    Instant ends;
    Waker waker{};
    driver::Question<V> question;
    std::string what{};  ///< of an exception of the call
};

/// The erases and resets that are not durable.
struct HistoryChanges {
    using Awaited = std::map<std::string, std::size_t, std::less<>>;
    /// The maximum number of rooms whose erase or reset has failed. It is not rooms_max: a storage
    /// that rejects a few rooms for ever must not end the erases of all others. Those under way may
    /// still be added.
    static constexpr std::size_t unsettled_max = 10'000;

    /// Whether calls for this room are rejected.
    [[nodiscard]] bool too_many(const std::string& room_id) const noexcept {
        return unsettled.size() >= unsettled_max && !unsettled.contains(room_id);
    }

    Awaited awaited{};  ///< the number of those that wait for a flush, by room id
    /// Rooms whose erase or reset has failed: a later flush may store it.
    std::set<std::string, std::less<>> unsettled{};
    bool settling = false;  ///< all of the unsettled rooms wait for a flush
};

/// Erases, resets, lists and exports rooms.
///
/// This part calls
/// - `rooms`: `find`, `process`, `step`, `end_history` and `empty_document`,
/// - `scheduler`: `await`, `begin_load`, `begins_without_change`, `each_awaited`, `erase`,
///   `persistence` and `reset`, for the calls of the storage,
/// - `imports`: `fail_all`, for imports that wait for a load,
/// - `replication`: `take_parts`, to fill a document.
///
/// An erase or a reset is not durable at once. Until it is, new clients wait in a room whose load
/// has not begun, because a load would find the previous history. Exports wait, too.
///
/// Thread safety: the manager's home thread.
template <class Persistence, class Document>
class RoomAdmin {
    template <class V>
    using Call = AdminCall<RoomAdmin, V>;
    template <class V>
    using Calls = std::map<std::uint64_t, driver::GroupedMachine<Call<V>>>;  // in their order
    using Export = Call<part::LoadedRoom>;

public:
    static constexpr std::size_t listed_max = 1000;

    RoomAdmin(TurnContext& context, RoomModule<Persistence, Document>& parts) noexcept
        : context_{context}, parts_{parts} {}
    RoomAdmin(const RoomAdmin&) = delete;
    RoomAdmin& operator=(const RoomAdmin&) = delete;

    void attach(Waker waker) { machines_.attach(std::move(waker)); }
    [[nodiscard]] Instant deadline() const noexcept { return machines_.deadline(); }
    void turn() { static_cast<void>(machines_.advance(context_.now)); }
    /// Makes a load wait if an erase or a reset of this room is not durable yet. It waits for the
    /// flush. After a failed flush, this requests the next one.
    /// Returns: whether the load waits.
    [[nodiscard]] bool wait_for_history_change(const std::string& room_id) {
        if (awaits(room_id)) return true;
        const bool unsettled = changes_.unsettled.contains(room_id);
        if (!unsettled && !parts_.scheduler.begins_without_change(room_id)) return false;
        await({.room_id = room_id});
        return true;
    }

    // ---- histories ------------------------------------------------------------------------------

    void erase(std::string room_id, Completion<PersistenceError> done) {
        change_history(std::move(room_id), std::move(done), RoomErrc::room_erased);
    }
    void reset(std::string room_id, Completion<PersistenceError> done) {
        change_history(std::move(room_id), std::move(done), RoomErrc::history_reset);
    }
    /// Ends the erases and resets of a flush.
    void take(EndedFlush& flush) {
        for (PendingAdmin& pending : flush.of.admin) end(pending, flush.error_of(pending.room_id));
        for (const std::string& room_id : flush.of.begun)
            if (flush.error_of(room_id) && !changes_.too_many(room_id))
                changes_.unsettled.insert(room_id);
        // Earlier failed changes are stored, too.
        if (!flush.answer.error) changes_.unsettled.clear();
    }
    /// Whether an erase or a reset of this room waits for a flush.
    [[nodiscard]] bool awaits(const std::string& room_id) const {
        return changes_.awaited.contains(room_id);
    }

    // ---- what is stored -------------------------------------------------------------------------

    void list(std::string_view after, std::size_t count, Completion<part::ListedRooms> done) {
        if (!parts_.answers.accept(done)) return;
        if (count == 0 || count > listed_max)
            return parts_.answers.answer_error(done,
                                               std::make_error_code(std::errc::invalid_argument));
        const AdminAnswers::Beginning beginning{parts_.answers};
        Call<part::ListedRooms>& call = begin(lists_, {}, std::move(done));
        parts_.scheduler.persistence().list(after, count, call.question.ask());
        call.what = parts_.scheduler.persistence().take_exception_text();
    }
    void export_room(std::string room_id, Completion<part::LoadedRoom> done) {
        if (!parts_.answers.accept(room_id, done)) return;
        const AdminAnswers::Beginning beginning{parts_.answers};
        auto* const room = parts_.rooms.find(room_id);
        if (room != nullptr && room->core.live()) {
            part::LoadedRoom found{std::optional<StoredRoom>{}};
            // A shared room has read up to `position`, and may have more.
            const bool more = room->replication && room->document.bytes() != 0;
            if (room->history.position != 0 || more)
                found = document_of(room->history, room->document);
            return parts_.answers.answer(done, std::move(found));
        }
        Export& call = begin(exports_, std::move(room_id), std::move(done));
        if (!wait_for_history_change(call.room_id)) load(call);
    }
    template <class V>
    void take(Call<V>& call, Instant now) {
        if (!call.question.answered() && call.ends > now) return;
        const driver::GroupedMachine<Call<V>> self = end(call);
        std::optional<V> found;
        if (call.question.answered()) found = call.question.take();
        if (!found)
            return parts_.answers.answer(
                call.done, PersistenceError{RoomErrc::no_answer, {}, std::move(call.what)});
        if constexpr (std::is_same_v<V, part::LoadedRoom>) {
            if (!context_.errors.attempt([&] { merge(*found); }))
                found.emplace(PersistenceError{RoomErrc::not_loaded, {}, {}});
        }
        parts_.answers.answer(call.done, std::move(*found));
    }

    /// Answers all calls with no_answer. The storage has taken the erases and resets, so they still
    /// wait for their flush, also after the next start.
    void end_all() {
        const auto why = make_error_code(RoomErrc::no_answer);
        end_all(lists_, why);
        end_all(exports_, why);
        parts_.scheduler.each_awaited([&](PendingAdmin& pending) {
            if (pending.done) parts_.answers.answer_error(*pending.done, why);
            pending.done.reset();
        });
    }

private:
    /// A change is stored, or its result is unknown.
    void end(PendingAdmin& pending, const PersistenceError& error) {
        changes_.settling = false;
        if (pending.done) parts_.answers.answer_error(*pending.done, error);
        if (error)
            changes_.unsettled.insert(pending.room_id);
        else  // what an earlier flush left uncertain is certain now
            changes_.unsettled.erase(pending.room_id);
        const auto found = changes_.awaited.find(pending.room_id);
        if (--found->second != 0) return;
        changes_.awaited.erase(found);
        begin_exports(pending.room_id, error);
        auto* const room = parts_.rooms.find(pending.room_id);
        if (room == nullptr) return;
        if (!error) return parts_.scheduler.begin_load(*room);
        // A load would find a history that the next flush may end.
        parts_.imports.fail_all(*room, error);
        parts_.rooms.process(
            *room, [&] { parts_.rooms.step(*room, timeline::RoomCore::Event::load_failed); });
    }
    /// Erases a room, or begins it anew: ends its history in memory, and closes its clients with
    /// `why`.
    void change_history(std::string room_id, Completion<PersistenceError> done, RoomErrc why) {
        if (!parts_.answers.accept(room_id, done)) return;
        const AdminAnswers::Beginning beginning{parts_.answers};
        if (changes_.too_many(room_id)) {
            settle_all();
            return parts_.answers.answer(done, too_many_unsettled());
        }
        const std::error_code error = why == RoomErrc::room_erased
                                          ? parts_.scheduler.erase(room_id)
                                          : parts_.scheduler.reset(room_id, make_id(context_.bits));
        if (error) return parts_.answers.answer_error(done, error);
        await({.room_id = room_id, .done = std::move(done)});
        if (auto* const room = parts_.rooms.find(room_id)) parts_.rooms.end_history(*room, why);
    }
    /// Waits for the next flush.
    void await(PendingAdmin pending) {
        ++changes_.awaited[pending.room_id];
        parts_.scheduler.await(std::move(pending));
    }
    /// Requests a flush for all failed erases and resets that do not wait for one.
    void settle_all() {
        if (changes_.settling) return;
        for (const std::string& room_id : changes_.unsettled)
            static_cast<void>(wait_for_history_change(room_id));
        changes_.settling = true;
    }
    [[nodiscard]] static PersistenceError too_many_unsettled() {
        return {RoomErrc::too_many,
                {},
                "erases and resets of 10,000 rooms have failed, and no flush has stored them",
                "repair the storage, and call again, because each rejected call begins a flush; or "
                "restart the process, if the storage rejects these rooms for ever"};
    }

    template <class V>
    Call<V>& begin(Calls<V>& calls, std::string room_id, Completion<V> done) {
        const std::uint64_t number = calls.empty() ? 1 : calls.rbegin()->first + 1;
        auto made =
            machines_.template make<Call<V>>(*this, number, std::move(room_id), std::move(done),
                                             after(context_.now, context_.options.answer_within));
        Call<V>& call = *made;
        calls.emplace(call.number, std::move(made));
        return call;
    }
    void load(Export& call) {
        call.ends = after(context_.now, context_.options.answer_within);
        call.waker.touch();
        parts_.scheduler.persistence().load(call.room_id, call.question.ask());
        call.what = parts_.scheduler.persistence().take_exception_text();
    }
    /// Begins the exports that waited until an erase or a reset was stored, or answers its error.
    void begin_exports(const std::string& room_id, const PersistenceError& error) {
        for (auto next = exports_.begin(); next != exports_.end();) {
            Export& call = *(next++)->second;
            if (call.room_id != room_id || call.question.waits()) continue;
            error ? fail(call, error) : load(call);
        }
    }
    template <class V>
    void fail(Call<V>& call, const PersistenceError& error) {
        const driver::GroupedMachine<Call<V>> self = end(call);
        parts_.answers.answer_error(call.done, error);
    }
    /// Removes a call. It lives as long as the returned handle.
    template <class V>
    [[nodiscard]] driver::GroupedMachine<Call<V>> end(Call<V>& call) {
        auto& calls = calls_of(call);
        const auto found = calls.find(call.number);
        driver::GroupedMachine<Call<V>> self = std::move(found->second);
        calls.erase(found);
        return self;
    }
    [[nodiscard]] Calls<part::ListedRooms>& calls_of(const Call<part::ListedRooms>&) noexcept {
        return lists_;
    }
    [[nodiscard]] Calls<part::LoadedRoom>& calls_of(const Export&) noexcept { return exports_; }
    template <class V>
    void end_all(Calls<V>& calls, const std::error_code& why) {
        for (auto& [number, call] : calls) parts_.answers.answer_error(call->done, why);
        calls.clear();
    }

    /// Merges what was loaded into one document.
    void merge(part::LoadedRoom& found) {
        if (!found || !*found) return;
        Document document{parts_.rooms.empty_document()};
        if (parts_.replication.take_parts({}, document, **found)) {
            found = PersistenceError{
                RoomErrc::malformed_update, {}, "the stored data is not a document"};
            return;
        }
        PersistenceError loss = std::move((*found)->loss);
        found = document_of({(*found)->epoch, (*found)->position}, document);
        (*found)->loss = std::move(loss);
    }
    [[nodiscard]] static part::LoadedRoom document_of(const RoomHistory& history,
                                                      Document& document) {
        const std::span<const Bytes> parts = document.snapshot();
        return std::optional{
            StoredRoom{history.epoch, {parts.begin(), parts.end()}, {}, history.position}};
    }
    TurnContext& context_;
    RoomModule<Persistence, Document>& parts_;
    driver::MachineGroup machines_;
    Calls<part::ListedRooms> lists_;
    Calls<part::LoadedRoom> exports_;
    HistoryChanges changes_;
};

}}}  // namespace belay::detail
