// SPDX-License-Identifier: MIT
/// \file belay/room/detail/room_network.hpp
/// RoomNetwork: what a manager hears from the other servers that have the same rooms, and tells.
#pragma once

#include <optional>      // std::optional
#include <string>        // std::string
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code
#include <type_traits>   // std::conditional_t
#include <utility>       // std::exchange, std::move
#include <vector>        // std::vector

#include <belay/room/detail/document_error.hpp>
#include <belay/room/detail/room_relay.hpp>
#include <belay/room/detail/room_state.hpp>
#include <belay/room/document_like.hpp>
#include <belay/room/fanout_like.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

template <class Persistence>
using FanoutOf = std::conditional_t<FanoutLike<Persistence>, Persistence, NoFanout>;

/// Updates that `other` lacks of what `document` has.
template <DocumentLike D, DocumentLike Other>
[[nodiscard]] std::vector<Bytes> lacking(D& document, Other& other) {
    std::vector<Bytes> updates;
    const auto add = [&](const Bytes& update) {
        const auto adds = other.check(update);
        if (!adds.has_value() || *adds) updates.push_back(update);
    };
    if constexpr (ComparesDocument<D>) {
        const Bytes theirs = other.state_vector();
        const auto diff = document.diff(theirs);
        if (diff.has_value()) {
            add(*diff);
            return updates;
        }
    }
    for (const Bytes& part : document.snapshot()) add(part);
    return updates;
}

/// Of a server that is not alone. Each room asks for the changes behind what it has read; one
/// answer is taken in a turn, and the next is asked for then. After a failure it goes on with what
/// it has, asks again later, and gives back what the storage has lost.
///
/// `Hub` has the rooms and the clients, and does what is decided here.
///
/// Thread safety: the manager's home thread.
template <class Hub, class Fanout, DocumentLike Document>
class RoomNetwork {
public:
    using Room = RoomState<Document>;
    using Kind = RelayedWord::Kind;
    static constexpr bool alone = std::is_same_v<Fanout, NoFanout>;

    RoomNetwork(Hub& hub, const RoomOptions& options) noexcept : hub_{&hub}, options_{&options} {}

    void attach(Random& bits) { server_ = make_id(bits); }

    // ---- of a room -----------------------------------------------------------------------------

    void made(RoomBase& room) const {
        if constexpr (!alone) {
            room.others = std::make_unique<RoomNews>();
            room.others->asked.attach(room.waker);
        }
    }
    /// It is loaded for the first time.
    void loaded(RoomBase& room) {
        if constexpr (!alone) {
            room.others->read = room.position;
            tell({Kind::asks, server_}, room);
            listen(room);
        }
    }
    /// A room's turn.
    void run(Room& room) {
        if constexpr (!alone) {
            RoomNews& news = *room.others;
            if (news.again_at <= hub_->now_) {
                news.again_at = never;
                news.lacks ? load_again(room) : listen(room);
            }
            if (news.asked.answered()) take(room);
        }
    }
    /// What a gap asked for is here, or is not; the room has gone on meanwhile.
    void found(Room& room, const PersistenceError& error, std::optional<StoredRoom>& stored) {
        if constexpr (!alone) {
            Document theirs{hub_->empty_};
            const std::error_code wrong = error ? error.code : take_parts(room, theirs, stored);
            if (wrong) {
                if (!error) fail(room, {wrong, {}, "the data that another server stored"});
                // The fan-out may have taken the room for loaded, and tell of no gap any more.
                if (!error || wrong == RoomErrc::no_answer) room.others->lacks = true;
                return ask_later(room, wrong);
            }
            room.others->lacks = false;
            catch_up(room, theirs, stored);
            if (!room.others->waits) listen(room);
        }
    }

    /// Fills an empty document.
    [[nodiscard]] std::error_code take_parts(RoomBase& room, Document& document,
                                             const std::optional<StoredRoom>& found) {
        if (!found) return {};
        const auto apply = [&](const Bytes& update) {
            return static_cast<std::error_code>(document.apply(update));
        };
        for (const Bytes& update : found->snapshot) {
            if (const std::error_code error = apply(update)) return error;
        }
        for (const Bytes& update : found->updates) {
            const std::error_code error = apply(update);
            if (!error) continue;
            // Who else may write there must not be able to end the room.
            if (alone || !is_malformed_update(error)) return error;
            hub_->failed(room.id, {error, {}, "a change from another server"});
        }
        return {};
    }

