// SPDX-License-Identifier: MIT
/// \file belay/room/detail/room_hub.hpp
/// RoomHub: the rooms of a RoomManager, and what becomes of their changes.
#pragma once

#include <functional>    // std::less
#include <map>           // std::map
#include <span>          // std::span
#include <string>        // std::string
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code
#include <utility>       // std::exchange, std::move
#include <vector>        // std::vector

#include <belay/room/detail/room_network.hpp>
#include <belay/room/detail/room_office.hpp>
#include <belay/room/detail/room_trunks.hpp>
#include <belay/room/detail/room_vault.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// All that a RoomManager is but its observer: rooms by their ids, with clients (RoomClients),
/// storage (RoomVault), and what is sent (RoomDelivery).
///
/// Thread safety: home thread only.
template <PersistenceLike Persistence, AuthorizerLike Authorizer, DocumentLike Document>
class RoomHub
    : public RoomTrunks<RoomHub<Persistence, Authorizer, Document>, Authorizer, Document> {
    using Clients = RoomTrunks<RoomHub, Authorizer, Document>;
    friend Clients;
    friend class RoomClients<RoomHub, Authorizer, Document>;
    friend class RoomDoor<RoomHub, Authorizer, Document>;
    friend class RoomVault<RoomHub, Persistence>;
    friend class RoomOffice<RoomHub, Persistence, Document>;
    friend struct RoomMachine<RoomHub, Document>;
    using Network = RoomNetwork<RoomHub, FanoutOf<Persistence>, Document>;
    friend Network;
    using Event = timeline::RoomCore::Event;
    using Clients::aware_;
    using Clients::bits_;
    using Clients::delivery_;
    using Clients::now_;
    using Clients::options_;
    using Clients::phase_;
    using Phase = typename Clients::Phase;

public:
    using Clients::counters_;
    using Room = RoomMachine<RoomHub, Document>;

    RoomHub(Persistence persistence, Authorizer authorizer, const RoomOptions& options,
            const Document& empty)
        : Clients{std::move(authorizer), options},
          office{*this, vault_},
          vault_{*this, std::move(persistence), options_, counters_},
          network_{*this, options_},
          empty_{empty} {}
    ~RoomHub() { this->end_all(); }

    // ---- for the driver ------------------------------------------------------------------------

    void attach(const Waker& waker) {
        Clients::attach(waker);
        network_.attach(bits_);
        rooms_nest_.attach(waker.nested(1));
        vault_.attach(waker);
        office.attach(waker);
    }
    [[nodiscard]] Instant deadline() const noexcept {
        if (!aware_.empty() || !gone_.empty()) return always;
        if (phase_ == Phase::stopping && all_done()) return always;
        const Instant rooms = smaller(rooms_nest_.deadline(), office.deadline());
        return smaller(smaller(Clients::deadline(), rooms), smaller(vault_.deadline(), stop_ends_));
    }
    /// A turn; nobody outside is told anything yet.
    void turn(Instant now) {
        now_ = larger(now_, now);
        Clients::turn();
        static_cast<void>(rooms_nest_.advance(now_));
        office.turn(now_);
        vault_.flush(now_);
        vault_.begin_saves(now_);
        tell_awareness();
        this->reap();
        finish_stop();
        gone_.clear();
    }

    // ---- commands ------------------------------------------------------------------------------

    void start(Instant now) {
        if (phase_ == Phase::running || phase_ == Phase::stopping) return;
        now_ = larger(now_, now);
        started_ = now_;
        phase_ = Phase::running;
        vault_.hurry(false);
    }
    void stop(Instant now) {
        if (phase_ == Phase::stopping || phase_ == Phase::stopped) return;
        now_ = larger(now_, now);
        phase_ = Phase::stopping;
        vault_.hurry(true);
        stop_error_.clear();
        stop_ends_ = after(now_, options_.stop_within);
        this->dismiss_all(make_error_code(RoomErrc::manager_stopped));
        for (Room* const room : all_rooms()) step(*room, Event::stop);
    }
    /// Null if there are too many, or the manager does not run.
    Room* find_or_make(std::string_view board, std::error_code& error) {
        if (Room* const room = find(board)) return room;
        if (!is_room_id(board))
            error = RoomErrc::bad_room_id;
        else if (phase_ != Phase::running)
            error = RoomErrc::manager_stopped;
        else if (rooms_.size() >= options_.rooms_max)
            error = RoomErrc::too_many;
        if (error) return nullptr;
        auto made = rooms_nest_.template make<Room>(*this, std::string{board}, empty_, started_,
                                                    options_, now_);
        Room& room = *made;
        network_.made(room);
        rooms_.emplace(room.id, std::move(made));
        if (!office.turns(room.id)) vault_.begin_load(room, now_);
        return &room;
    }
    [[nodiscard]] Room* find(std::string_view board) const {
        const auto found = rooms_.find(board);
        return found != rooms_.end() ? found->second.get() : nullptr;
    }
    /// An update by a client, or by the server: 0.
    [[nodiscard]] std::error_code update(RoomState<Document>& room, BytesView bytes,
                                         std::uint64_t author) {
        if (!room.core.live()) return RoomErrc::not_loaded;
        auto adds = room.document.check(bytes);
        if (!adds.has_value()) return static_cast<std::error_code>(adds.error());
        if (!*adds) {
            ++counters_.unchanged;
            return {};
        }
        if (const std::error_code e = vault_.append(room, bytes, author, bits_)) return e;
        step(room, Event::appended);
        return {};
    }
    void touch(RoomBase& room) { step(room, Event::touched); }
    bool broadcast(std::string_view board, BytesView frame, std::uint64_t except) {
        Room* const room = find(board);
        if (room == nullptr) return false;
        const auto shared = Ref<RoomFrame>::make(to_bytes(frame));
        for (RoomSeat* const seat : std::vector<RoomSeat*>{room->members}) {
            if (seat->stage == SeatStage::member && !seat->is(except))
                delivery_.say_raw(*seat, shared, now_);
        }
        return true;
    }
    std::size_t reauthorize(std::string_view board) {
        std::size_t asked = 0;
        for (RoomSeat* const seat : this->all()) {
            if (seat->request.board != board || seat->stage == SeatStage::closing) continue;
            ++asked;
            this->check(*seat);
        }
        return asked;
    }
    [[nodiscard]] std::optional<RoomStats> stats(std::string_view board) const {
        const Room* const room = find(board);
        if (room == nullptr) return std::nullopt;
        RoomStats stats{.clients = room->core.clients(),
                        .last_activity = room->core.last_activity(),
                        .bytes = room->document.bytes(),
                        .pending = room->core.unflushed(),
                        .loaded = room->core.live(),
                        .dirty = room->core.dirty(),
                        .epoch = epoch_text(room->epoch)};
        if constexpr (requires { room->document.status().gaps; })
            stats.gaps = room->document.status().gaps;
        return stats;
    }

    [[nodiscard]] static Bytes vector_of(RoomState<Document>& room) {
        return RoomDelivery<RoomDoor<RoomHub, Authorizer, Document>, Document>::vector_of(room);
    }
    [[nodiscard]] bool runs() const noexcept { return phase_ == Phase::running; }
    [[nodiscard]] Persistence& persistence() noexcept { return vault_.persistence(); }
    [[nodiscard]] std::size_t rooms() const noexcept { return rooms_.size(); }

    /// What is asked from outside.
    RoomOffice<RoomHub, Persistence, Document> office;

private:
    // ---- decisions -----------------------------------------------------------------------------

    void step(RoomBase& base, Event event) {
        if (base.over) return;
        Turn turn{now_, bits_};
        const timeline::RoomCore::Actions todo = base.core.step(event, turn);
        auto& room = static_cast<Room&>(base);
        if (todo.load) vault_.begin_load(room, now_);
        if (todo.save) {
            if (std::exchange(room.news, false)) this->tell(RoomEvent::Kind::changed, room);
            vault_.ask_save(room);
        }
        if (todo.unload) end(room, why_ended());
        if (todo.refuse) this->refuse_all(room, make_error_code(RoomErrc::not_loaded));
        room.waker.touch();
    }
    /// A room's turn.
    void run(Room& room) {
        if (room.over) return;
        PersistenceError error;
        std::optional<StoredRoom> found;
        if (vault_.take_load(room, now_, error, found)) on_load(room, error, found);
        if (!room.over && vault_.take_save(room, now_, error)) {
            if (error && phase_ == Phase::stopping) stop_error_ = error.code;
            if (!error) this->tell(RoomEvent::Kind::saved, room);
            step(room, error ? Event::save_failed : Event::saved);
        }
        if (!room.over) network_.run(room);
        if (room.over) return;
        room.awareness.expire(now_);
        this->note_aware(room);
        step(room, Event::tick);
    }
    void on_load(Room& room, PersistenceError& error, std::optional<StoredRoom>& found) {
        if (room.core.live()) return network_.found(room, error, found);
        if (!error && !take_stored(room, found)) {
            error = {RoomErrc::malformed_update, {}, "the stored data is not a document"};
            failed(room.id, error);
        }
        if (error) {
            office.fail_imports(room, error);
            return step(room, Event::load_failed);
        }
        if (!std::exchange(room.known, true)) this->tell(RoomEvent::Kind::loaded, room);
        step(room, Event::loaded);
        if (room.over) return;
        if (std::exchange(room.hurry, false)) step(room, Event::hurried);
        network_.loaded(room);
        this->on_loaded(room);
        if (!room.over) office.on_loaded(room);
    }
    [[nodiscard]] bool take_stored(RoomState<Document>& room, std::optional<StoredRoom>& found) {
        room.document = Document{empty_};
        room.epoch = no_id;
        room.position = 0;
        if (!found) return true;
        room.epoch = found->epoch;
        room.position = found->position;
        return !network_.take_parts(room, room.document, found);
    }
    [[nodiscard]] std::error_code why_ended() const noexcept {
        if (runs()) return RoomErrc::not_loaded;
        return RoomErrc::manager_stopped;
    }
    /// Lets a room go: it is destroyed when the turn is over. Nothing of it should wait any more.
    void end(RoomState<Document>& room, const std::error_code& why) {
        room.over = true;
        office.fail_imports(room, {why, {}, {}});
        while (!room.members.empty()) {
            const RoomSeat* const seat = room.members.back();
            room.members.pop_back();
            this->tell(RoomEvent::Kind::left, room, seat);
        }
        if (room.known) this->tell(RoomEvent::Kind::unloaded, room);
        vault_.forget(room);
        std::erase(aware_, &room);
        const auto found = rooms_.find(room.id);
        gone_.push_back(std::move(found->second));
        rooms_.erase(found);
    }

    /// Its history is over: who has some of it goes, with what has not been stored.
    void end_history(RoomState<Document>& room, const std::error_code& why) {
        end(room, why);
        for (RoomSeat* const seat : this->all()) {
            if (seat->room != &room) continue;
            // Of a history that begins anew only those learn who have seen the one before.
            const bool knows = why == RoomErrc::room_erased || seat->stage == SeatStage::member;
            this->dismiss(*seat, knows ? why : make_error_code(RoomErrc::not_loaded));
        }
    }

    // ---- for the vault -------------------------------------------------------------------------

    [[nodiscard]] static std::span<const Bytes> snapshot_of(RoomBase& base) {
        return static_cast<Room&>(base).document.snapshot();
    }
    void turned(RoomTurn& turn, const PersistenceError& error) { office.turned(turn, error); }
    void all_stored() noexcept { office.all_stored(); }

    void durable(RoomBase& base) {
        auto& room = static_cast<Room&>(base);
        for (std::size_t left = std::exchange(room.flushing, 0); left != 0; --left) {
            PendingUpdate change = std::move(room.pending.front());
            room.pending.pop_front();
            room.pending_bytes -= change.update.size();
            network_.entered(room, change);
            enter(room, change);
        }
    }
    void enter(RoomState<Document>& room, PendingUpdate& change) {
        if (!change.known) put(room, change.update, change.author);
        office.durable(change);
        this->acknowledge(change);
        step(room, Event::entered);
    }
    /// To all but one, and into the document.
    void put(RoomState<Document>& room, BytesView update, std::uint64_t author) {
        delivery_.send_update(room, update, author, now_);
        const std::error_code error{room.document.apply(update)};
        BELAY_INVARIANT(!error,
                        "RoomManager: the document must apply a change that it has checked");
        room.news = true;
        ++counters_.updates;
    }
    void not_durable(RoomBase& base, const PersistenceError& why) {
        auto& room = static_cast<Room&>(base);
        if (room.over) return;
        if (why.code == RoomErrc::history_reset) {
            counters_.lost_updates += room.pending.size();
            return end_history(room, why.code);
        }
        counters_.lost_updates += room.pending.size();
        std::deque<PendingUpdate> lost = std::exchange(room.pending, {});
        room.pending_bytes = room.flushing = 0;
        // Where others change it, too, what is stored comes by itself, and there may be nobody now
        // who could load it: it can be read as it is.
        if constexpr (Network::alone) {
            room.reloads = delivery_.vector_of(room);
            this->hold(room);
        }
        bool known = false;
        for (PendingUpdate& change : lost) {
            known = known || change.known;
            office.fail_change(change, why);
            this->fail_author(change.author, make_error_code(RoomErrc::not_durable));
        }
        if (phase_ == Phase::stopping) stop_error_ = make_error_code(RoomErrc::not_durable);
        network_.lost(room, known);
        step(room, Network::alone ? Event::lost : Event::dropped);
    }
    void failed(const std::string& board, const PersistenceError& error) {
        this->notices_.push_back(RoomFailure{board, error});
    }
    void lagging(const std::string& board) {
        if (phase_ != Phase::running || now_ < hurry_again_) return;
        // One that cannot be loaded must not be asked for with every flush.
        hurry_again_ = after(now_, options_.save_retry_min);
        std::error_code error;
        Room* const room = find_or_make(board, error);
        if (room == nullptr) return;
        if (room->core.live()) return step(*room, Event::hurried);
        room->hurry = true;
    }

    // ---- at the end of a turn ------------------------------------------------------------------

    void tell_awareness() {
        for (RoomBase* const base : std::exchange(aware_, {})) {
            auto& room = static_cast<Room&>(*base);
            room.aware = false;
            delivery_.send_awareness(room, now_);
        }
    }
    void finish_stop() {
        if (phase_ != Phase::stopping) return;
        if (stop_ends_ <= now_) {
            // A client that takes no goodbye leaves nothing unsaved.
            if (!rooms_.empty()) stop_error_ = make_error_code(RoomErrc::no_answer);
            this->end_all();
            for (Room* const room : all_rooms()) end(*room, make_error_code(RoomErrc::no_answer));
            office.end_all();
        }
        if (!all_done()) return;
        phase_ = Phase::stopped;
        stop_ends_ = never;
        this->notices_.push_back(stop_error_);
    }
    [[nodiscard]] bool all_done() const noexcept {
        return rooms_.empty() && this->empty() && office.empty();
    }
    [[nodiscard]] std::vector<Room*> all_rooms() const {
        std::vector<Room*> all;
        for (const auto& [id, room] : rooms_) all.push_back(room.get());
        return all;
    }

    RoomVault<RoomHub, Persistence> vault_;
    Network network_;
    Document empty_;
    driver::MachineGroup rooms_nest_;
    std::map<std::string, driver::GroupedMachine<Room>, std::less<>> rooms_;
    std::vector<driver::GroupedMachine<Room>> gone_;
    Instant started_ = always;
    Instant stop_ends_ = never;
    Instant hurry_again_ = always;
    std::error_code stop_error_;
};

}}}  // namespace belay::detail
