// SPDX-License-Identifier: MIT
/// \file belay/room/detail/room_office.hpp
/// RoomOffice: what is asked of rooms from outside, and answered when it is done.
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
#include <belay/room/detail/room_notice.hpp>
#include <belay/room/detail/room_vault.hpp>
#include <belay/room/document_like.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// A question to the storage on behalf of somebody outside: a machine of the office's nest.
template <class Office, class V>
struct RoomAsk {
    RoomAsk(Office& o, std::string name, Completion<V> d, Instant e)
        : office{&o}, board{std::move(name)}, done{std::move(d)}, ends{e} {}
    void attach(Waker w) {
        waker = std::move(w);
        question.attach(waker);
    }
    [[nodiscard]] Instant deadline() const noexcept { return smaller(question.deadline(), ends); }
    void advance(Instant now) { office->take(*this, now); }

    Office* office;
    const std::string board;
    Completion<V> done;
    Instant ends;
    Waker waker{};
    driver::Question<V> question;
};

/// Erases, begins anew, lists, exports and imports rooms. `Hub` has the rooms, and what is told at
/// the end of its turn: so are the answers.
///
/// What a history ends with, or begins, is not durable at once: until it is, whoever comes to the
/// board waits for a room whose load has not begun, for it would find what was there before.
///
/// Thread safety: the manager's home thread.
template <class Hub, PersistenceLike Persistence, DocumentLike Document>
class RoomOffice {
    using Room = RoomState<Document>;
    template <class V>
    using Ask = RoomAsk<RoomOffice, V>;
    template <class V>
    using Asks = std::map<const Ask<V>*, driver::GroupedMachine<Ask<V>>>;
    using Vault = RoomVault<Hub, Persistence>;

public:
    static constexpr std::size_t listed_max = 1000;

    RoomOffice(Hub& hub, Vault& vault) noexcept : hub_{&hub}, vault_{&vault} {}

    void attach(const Waker& waker) { nest_.attach(waker.nested(2)); }
    [[nodiscard]] Instant deadline() const noexcept { return nest_.deadline(); }
    void turn(Instant now) { static_cast<void>(nest_.advance(now)); }
    /// Whether all has been answered.
    [[nodiscard]] bool empty() const noexcept { return calls_ == 0; }
    /// Whether a board's history is about to end or to begin: who comes waits for the flush, and
    /// after one that has failed for the next.
    [[nodiscard]] bool turns(const std::string& board) {
        if (turning_.contains(board)) return true;
        if (!unsettled_.contains(board)) return false;
        ++turning_[board];
        vault_->await({board, std::nullopt});
        return true;
    }

    // ---- histories -----------------------------------------------------------------------------

    void erase(std::string board, Completion<PersistenceError> done) {
        if (!takes(board, done)) return;
        turn(std::move(board), std::move(done), make_error_code(RoomErrc::room_erased),
             [this](const std::string& id) { return vault_->erase(id); });
    }
    void reset(std::string board, Completion<PersistenceError> done) {
        if (!takes(board, done)) return;
        turn(std::move(board), std::move(done), make_error_code(RoomErrc::history_reset),
             [this](const std::string& id) { return vault_->reset(id, make_id(hub_->bits_)); });
    }
    /// The vault: it is stored now, or nobody knows.
    void turned(RoomTurn& turn, const PersistenceError& error) {
        if (turn.done) answer(*turn.done, error);
        if (error) unsettled_.insert(turn.board);
        const auto found = turning_.find(turn.board);
        if (--found->second != 0) return;
        turning_.erase(found);
        auto* const room = hub_->find(turn.board);
        if (room == nullptr) return;
        if (!error) return vault_->begin_load(*room, hub_->now_);
        // A load would tell what the next flush may end.
        fail_imports(*room, error);
        hub_->step(*room, timeline::RoomCore::Event::load_failed);
    }
    /// Nothing is waited for any more that should have been stored before.
    void all_stored() noexcept { unsettled_.clear(); }

    // ---- what is stored ------------------------------------------------------------------------

