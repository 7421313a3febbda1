// SPDX-License-Identifier: MIT
/// \file belay/room/fanout_like.hpp
/// FanoutLike: how several servers that keep rooms in one place hear of each other's changes.
#pragma once

#include <concepts>     // std::same_as
#include <cstdint>      // std::uint8_t, std::uint64_t
#include <string_view>  // std::string_view
#include <vector>       // std::vector

#include <belay/core/bytes.hpp>
#include <belay/core/completion.hpp>
#include <belay/core/detail/member_names.hpp>
#include <belay/core/result.hpp>
#include <belay/journal/id.hpp>
#include <belay/room/persistence_like.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace part {

/// What has become of a room behind a position.
struct FanoutNews {
    enum class State : std::uint8_t {
        goes_on,  ///< nothing lies between the position and the first entry
        gap,      ///< something may, and is gone: the room must be loaded to know what
        over      ///< the history was ended on purpose
    };
    /// A change, by whichever server.
    struct Entry {
        std::uint64_t position = 0;
        /// What this server's own `append` answered; 0: of another server, or of whoever writes.
        std::uint64_t own = 0;
        Bytes update{};
    };
    State state = State::goes_on;
    /// Of the history that goes on; `no_id`: nobody has begun one.
    Id epoch{};
    /// In the order of their positions.
    std::vector<Entry> entries{};
    /// What was published, in the order in which it came.
    std::vector<Bytes> messages{};
};

}  // namespace part

namespace detail {

BELAY_DETAIL_MEMBER(publish);
BELAY_DETAIL_MEMBER(subscribe);

template <class F>
concept BeginsRooms = requires(F& f, std::string_view id, const Id& epoch, bool again) {
    { f.begin(id, epoch, again) } -> std::same_as<Result<std::uint64_t>>;
};
template <class F>
concept PublishesNews = requires(F& f, std::string_view id, BytesView message) {
    { f.publish(id, message) } -> std::same_as<void>;
};
template <class F>
concept SubscribesToNews = requires(F& f, std::string_view id, std::uint64_t from,
                                    Completion<Result<part::FanoutNews, PersistenceError>> done) {
    {
        f.subscribe(id, from,
                    static_cast<Completion<Result<part::FanoutNews, PersistenceError>>&&>(done))
    } -> std::same_as<void>;
};
template <class F>
concept TellsOthers = BeginsRooms<F> && PublishesNews<F> && SubscribesToNews<F>;
// One that has some of it would be taken for one that has none, and servers would drift apart.
template <class F>
concept FanoutIsSound = TellsOthers<F> || !(has_publish<F>() || has_subscribe<F>());

}  // namespace detail

/// Beside what PersistenceLike asks for, of a storage that several servers share at a time: each
/// finds the others' changes. A RoomManager whose persistence models it does so by itself.
///
/// - `subscribe(id, from, done)`: answers Result<part::FanoutNews, PersistenceError>, once, as soon
///   as there are some: entries behind the position `from`, so many as one turn should take, or
///   messages. Positions are those of `load`, and 0 where there was no room. The own entries are
///   among them. Who has read them asks again: a gap is answered until the room is loaded. One
///   answer to a room is awaited at a time; a Completion that is not `wanted` any more ends it. A
///   gap is found within a time that the fan-out states, also if nobody changes anything; at once
///   when a flush has named the room.
/// - `publish(id, message)`: to all that are subscribed to the room, soon or not at all; the own
///   subscription may hear it, too. It is not stored.
/// - `begin(id, epoch, again) -> Result<std::uint64_t>`: as `reset`, of a room that there is not; a
///   history that another server has begun meanwhile goes on instead. `again`: the server has had,
///   or has begun, a history of the room under this epoch: the storage has lost it, and others may
///   have given it back, or begun another one, which goes on then. If it was ended on purpose,
///   whatever came later, the flush names the room, with `history_reset`, and nothing begins.
/// - `append(id, update)` is of the history that the server knew, or has begun, when it was made:
///   if another one is there when it is flushed, the flush names the room.
///
/// A position that is *read* covers all before it. One that `append` answers does not, where others
/// append too, so that a `save` is given the last one read.
///
/// Models: redis::Rooms, NoFanout.
template <class F>
concept FanoutLike = detail::TellsOthers<F>;

/// One server, which nobody needs to tell: what a RoomManager has whose persistence is no
/// FanoutLike.
///
/// Models: FanoutLike. `subscribe` answers no, and there is nothing to `begin`.
struct NoFanout {
    [[nodiscard]] Result<std::uint64_t> begin(std::string_view, const Id&, bool) const noexcept {
        return make_error_code(RoomErrc::unknown_room);
    }
    void publish(std::string_view, BytesView) const noexcept {}
    void subscribe(std::string_view, std::uint64_t,
                   Completion<Result<part::FanoutNews, PersistenceError>>) const noexcept {}
};

namespace explain {

/// Names every requirement of FanoutLike that F lacks.
template <class F>
consteval bool fanout_like() {
    static_assert(detail::BeginsRooms<F>,
                  "FanoutLike: F needs 'belay::Result<std::uint64_t> begin(std::string_view id, "
                  "const belay::Id& epoch, bool again)'");
    static_assert(detail::PublishesNews<F>,
                  "FanoutLike: F needs 'void publish(std::string_view id, belay::BytesView "
                  "message)'");
    static_assert(
        detail::SubscribesToNews<F>,
        "FanoutLike: F needs 'void subscribe(std::string_view id, std::uint64_t from, "
        "belay::Completion<belay::Result<belay::part::FanoutNews, belay::PersistenceError>>)'");
    return FanoutLike<F>;
}

}  // namespace explain

}}  // namespace belay
