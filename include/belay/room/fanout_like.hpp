// SPDX-License-Identifier: MIT
/// \file belay/room/fanout_like.hpp
/// FanoutLike: how several servers that share stored rooms receive each other's changes.
/// PeerMessage: their messages about awareness and saves.
#pragma once

#include <algorithm>    // std::copy_n
#include <concepts>     // std::same_as
#include <cstdint>      // std::uint8_t, std::uint64_t
#include <functional>   // std::less
#include <map>          // std::map
#include <optional>     // std::optional
#include <set>          // std::set
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <vector>       // std::vector

#include <belay/core/bytes.hpp>
#include <belay/core/completion.hpp>
#include <belay/core/detail/member_names.hpp>
#include <belay/core/result.hpp>
#include <belay/journal/id.hpp>
#include <belay/room/persistence_like.hpp>
#include <belay/room/room_errc.hpp>
#include <belay/yjs/lib0.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace part {

/// Identifies a change among those of all servers.
struct ChangeId {
    /// A random id that a RoomManager draws when it starts; `no_id` if none made the change.
    Id server{};
    /// The number of the change. It grows in the server.
    std::uint64_t sequence = 0;
    /// The epoch of the history to which the change belongs.
    Id epoch{};

    friend bool operator==(const ChangeId&, const ChangeId&) = default;
};

/// The changes and messages of a room after a position.
struct FanoutBatch {
    /// Whether the entries continue the history from the position that was given.
    enum class State : std::uint8_t {
        goes_on,  ///< no entry is missing between the position and the first one
        gap,      ///< entries may be lost, and only loading the room shows which
        over      ///< the history was ended on purpose
    };
    /// A change that any server made.
    struct Entry {
        std::uint64_t position = 0;  ///< in the history; larger than that of the entry before
        /// The id that `append` was given, with the epoch of the history that has the change.
        ChangeId change{};
        Bytes update{};  ///< the change, as `append` was given it
    };
    State state = State::goes_on;  ///< whether `entries` continue the history
    /// The epoch of the history that continues; `no_id` if no history was begun.
    Id epoch{};
    /// The changes, in the order of their positions.
    std::vector<Entry> entries{};
    /// The published messages, in the order in which they arrived.
    std::vector<Bytes> messages{};
};

/// A room that the subscription of a BlockingFanoutLike reads.
struct RoomReader {
    /// The epoch of the history, as in `subscribe` of FanoutLike.
    Id epoch{};
    /// The position after which the entries follow.
    std::uint64_t from = 0;
    /// Whether the server waits for entries. Otherwise only messages are of interest.
    bool waits = true;
};
/// The rooms that a subscription reads, by their ids.
using RoomReaders = std::map<std::string, RoomReader, std::less<>>;
/// The rooms with entries or messages, and those whose history does not continue; or an error.
using ReadRooms = Result<std::map<std::string, FanoutBatch>, PersistenceError>;

/// A message to the servers that are subscribed to a room.
struct PublishedMessage {
    /// The room.
    std::string id{};
    /// The message.
    Bytes bytes{};
};

}  // namespace part

namespace detail {

BELAY_DETAIL_MEMBER(publish);
BELAY_DETAIL_MEMBER(subscribe);

template <class F>
concept BeginsRooms = requires(F& f, std::string_view id, const Id& epoch, bool again) {
    { f.begin(id, epoch, again) } -> std::same_as<std::error_code>;
};
template <class F>
concept AppendsChanges =
    requires(F& f, std::string_view id, BytesView update, const part::ChangeId& change) {
        { f.append(id, update, change) } -> std::same_as<std::error_code>;
    };
template <class F>
concept PublishesMessages = requires(F& f, std::string_view id, BytesView message) {
    { f.publish(id, message) } -> std::same_as<void>;
};
template <class F>
concept SubscribesToRooms = requires(F& f, std::string_view id, const Id& epoch, std::uint64_t from,
                                     Completion<Result<part::FanoutBatch, PersistenceError>> done) {
    {
        f.subscribe(id, epoch, from,
                    static_cast<Completion<Result<part::FanoutBatch, PersistenceError>>&&>(done))
    } -> std::same_as<void>;
};
template <class F>
concept HasFanout =
    BeginsRooms<F> && AppendsChanges<F> && PublishesMessages<F> && SubscribesToRooms<F>;
// A storage may have a `begin` of another form, which has nothing to do with servers.
template <class F>
concept HasBeginOfRooms =
    requires(F& f, std::string_view id, const Id& epoch, bool again) { f.begin(id, epoch, again); };
// A storage with some of these members would be used like one with none, and the servers would
// diverge.
template <class F>
concept FanoutIsSound = HasFanout<F> || !(has_publish<F> || has_subscribe<F> || HasBeginOfRooms<F>);

template <class S>
concept WaitsForRooms =
    requires(S& s, const part::RoomReaders& readers, const std::set<std::string>& changed,
             Duration limit, const std::vector<part::PublishedMessage>& messages) {
        { s.wait(readers, changed, limit) } -> std::same_as<part::ReadRooms>;
        { s.publish(messages) } -> std::same_as<void>;
        { s.wake() } -> std::same_as<void>;
    };
template <class F>
concept HasSubscription = requires(F& f) {
    { f.subscription() } -> WaitsForRooms;
};

}  // namespace detail