    void list(std::string_view after, std::size_t count,
              Completion<Result<std::vector<std::string>, PersistenceError>> done) {
        if (!takes(done)) return;
        if (count == 0 || count > listed_max)
            return fail(done, std::make_error_code(std::errc::invalid_argument));
        Ask<Result<std::vector<std::string>, PersistenceError>>& ask =
            begin(lists_, {}, std::move(done));
        vault_->persistence().list(after, count, ask.question.ask());
    }
    void export_room(std::string board,
                     Completion<Result<std::optional<StoredRoom>, PersistenceError>> done) {
        if (!takes(board, done)) return;
        auto* const room = hub_->find(board);
        if (room != nullptr && room->core.live()) {
            Result<std::optional<StoredRoom>, PersistenceError> found{std::optional<StoredRoom>{}};
            // Of several servers, one knows what it has read, and may have more.
            const bool more = room->others && room->document.bytes() != 0;
            if (room->position != 0 || more) found = document_of(*room, room->document);
            return answer(done, std::move(found));
        }
        Ask<Result<std::optional<StoredRoom>, PersistenceError>>& ask =
            begin(exports_, std::move(board), std::move(done));
        vault_->persistence().load(ask.board, ask.question.ask());
    }
    template <class V>
    void take(Ask<V>& ask, Instant now) {
        if (!ask.question.answered() && ask.ends > now) return;
        const driver::GroupedMachine<Ask<V>> self = end(ask);
        std::optional<V> found;
        if (ask.question.answered()) found = ask.question.take();
        if (!found) return fail(ask.done, make_error_code(RoomErrc::no_answer));
        if constexpr (std::is_same_v<V, Result<std::optional<StoredRoom>, PersistenceError>>)
            merge(*found);
        answer(ask.done, std::move(*found));
    }

    // ---- imports -------------------------------------------------------------------------------

    void import_room(const std::string& board, StoredRoom content,
                     Completion<PersistenceError> done) {
        if (!takes(board, done)) return;
        std::error_code error;
        auto* const room = hub_->find_or_make(board, error);
        if (room == nullptr) return fail(done, error);
        const std::size_t size = bytes_of(content);
        if (size > hub_->options_.unflushed_bytes_max - room->imports_bytes)
            return fail(done, make_error_code(RoomErrc::update_too_large));
        hub_->touch(*room);
        RoomImport import{std::move(content), std::move(done)};
        if (room->core.live()) return bring_in(*room, import);
        room->imports_bytes += size;
        room->imports.push_back(std::move(import));
    }
    /// What came before a room was loaded.
    void on_loaded(Room& room) {
        room.imports_bytes = 0;
        for (RoomImport& import : std::exchange(room.imports, {})) bring_in(room, import);
    }
    /// A room ends, or what it has not stored is lost.
    void fail_imports(RoomBase& room, const PersistenceError& why) {
        room.imports_bytes = 0;
        for (RoomImport& import : std::exchange(room.imports, {})) answer(import.done, why);
        for (PendingUpdate& change : room.pending) fail_change(change, why);
    }
    void fail_change(PendingUpdate& change, const PersistenceError& why) {
        if (change.done) answer(*std::exchange(change.done, std::nullopt), why);
    }
    void durable(PendingUpdate& change) { fail_change(change, {}); }

