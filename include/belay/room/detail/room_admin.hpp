// SPDX-License-Identifier: MIT
/// \file belay/room/detail/room_admin.hpp
/// RoomAdmin: erases, resets, lists, exports and imports rooms.
#pragma once

#include <cstddef>       // std::size_t
#include <cstdint>       // std::uint64_t
#include <functional>    // std::less
#include <map>           // std::map
#include <optional>      // std::optional
#include <set>           // std::set
#include <string>        // std::string
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code
#include <utility>       // std::move
#include <vector>        // std::vector

#include <belay/core/machine_group.hpp>
#include <belay/core/order.hpp>
#include <belay/room/detail/persistence_scheduler.hpp>
#include <belay/room/detail/turn_context.hpp>
#include <belay/room/document_like.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// A list or an export that waits for the storage: a machine of RoomAdmin's group.
template <class Admin, class V>
struct AdminCall {
    AdminCall(Admin& o, std::string name, Completion<V> d, Instant e)
        : admin{&o}, board{std::move(name)}, done{std::move(d)}, ends{e} {}
    void attach(Waker w) {
        waker = std::move(w);
        question.attach(waker);
    }
    [[nodiscard]] Instant deadline() const noexcept { return smaller(question.deadline(), ends); }
    void advance(Instant now) { admin->take(*this, now); }

    Admin* admin;
    const std::string board;
    Completion<V> done;
    Instant ends;
    Waker waker{};
    driver::Question<V> question;
};

/// Erases, resets, lists, exports and imports rooms. The manager delivers the answers at the
/// end of its turn.
///
/// `Parts` names the parts of the manager. This part calls
/// - `Rooms`: `find`, `find_or_make`, `step`, `end_history`, `take_stored` and `empty_document`,
/// - `Scheduler`, for the calls of the storage.
///
/// An erase or a reset is not durable at once. Until it is, new clients wait in a room whose load
/// has not begun, because a load would find the previous history.
///
/// Thread safety: the manager's home thread.
template <class Parts>
class RoomAdmin {
    using Document = typename Parts::Document;
    using Delivery = typename Parts::Delivery;
    using Rooms = typename Parts::Rooms;
    using Scheduler = typename Parts::Scheduler;
    using Room = RoomState<Document>;
    template <class V>
    using Call = AdminCall<RoomAdmin, V>;
    template <class V>
    using Calls = std::map<const Call<V>*, driver::GroupedMachine<Call<V>>>;

public:
    static constexpr std::size_t listed_max = 1000;

    RoomAdmin(Rooms& rooms, Scheduler& scheduler, TurnContext& context) noexcept
        : rooms_{&rooms}, scheduler_{&scheduler}, context_{&context} {}

    void attach(Waker waker) { nest_.attach(std::move(waker)); }
    [[nodiscard]] Instant deadline() const noexcept { return nest_.deadline(); }
    void turn() { static_cast<void>(nest_.advance(context_->now)); }
    /// Whether no call waits for its answer.
    [[nodiscard]] bool empty() const noexcept { return calls_ == 0; }
    /// Whether an erase or a reset of this room is not durable yet. A new client waits for the
    /// flush, or for the next one after a failed flush.
    [[nodiscard]] bool is_changing(const std::string& board) {
        if (changing_.contains(board)) return true;
        if (!unsettled_.contains(board)) return false;
        ++changing_[board];
        scheduler_->await({board, std::nullopt});
        return true;
    }

    // ---- histories ------------------------------------------------------------------------------

    void erase(std::string board, Completion<PersistenceError> done) {
        if (!accepts(board, done)) return;
        change_history(std::move(board), std::move(done), make_error_code(RoomErrc::room_erased),
                       [this](const std::string& id) { return scheduler_->erase(id); });
    }
    void reset(std::string board, Completion<PersistenceError> done) {
        if (!accepts(board, done)) return;
        change_history(std::move(board), std::move(done), make_error_code(RoomErrc::history_reset),
                       [this](const std::string& id) {
                           return scheduler_->reset(id, make_id(context_->bits));
                       });
    }
    /// Called by the scheduler: the change is stored, or its result is unknown.
    void admin_stored(PendingAdmin& pending, const PersistenceError& error) {
        if (pending.done) answer(*pending.done, error);
        if (error) unsettled_.insert(pending.board);
        const auto found = changing_.find(pending.board);
        if (--found->second != 0) return;
        changing_.erase(found);
        auto* const room = rooms_->find(pending.board);
        if (room == nullptr) return;
        if (!error) return scheduler_->begin_load(*room);
        // A load would find a history that the next flush may end.
        fail_imports(*room, error);
        rooms_->step(*room, timeline::RoomCore::Event::load_failed);
    }
    /// A flush succeeded completely, so earlier failed changes are stored, too.
    void all_stored() noexcept { unsettled_.clear(); }

    // ---- what is stored -------------------------------------------------------------------------

