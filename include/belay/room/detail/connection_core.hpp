// SPDX-License-Identifier: MIT
/// \file belay/room/detail/connection_core.hpp
/// ConnectionCore: decides when a connection opens, closes and ends. room_close_code: with which
/// WebSocket code it is closed.
#pragma once

#include <cstddef>       // std::size_t
#include <cstdint>       // std::uint8_t
#include <optional>      // std::optional
#include <system_error>  // std::error_code
#include <utility>       // std::exchange

#include <belay/core/instant.hpp>
#include <belay/core/order.hpp>
#include <belay/room/room_errc.hpp>
#include <belay/room/room_options.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Returns the WebSocket code for an error; 1000 for none. An error without a code of its own has
/// that of its cause.
[[nodiscard]] inline int room_close_code(const std::error_code& why,
                                         const RoomCloseCodes& codes) noexcept {
    using Close = RoomReason::Close;
    if (!why) return 1000;
    const RoomReason* const reason = RoomReasons::find(why);
    const Close close = reason != nullptr ? reason->close : Close::none;
    const Cause cause = cause_of(why);
    const bool by_cause = close == Close::none;
    if (close == Close::unauthorized) return codes.unauthorized;
    if (close == Close::forbidden) return codes.forbidden;
    if (close == Close::too_large || (by_cause && cause == Cause::permanent))
        return codes.too_large;
    if (!by_cause) return static_cast<int>(close);
    return cause == Cause::protocol ? 1007 : 1013;
}

/// Decides about the life of one connection, as a value without a transport or clients.
///
/// `step(event, now)` returns what must be done, and the owner does it.
///
/// | state    | event                                | next     | actions             |
/// |----------|--------------------------------------|----------|---------------------|
/// | accepted | open                                 | opening  | open                |
/// | opening  | opened                               | open     | listen              |
/// | opening  | joined, for the first time           | opening  | raise_limit         |
/// | open     | joined, for the first time           | open     | raise_limit         |
/// | accepted | close                                | closing  | release, open       |
/// | opening  | close                                | closing  | release             |
/// | open     | close                                | closed   | release, close      |
/// | closing  | opened                               | closed   | close               |
/// | any      | ended                                | closed   | release             |
/// | closing  | ended                                | closed   |                     |
/// | opening  | tick, check_within after it began    | closed   | release, abort      |
/// | closing  | tick, check_within after it began    | closed   | abort               |
/// | open     | tick, check_within without a client  | open     | fail (unauthorized) |
///
/// `any` stands for accepted, opening and open. A connection with one client opens when that client
/// is admitted; if the frames have addresses, it opens at once. A closing connection opens its
/// transport, because a client reads a close code only after its upgrade was answered. The time
/// limit for a token begins when the transport is open, and again when the last client has left.
///
/// Usable in constant expressions, so that a static_assert can prove a timeline.
/// Thread safety: a plain value.
class ConnectionCore {
public:
    /// The most bytes that a connection sends up to and including its first token, and of a frame
    /// with a token. It is as much as web servers accept as the headers of a request, where tokens
    /// are sent elsewhere.
    static constexpr std::size_t token_bytes_max = std::size_t{8} << 10;

    enum class State : std::uint8_t {
        accepted,  ///< the upgrade is not answered
        opening,   ///< the upgrade is being answered
        open,      ///< frames are processed
        closing,   ///< the upgrade is being answered, for the close code
        closed     ///< the close code was sent, or the transport has ended
    };
    enum class Event : std::uint8_t {
        open,    ///< the upgrade must be answered
        opened,  ///< the transport is open
        joined,  ///< a client has joined its room
        left,    ///< a client that had joined has left its room
        close,   ///< the connection must be closed with a close code
        ended    ///< the transport has ended, or the peer does not respond
    };
    /// The actions that the owner must take.
    struct Actions {
        bool listen = false;             ///< begin to watch for a silent peer
        bool raise_limit = false;        ///< allow frames as large as those of an admitted client
        bool release = false;            ///< take all clients out of their rooms
        bool open = false;               ///< open the transport, which answers the upgrade
        bool close = false;              ///< send the close code
        bool abort = false;              ///< end the transport without a close code
        std::optional<RoomErrc> fail{};  ///< close the connection for this reason

        friend constexpr bool operator==(const Actions&, const Actions&) noexcept = default;
    };

    explicit constexpr ConnectionCore(const RoomOptions& options) noexcept : options_{&options} {}