    // ---- own changes ---------------------------------------------------------------------------

    /// Of a change that has become durable.
    void entered(RoomBase& room, const PendingUpdate& change) {
        if constexpr (alone) {
            room.position = change.position;
        } else {
            // Others may have come before it: what it covers is known when it has come back.
            RoomNews& news = *room.others;
            news.expect(change.position);
            if (!change.known) return;
            news.gives = false;
            if (!std::exchange(news.waits, false)) return;
            news.joins = news.lacks = true;
            news.recovers_at = news.again_at = always;
            room.waker.touch();
        }
    }
    /// Changes that did not, or nobody knows. Those that did come back as others' do.
    void lost(RoomBase& room, bool known) {
        if constexpr (!alone) {
            RoomNews& news = *room.others;
            news.gives = news.waits = false;
            // Whether it was begun, and is over by now, the storage knows.
            if (std::exchange(news.unproven, false)) news.begins = true;
            if (!known) return;
            news.lacks = true;
            ask_later(room, {});
        }
    }

    // ---- who is here ---------------------------------------------------------------------------

    /// A client has said something new.
    void says(RoomBase& room, const RoomSeat& seat) {
        if constexpr (!alone) {
            const Bytes said = room.awareness.said_by(seat.id);
            if (said.empty()) return;
            tell({Kind::says, server_, seat.id, seat.grant.user, said}, room);
        }
    }
    void gone(RoomBase& room, const RoomSeat& seat) {
        if constexpr (!alone) tell({Kind::gone, server_, seat.id}, room);
    }

private:
    [[nodiscard]] Fanout& fanout() noexcept { return hub_->vault_.persistence(); }
    void tell(const RelayedWord& word, RoomBase& room) { fanout().publish(room.id, encode(word)); }
    void listen(RoomBase& room) {
        fanout().subscribe(room.id, room.others->read, room.others->asked.ask());
        room.waker.touch();
    }
    /// What does not pass by itself, as a storage comes back, is tried less and less often.
    void ask_later(RoomBase& room, const std::error_code& why) {
        const Cause cause = cause_of(why);
        const bool stays =
            cause == Cause::protocol || cause == Cause::corrupt || cause == Cause::permanent;
        const Duration wait =
            stays ? room.others->failed.next(hub_->now_, *options_) : options_->save_retry_min;
        room.others->again_at = after(hub_->now_, wait);
        room.waker.touch();
    }
    void fail(RoomBase& room, const PersistenceError& error) {
        ++hub_->counters_.storage_failures;
        hub_->failed(room.id, error);
    }
    /// A gap that is there again at once must not have the room loaded all the time.
    void load_again(Room& room) {
        RoomNews& news = *room.others;
        if (room.load.waits()) return;
        if (hub_->now_ < news.recovers_at) {
            news.lacks = true;
            news.again_at = news.recovers_at;
            return;
        }
        news.asked.drop();
        news.recovers_at = after(hub_->now_, options_->save_retry_min);
        hub_->vault_.begin_load(room, hub_->now_);
    }

    // ---- news ----------------------------------------------------------------------------------