    /// Nothing else is waited for.
    void end_all() {
        const auto why = make_error_code(RoomErrc::no_answer);
        end_all(lists_, why);
        end_all(exports_, why);
        for (RoomTurn& turn : vault_->forget_turns()) {
            if (turn.done) fail(*turn.done, why);
        }
        turning_.clear();
    }

private:
    /// With a V, or what one is made of.
    template <class V, class Said>
    void answer(Completion<V>& done, Said&& said) {
        --calls_;
        hub_->notices_.emplace_back(std::in_place_type<RoomAnswer<V>>, std::move(done),
                                    std::forward<Said>(said));
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
    [[nodiscard]] bool takes(Completion<V>& done) {
        ++calls_;
        std::error_code error;
        if (!hub_->runs()) error = RoomErrc::manager_stopped;
        if (calls_ > hub_->options_.calls_max) error = RoomErrc::too_many;
        if (error) fail(done, error);
        return !error;
    }
    template <class V>
    [[nodiscard]] bool takes(std::string_view board, Completion<V>& done) {
        if (!takes(done)) return false;
        if (is_room_id(board)) return true;
        fail(done, make_error_code(RoomErrc::bad_room_id));
        return false;
    }

    /// A history ends: what is here of it goes, and its clients with `why`.
    template <class Change>
    void turn(std::string board, Completion<PersistenceError> done, const std::error_code& why,
              Change&& change) {
        if (const std::error_code error = change(board)) return fail(done, error);
        ++turning_[board];
        if (auto* const room = hub_->find(board)) hub_->end_history(*room, why);
        vault_->await({std::move(board), std::move(done)});
    }

    template <class V>
    Ask<V>& begin(Asks<V>& asks, std::string board, Completion<V> done) {
        auto made = nest_.template make<Ask<V>>(*this, std::move(board), std::move(done),
                                                after(hub_->now_, hub_->options_.answer_within));
        Ask<V>& ask = *made;
        asks.emplace(&ask, std::move(made));
        return ask;
    }
    /// It lives as long as what is returned.
    template <class V>
    [[nodiscard]] driver::GroupedMachine<Ask<V>> end(Ask<V>& ask) {
        auto& asks = asks_of(ask);
        const auto found = asks.find(&ask);
        driver::GroupedMachine<Ask<V>> self = std::move(found->second);
        asks.erase(found);
        return self;
    }
    [[nodiscard]] Asks<Result<std::vector<std::string>, PersistenceError>>& asks_of(
        const Ask<Result<std::vector<std::string>, PersistenceError>>&) noexcept {
        return lists_;
    }
    [[nodiscard]] Asks<Result<std::optional<StoredRoom>, PersistenceError>>& asks_of(
        const Ask<Result<std::optional<StoredRoom>, PersistenceError>>&) noexcept {
        return exports_;
    }
    template <class V>
    void end_all(Asks<V>& asks, const std::error_code& why) {
        for (auto& [key, ask] : asks) fail(ask->done, why);
        asks.clear();
    }

    /// One document of all that was loaded.
    void merge(Result<std::optional<StoredRoom>, PersistenceError>& found) {
        if (!found || !*found) return;
        Room room{{}, hub_->empty_, always, hub_->options_, hub_->now_};
        if (!hub_->take_stored(room, *found))
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

    void bring_in(Room& room, RoomImport& import) {
        std::vector<BytesView> adding;
        if (PersistenceError error = judge(room, import.content, adding))
            return answer(import.done, std::move(error));
        for (const BytesView update : adding) {
            if (const std::error_code e =
                    vault_->append(room, update, 0, hub_->bits_, import.content.epoch))
                return fail(import.done, e);
            hub_->step(room, timeline::RoomCore::Event::appended);
        }
        if (adding.empty()) return answer(import.done, PersistenceError{});
        room.pending.back().done = std::move(import.done);
    }
    /// What of it is new: all of it is tried on a copy of the document before any of it is stored.
    [[nodiscard]] PersistenceError judge(Room& room, const StoredRoom& content,
                                         std::vector<BytesView>& adding) const {
        // Merged first, so that what it has is known.
        static_cast<void>(Hub::vector_of(room));
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
        if (size > hub_->options_.unflushed_bytes_max)
            return {RoomErrc::update_too_large, {}, "RoomOptions::unflushed_bytes_max"};
        return {};
    }

    Hub* hub_;
    Vault* vault_;
    driver::MachineGroup nest_;
    Asks<Result<std::vector<std::string>, PersistenceError>> lists_;
    Asks<Result<std::optional<StoredRoom>, PersistenceError>> exports_;
    /// Boards, and how many changes of each wait to be stored.
    std::map<std::string, std::size_t, std::less<>> turning_;
    /// Those whose flush has failed: what it should have stored may be stored by the next.
    std::set<std::string, std::less<>> unsettled_;
    std::size_t calls_ = 0;
};

}}}  // namespace belay::detail