    void list(std::string_view after, std::size_t count,
              Completion<Result<std::vector<std::string>, PersistenceError>> done) {
        if (!accepts(done)) return;
        if (count == 0 || count > listed_max)
            return fail(done, std::make_error_code(std::errc::invalid_argument));
        Call<Result<std::vector<std::string>, PersistenceError>>& call =
            begin(lists_, {}, std::move(done));
        scheduler_->persistence().list(after, count, call.question.ask());
    }
    void export_room(std::string board,
                     Completion<Result<std::optional<StoredRoom>, PersistenceError>> done) {
        if (!accepts(board, done)) return;
        auto* const room = rooms_->find(board);
        if (room != nullptr && room->core.live()) {
            Result<std::optional<StoredRoom>, PersistenceError> found{std::optional<StoredRoom>{}};
            // A shared room has read up to `position`, and may have more.
            const bool more = room->replication && room->document.bytes() != 0;
            if (room->position != 0 || more) found = document_of(*room, room->document);
            return answer(done, std::move(found));
        }
        Call<Result<std::optional<StoredRoom>, PersistenceError>>& call =
            begin(exports_, std::move(board), std::move(done));
        scheduler_->persistence().load(call.board, call.question.ask());
    }
    template <class V>
    void take(Call<V>& call, Instant now) {
        if (!call.question.answered() && call.ends > now) return;
        const driver::GroupedMachine<Call<V>> self = end(call);
        std::optional<V> found;
        if (call.question.answered()) found = call.question.take();
        if (!found) return fail(call.done, make_error_code(RoomErrc::no_answer));
        if constexpr (std::is_same_v<V, Result<std::optional<StoredRoom>, PersistenceError>>)
            merge(*found);
        answer(call.done, std::move(*found));
    }

    // ---- imports --------------------------------------------------------------------------------

    void import_room(const std::string& board, StoredRoom content,
                     Completion<PersistenceError> done) {
        if (!accepts(board, done)) return;
        std::error_code error;
        auto* const room = rooms_->find_or_make(board, error);
        if (room == nullptr) return fail(done, error);
        const std::size_t size = bytes_of(content);
        if (size > context_->options.unflushed_bytes_max - room->imports_bytes)
            return fail(done, make_error_code(RoomErrc::update_too_large));
        rooms_->step(*room, timeline::RoomCore::Event::touched);
        RoomImport import{std::move(content), std::move(done)};
        if (room->core.live()) return apply_import(*room, import);
        room->imports_bytes += size;
        room->imports.push_back(std::move(import));
    }
    /// Applies the imports that waited for the load.
    void on_loaded(Room& room) {
        room.imports_bytes = 0;
        for (RoomImport& import : std::exchange(room.imports, {})) apply_import(room, import);
    }
    /// Answers imports with an error: the room ended, or its pending changes are lost.
    void fail_imports(RoomBase& room, const PersistenceError& why) {
        room.imports_bytes = 0;
        for (RoomImport& import : std::exchange(room.imports, {})) answer(import.done, why);
        for (PendingUpdate& change : room.pending) fail_change(change, why);
    }
    void fail_change(PendingUpdate& change, const PersistenceError& why) {
        if (change.done) answer(*std::exchange(change.done, std::nullopt), why);
    }
    void durable(PendingUpdate& change) { fail_change(change, {}); }

    /// Answers all calls with no_answer.
    void end_all() {
        const auto why = make_error_code(RoomErrc::no_answer);
        end_all(lists_, why);
        end_all(exports_, why);
        for (PendingAdmin& pending : scheduler_->forget_admin()) {
            if (pending.done) fail(*pending.done, why);
        }
        changing_.clear();
    }

private:
    /// With a V, or with arguments of its constructor.
    template <class V, class T>
    void answer(Completion<V>& done, T&& result) {
        --calls_;
        context_->pending_events.emplace_back(std::in_place_type<PendingAnswer<V>>, std::move(done),
                                              std::forward<T>(result));
    }
    template <class V>
    void answer(Completion<V>&& done, V value) {
        answer(done, std::move(value));
    }
    template <class V>
    void fail(Completion<V>& done, std::error_code error) {
        answer(done, PersistenceError{error, {}, {}});
    }
    template <class V>
    [[nodiscard]] bool accepts(Completion<V>& done) {
        ++calls_;
        std::error_code error;
        if (!context_->runs()) error = RoomErrc::manager_stopped;
        if (calls_ > context_->options.calls_max) error = RoomErrc::too_many;
        if (error) fail(done, error);
        return !error;
    }
    template <class V>
    [[nodiscard]] bool accepts(std::string_view board, Completion<V>& done) {
        if (!accepts(done)) return false;
        if (is_room_id(board)) return true;
        fail(done, make_error_code(RoomErrc::bad_room_id));
        return false;
    }