    void take(Room& room) {
        std::optional<Result<part::FanoutNews, PersistenceError>> heard = room.others->asked.take();
        const bool told = heard && heard->has_value();
        if (!told) {
            const PersistenceError error =
                heard ? heard->error()
                      : PersistenceError{
                            RoomErrc::no_answer, {}, "the fan-out dropped the subscription"};
            fail(room, error);
            return ask_later(room, error.code);
        }
        part::FanoutNews& news = **heard;
        hear_words(room, news.messages);
        if (news.state == part::FanoutNews::State::over)
            return hub_->end_history(room, make_error_code(RoomErrc::history_reset));
        if (news.state == part::FanoutNews::State::gap) return load_again(room);
        RoomNews& known = *room.others;
        if ((known.gives || known.lacks) && news.epoch != no_id && news.epoch != room.epoch) {
            // Behind what is given back, or lacks, it is loaded.
            known.waits = known.gives;
            return;
        }
        if (!take_epoch(room, news.epoch))
            return hub_->end_history(room, make_error_code(RoomErrc::history_reset));
        for (part::FanoutNews::Entry& entry : news.entries) take(room, entry);
        listen(room);
    }
    /// Of two servers that begin a room at a time one does; the other learns it here.
    [[nodiscard]] bool take_epoch(Room& room, const Id& epoch) {
        if (epoch == no_id) return true;
        RoomNews& news = *room.others;
        const bool knew = room.epoch != no_id && !news.unproven && !news.begins;
        if (knew && epoch != room.epoch) return false;
        room.epoch = epoch;
        news.begins = news.unproven = news.gives = false;
        return true;
    }
    void take(Room& room, part::FanoutNews::Entry& entry) {
        RoomNews& news = *room.others;
        if (entry.position <= news.read) return;
        news.read = entry.position;
        const bool ours =
            entry.own != 0 && (news.comes_back(entry.own) || enter_pending(room, entry.own));
        if (!ours) enter(room, entry.update);
        if (!news.frozen) room.position = entry.position;
    }
    /// One that has come back before its flush was answered.   Returns: whether it is one.
    [[nodiscard]] bool enter_pending(Room& room, std::uint64_t own) {
        std::size_t at = 0;
        while (at < room.pending.size() && room.pending[at].position != own) ++at;
        if (at == room.pending.size()) return false;
        PendingUpdate change = std::move(room.pending[at]);
        room.pending.erase(room.pending.begin() + static_cast<std::ptrdiff_t>(at));
        room.pending_bytes -= change.update.size();
        if (at < room.flushing) --room.flushing;
        hub_->enter(room, change);
        return true;
    }
    /// As what a client sends. What is damaged is passed over; what only this server cannot take
    /// stays stored: it is covered by no snapshot of this one.
    void enter(Room& room, BytesView update) {
        const auto adds = room.document.check(update);
        if (adds.has_value()) {
            if (*adds) hub_->put(room, update, 0);
            return;
        }
        const auto error = static_cast<std::error_code>(adds.error());
        if (!is_malformed_update(error)) room.others->frozen = true;
        fail(room, {error, {}, "a change from another server"});
    }
    /// After a loss: each gets what the other one has. Where another history is there, the one that
    /// the room had may have been ended on purpose: nothing of the two is mixed before the storage
    /// has taken what is given back.
    void catch_up(Room& room, Document& theirs, const std::optional<StoredRoom>& stored) {
        RoomNews& news = *room.others;
        const std::vector<Bytes> ours = lacking(room.document, theirs);
        const bool joins = std::exchange(news.joins, false);
        const bool other = stored && room.epoch != no_id && stored->epoch != room.epoch;
        news.waits = other && !joins && !ours.empty();
        const bool takes = stored && !news.waits;
        news.frozen = false;
        news.echoes.clear();
        news.read = takes ? stored->position : 0;
        if (takes) {
            room.epoch = stored->epoch;
            news.unproven = false;
            for (const Bytes& update : lacking(theirs, room.document)) enter(room, update);
        }
        news.begins = !takes && room.epoch != no_id;
        news.gives = news.begins && !ours.empty();
        room.position = news.frozen ? 0 : news.read;
        for (const Bytes& update : ours) {
            const std::error_code error =
                hub_->vault_.append(room, update, 0, hub_->bits_, no_id, true);
            if (error) return lost(room, true);
            hub_->step(room, timeline::RoomCore::Event::appended);
        }
    }

    // ---- words ---------------------------------------------------------------------------------

    void hear_words(Room& room, const std::vector<Bytes>& messages) {
        std::error_code wrong;
        bool asked = false;
        for (const Bytes& message : messages) {
            const Result<RelayedWord> word = decode_relayed(message);
            if (!word) wrong = word.error();
            if (!word || word->server == server_) continue;
            if (word->kind == Kind::asks) asked = true;
            if (word->kind == Kind::gone) room.awareness.close(word->speaker(), hub_->now_);
            if (word->kind != Kind::says) continue;
            const std::error_code error =
                room.awareness.hear({word->speaker(), word->user}, word->said, hub_->now_);
            if (!error) continue;
            wrong = error;
            room.awareness.close(word->speaker(), hub_->now_);
        }
        if (wrong) fail(room, {wrong, {}, "a presence message from another server"});
        if (asked) {
            for (const RoomSeat* const seat : room.members) says(room, *seat);
        }
        hub_->note_aware(room);
    }

    Hub* hub_;
    const RoomOptions* options_;
    Id server_{};
};

}}}  // namespace belay::detail