    /// Processes an event, and returns what must be done.
    [[nodiscard]] constexpr Actions step(Event event, Instant now) noexcept {
        switch (event) {
            case Event::open:
                if (state_ != State::accepted) break;
                state_ = State::opening;
                upgrade_ends_ = after(now, options_->check_within);
                return {.open = true};
            case Event::opened:
                return on_opened(now);
            case Event::joined:
                token_ends_ = never;
                ++joined_;
                return {.raise_limit = !std::exchange(has_ever_joined_, true)};
            case Event::left:
                if (--joined_ == 0) token_ends_ = after(now, options_->check_within);
                break;
            case Event::close:
                return on_close(now);
            case Event::ended:
                upgrade_ends_ = never;
                return {.release = std::exchange(state_, State::closed) < State::closing};
        }
        return {};
    }
    /// Processes the time. `has_clients`: it has a client, joined or not.
    [[nodiscard]] constexpr Actions tick(Instant now, bool has_clients) noexcept {
        if (upgrade_ends_ <= now) {
            Actions todo = step(Event::ended, now);
            todo.abort = true;
            return todo;
        }
        if (ending() || has_clients || token_ends_ > now) return {};
        return {.fail = RoomErrc::unauthorized};
    }
    /// Returns when the next tick is due.
    [[nodiscard]] constexpr Instant deadline(bool has_clients) const noexcept {
        return ending() || has_clients ? upgrade_ends_ : smaller(upgrade_ends_, token_ends_);
    }

    [[nodiscard]] constexpr State state() const noexcept { return state_; }
    /// Whether it is being closed, or is closed.
    [[nodiscard]] constexpr bool ending() const noexcept { return state_ >= State::closing; }
    /// Whether `opened` continues its life.
    [[nodiscard]] constexpr bool awaits_upgrade() const noexcept {
        return state_ == State::opening || state_ == State::closing;
    }
    /// Whether a client has joined a room at least once.
    [[nodiscard]] constexpr bool has_ever_joined() const noexcept { return has_ever_joined_; }
    /// Whether check_within has passed since it opened, or since its last client left.
    [[nodiscard]] constexpr bool is_late(Instant now) const noexcept { return token_ends_ <= now; }

    // ---- the bytes before the first token ------------------------------------------------------

    constexpr void note_token() noexcept { token_seen_ = true; }
    /// Counts the bytes of a frame.   Returns: false if the frames before the first token are
    /// longer than `token_bytes_max`.
    [[nodiscard]] constexpr bool count_until_token(std::size_t bytes) noexcept {
        if (token_seen_) return true;
        token_bytes_ += bytes;
        return token_bytes_ <= token_bytes_max;
    }

    [[nodiscard]] constexpr const RoomOptions& options() const noexcept { return *options_; }

    /// Calls `f` with the name and the value of each number that it decides by, for sim::exhaust.
    /// Times are what is left.
    template <class F>
    constexpr void each_field(Instant now, F&& f) const {
        f("state", state_);
        f("upgrade_ends", part::time_left(now, upgrade_ends_));
        f("token_ends", part::time_left(now, token_ends_));
        f("token_bytes", token_bytes_);
        f("joined", joined_);
        f("token_seen", token_seen_);
        f("has_ever_joined", has_ever_joined_);
    }

private:
    constexpr Actions on_opened(Instant now) noexcept {
        if (state_ == State::opening) {
            state_ = State::open;
            upgrade_ends_ = never;
            token_ends_ = after(now, options_->check_within);
            return {.listen = true};
        }
        if (state_ != State::closing) return {};
        state_ = State::closed;
        upgrade_ends_ = never;
        return {.close = true};
    }

    constexpr Actions on_close(Instant now) noexcept {
        if (ending()) return {};
        const State was = state_;
        state_ = was == State::open ? State::closed : State::closing;
        upgrade_ends_ = was == State::open ? never : after(now, options_->check_within);
        return {.release = true, .open = was == State::accepted, .close = was == State::open};
    }

    const RoomOptions* options_;
    Instant upgrade_ends_ = never;  ///< the transport must be open by then
    Instant token_ends_ = never;    ///< a document must be requested by then
    std::size_t token_bytes_ = 0;   ///< the bytes received before the first token
    std::uint32_t joined_ = 0;      ///< the number of clients that have joined
    State state_ = State::accepted;
    bool token_seen_ = false;
    bool has_ever_joined_ = false;
};

}}}  // namespace belay::detail