/// A storage that several servers use at a time, in which each finds the others' changes.
///
/// These requirements are in addition to those of PersistenceLike. A RoomManager whose persistence
/// models FanoutLike uses them automatically.
///
/// - `subscribe(id, epoch, from, done)`: answers Result<part::FanoutBatch, PersistenceError> once,
///   as soon as there are entries or messages. The entries are those after the position `from` in
///   the history `epoch`, as many as one turn should take. If the room has another history, the
///   answer is `over` or a gap. With `no_id`, the server has no history, and the first one that the
///   room has is read.
/// - `publish(id, message)`: sends a message to all subscriptions of the room, soon or not at all.
///   The server's own subscription may receive it, too. The message is not stored.
/// - `begin(id, epoch, again) -> std::error_code`: begins a history like `reset`, for a room
///   that does not exist. If another server has begun a history meanwhile, that history continues
///   instead. Then `epoch` stands for that history in later appends of this server.
/// - `append(id, update, change) -> std::error_code`: like `append` of PersistenceLike, of a change
///   whose entry has the part::ChangeId `change`. It applies to the history `change.epoch`. If the
///   room has another history when the change is flushed, or none, the flush names the room with
///   `history_reset` or `unknown_room`. With `no_id`, it applies to any history.
/// - `flush(done)`: as in PersistenceLike. The answer also has the epoch of each room.
///
/// Rules for `subscribe`:
/// - Positions are those of `load`, and 0 if there was no room. The entries include this server's
///   own. A RoomManager finds these by their ids, also if one arrives before its flush is answered.
/// - A caller that has read the entries subscribes again, after the last position that it read. A
///   gap is answered again and again until the room is loaded.
/// - A caller waits for one answer for a room at a time. Messages that arrive between an answer and
///   the next call are in the next answer.
/// - If the Completion is no longer `wanted`, the subscription ends. This also holds if it is not
///   wanted from the start. A later subscription receives none of the earlier messages.
/// - A gap is reported within a time that the implementation states, even if no server changes
///   anything. It is reported at once if a flush has named the room.
///
/// Rules for `begin` with `again`:
/// - It means that this server has had, or has begun, a history of the room under this epoch. The
///   storage has lost that history.
/// - Other servers may have restored that history, or begun another one. Then that one continues.
/// - If the history was ended on purpose, the flush names the room with `history_reset`, and no
///   history begins. This holds regardless of what came later.
///
/// A position that `load` or `subscribe` has returned covers all changes before it. The position of
/// a flush does not, because other servers append, too. A RoomManager passes only the former to
/// `save`. Otherwise a snapshot would replace entries that it lacks.
///
/// Models: OnThread over a BlockingFanoutLike.
template <class F>
concept FanoutLike = detail::HasFanout<F>;

/// A blocking storage that several servers use at a time. OnThread makes a FanoutLike of it.
///
/// It has `begin`, `append` and `flush` as in FanoutLike, and answers inside its calls. Instead of
/// `subscribe` and `publish`, it has
///
/// - `subscription()`: returns an object with a connection of its own. A thread of its own calls
///   it. So no call of the storage waits for it.
///
/// The object has these members:
///
/// - `wait(readers, changed, limit) -> part::ReadRooms`: waits until one of the `readers` has
///   entries or messages, or has no such history, for `limit` at most. It compares the rooms in the
///   set `changed` at once. It compares the other rooms when they change, and all of them within a
///   time that the implementation states. So a lost notification delays an entry, and loses none.
///   An error that names rooms concerns these. Any other error is an outage.
/// - `publish(messages)`: sends part::PublishedMessage to all servers, soon or not at all.
/// - `wake()`: ends the wait that is under way, or the next one. Any thread may call it.
///
/// If the storage has `status` or `rooms_to_save`, any thread may call these.
///
/// Models: postgres::Rooms, redis::Rooms.
template <class F>
concept BlockingFanoutLike =
    detail::BeginsRooms<F> && detail::AppendsChanges<F> && detail::HasSubscription<F>;