    /// Ends the room's history in memory, and closes its clients with `why`.
    template <class Change>
    void change_history(std::string board, Completion<PersistenceError> done,
                        const std::error_code& why, Change&& change) {
        if (const std::error_code error = change(board)) return fail(done, error);
        ++changing_[board];
        if (auto* const room = rooms_->find(board)) rooms_->end_history(*room, why);
        scheduler_->await({std::move(board), std::move(done)});
    }

    template <class V>
    Call<V>& begin(Calls<V>& calls, std::string board, Completion<V> done) {
        auto made =
            nest_.template make<Call<V>>(*this, std::move(board), std::move(done),
                                         after(context_->now, context_->options.answer_within));
        Call<V>& call = *made;
        calls.emplace(&call, std::move(made));
        return call;
    }
    /// Removes a call. It lives as long as the returned handle.
    template <class V>
    [[nodiscard]] driver::GroupedMachine<Call<V>> end(Call<V>& call) {
        auto& calls = calls_of(call);
        const auto found = calls.find(&call);
        driver::GroupedMachine<Call<V>> self = std::move(found->second);
        calls.erase(found);
        return self;
    }
    [[nodiscard]] Calls<Result<std::vector<std::string>, PersistenceError>>& calls_of(
        const Call<Result<std::vector<std::string>, PersistenceError>>&) noexcept {
        return lists_;
    }
    [[nodiscard]] Calls<Result<std::optional<StoredRoom>, PersistenceError>>& calls_of(
        const Call<Result<std::optional<StoredRoom>, PersistenceError>>&) noexcept {
        return exports_;
    }
    template <class V>
    void end_all(Calls<V>& calls, const std::error_code& why) {
        for (auto& [key, call] : calls) fail(call->done, why);
        calls.clear();
    }

    /// Merges what was loaded into one document.
    void merge(Result<std::optional<StoredRoom>, PersistenceError>& found) {
        if (!found || !*found) return;
        Room room{{}, rooms_->empty_document(), always, context_->options, context_->now};
        if (!rooms_->take_stored(room, *found))
            found = PersistenceError{
                RoomErrc::malformed_update, {}, "the stored data is not a document"};
        else
            found = document_of(room, room.document);
    }
    [[nodiscard]] static Result<std::optional<StoredRoom>, PersistenceError> document_of(
        const RoomBase& room, Document& document) {
        const std::span<const Bytes> parts = document.snapshot();
        return std::optional{
            StoredRoom{room.epoch, {parts.begin(), parts.end()}, {}, room.position}};
    }
    [[nodiscard]] static std::size_t bytes_of(const StoredRoom& content) noexcept {
        std::size_t size = 0;
        for (const auto* part : {&content.snapshot, &content.updates})
            for (const Bytes& update : *part) size += update.size();
        return size;
    }

    void apply_import(Room& room, RoomImport& import) {
        std::vector<BytesView> adding;
        if (PersistenceError error = check_import(room, import.content, adding))
            return answer(import.done, std::move(error));
        for (const BytesView update : adding) {
            if (const std::error_code e = scheduler_->append(room, update, 0, import.content.epoch))
                return fail(import.done, e);
            rooms_->step(room, timeline::RoomCore::Event::appended);
        }
        if (adding.empty()) return answer(import.done, PersistenceError{});
        room.pending.back().done = std::move(import.done);
    }
    /// Collects the new updates of an import, after all were tried on a copy of the document.
    [[nodiscard]] PersistenceError check_import(Room& room, const StoredRoom& content,
                                                std::vector<BytesView>& adding) const {
        // Merges the document first, so that its content is known.
        static_cast<void>(Delivery::vector_of(room));
        Document trial{room.document};
        std::size_t number = 0;
        std::size_t size = room.pending_bytes;
        for (const auto* part : {&content.snapshot, &content.updates}) {
            for (const Bytes& update : *part) {
                ++number;
                auto adds = trial.check(update);
                std::error_code error;
                if (!adds.has_value()) error = static_cast<std::error_code>(adds.error());
                if (!error && !*adds) continue;
                if (!error) error = static_cast<std::error_code>(trial.apply(update));
                if (error) return {error, {}, "part " + std::to_string(number) + " of the import"};
                size += update.size();
                adding.emplace_back(update);
            }
        }
        if (size > context_->options.unflushed_bytes_max)
            return {RoomErrc::update_too_large, {}, "RoomOptions::unflushed_bytes_max"};
        return {};
    }

    Rooms* rooms_;
    Scheduler* scheduler_;
    TurnContext* context_;
    driver::MachineGroup nest_;
    Calls<Result<std::vector<std::string>, PersistenceError>> lists_;
    Calls<Result<std::optional<StoredRoom>, PersistenceError>> exports_;
    /// The number of erases and resets that wait for a flush, by room id.
    std::map<std::string, std::size_t, std::less<>> changing_;
    /// Rooms whose erase or reset failed to flush: the next flush may store it.
    std::set<std::string, std::less<>> unsettled_;
    std::size_t calls_ = 0;
};

}}}  // namespace belay::detail