namespace explain {

/// Names every requirement of FanoutLike that F lacks.
template <class F>
consteval bool fanout_like() {
    static_assert(
        detail::BeginsRooms<F>,
        "FanoutLike: F needs 'std::error_code begin(std::string_view id, const belay::Id& "
        "epoch, bool again)'");
    static_assert(detail::AppendsChanges<F>,
                  "FanoutLike: F needs 'std::error_code append(std::string_view id, "
                  "belay::BytesView update, const belay::part::ChangeId& change)'");
    static_assert(detail::PublishesMessages<F>,
                  "FanoutLike: F needs 'void publish(std::string_view id, belay::BytesView "
                  "message)'");
    static_assert(
        detail::SubscribesToRooms<F>,
        "FanoutLike: F needs 'void subscribe(std::string_view id, const belay::Id& epoch, "
        "std::uint64_t from, "
        "belay::Completion<belay::Result<belay::part::FanoutBatch, belay::PersistenceError>>)'");
    return FanoutLike<F>;
}

}  // namespace explain

}}  // namespace belay

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// A version, a kind and the server's id; then, encoded as lib0 does, the client's number, its user
/// and its awareness. `saved` has the epoch and the position instead, in little-endian order.
struct PeerMessage {
    enum class Kind : std::uint8_t {
        state = 1,  ///< the awareness of a client
        left = 2,   ///< a client has left
        query = 3,  ///< a server requests the awareness of all clients
        saved = 4   ///< a server has saved a room that it had loaded with many uncovered changes
    };
    Kind kind{};
    Id server{};
    std::uint64_t client = 0;
    std::string_view user{};
    BytesView awareness{};       ///< in the format of y-protocols
    Id epoch{};                  ///< of `saved`: the history
    std::uint64_t position = 0;  ///< of `saved`: the last change that the snapshot covers

    /// The client's number on this server; its own clients have smaller numbers.
    [[nodiscard]] std::uint64_t local_id() const noexcept {
        std::uint64_t hash = 0xcbf29ce484222325U;
        const auto mix = [&](std::uint64_t byte) { hash = (hash ^ byte) * 0x100000001b3U; };
        for (const std::byte b : server) mix(static_cast<std::uint64_t>(b));
        for (unsigned shift = 0; shift < 64; shift += 8) mix(client >> shift & 0xffU);
        return hash | std::uint64_t{1} << 63U;
    }
};

inline constexpr std::byte peer_message_version{1};

[[nodiscard]] inline Bytes encode(const PeerMessage& message) {
    Bytes out{peer_message_version, static_cast<std::byte>(message.kind)};
    out.insert(out.end(), message.server.begin(), message.server.end());
    if (message.kind == PeerMessage::Kind::saved) {
        out.insert(out.end(), message.epoch.begin(), message.epoch.end());
        out.resize(out.size() + 8);
        store_le(out.data() + out.size() - 8, message.position);
        return out;
    }
    yjs::append_varuint(out, message.client);
    yjs::append_varbytes(out, as_bytes(message.user));
    yjs::append_varbytes(out, message.awareness);
    return out;
}

/// Views into `bytes`.   Errors: unknown_message of a later version; malformed_frame.
[[nodiscard]] inline Result<PeerMessage> decode_peer_message(BytesView bytes) noexcept {
    constexpr std::size_t head = 18;
    if (bytes.size() < head) return make_error_code(RoomErrc::malformed_frame);
    if (bytes[0] != peer_message_version) return make_error_code(RoomErrc::unknown_message);
    const auto kind = static_cast<std::uint8_t>(bytes[1]);
    if (kind < 1 || kind > 4) return make_error_code(RoomErrc::unknown_message);
    PeerMessage message;
    message.kind = static_cast<PeerMessage::Kind>(kind);
    std::copy_n(bytes.begin() + 2, 16, message.server.begin());
    if (message.kind == PeerMessage::Kind::saved) {
        if (bytes.size() != head + 24) return make_error_code(RoomErrc::malformed_frame);
        std::copy_n(bytes.begin() + head, 16, message.epoch.begin());
        message.position = load_le<std::uint64_t>(bytes.data() + head + 16);
        return message;
    }
    yjs::Lib0Reader in{bytes.subspan(head)};
    message.client = in.varuint();
    message.user = as_text(in.varbytes());
    message.awareness = in.varbytes();
    if (in.failed() || !in.at_end()) return make_error_code(RoomErrc::malformed_frame);
    return message;
}

/// The client that a message is about.
struct PeerClient {
    std::uint64_t client = 0;
    bool left = false;  ///< whether it has left
};

/// Returns the client whose earlier messages this one replaces. Returns nothing if it replaces
/// none.
[[nodiscard]] inline std::optional<PeerClient> peer_client_of(BytesView bytes) noexcept {
    const Result<PeerMessage> message = decode_peer_message(bytes);
    if (!message) return std::nullopt;
    const bool left = message->kind == PeerMessage::Kind::left;
    if (!left && message->kind != PeerMessage::Kind::state) return std::nullopt;
    return PeerClient{message->client, left};
}

}}}  // namespace belay::detail
