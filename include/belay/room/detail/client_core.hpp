// SPDX-License-Identifier: MIT
/// \file belay/room/detail/client_core.hpp
/// ClientCore: the states and the times of a client of a room; has no connection or room.
#pragma once

#include <cstdint>   // std::uint8_t, std::uint32_t
#include <optional>  // std::optional
#include <utility>   // std::exchange

#include <belay/core/instant.hpp>
#include <belay/core/order.hpp>
#include <belay/room/room_errc.hpp>
#include <belay/room/room_options.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Decides about the life of one client, as a value without a connection, a room or a document.
///
/// `step(event, now)` returns what must be done, and the owner does it.
///
/// | state     | event                                     | next      | actions             |
/// |-----------|-------------------------------------------|-----------|---------------------|
/// | any       | check_requested, token                    | same      | check               |
/// | checking  | granted                                   | checking  | find_room           |
/// | checking  | room_loading                              | loading   |                     |
/// | checking  | room_live                                 | opening   | open                |
/// | loading   | room_live                                 | opening   | open                |
/// | opening   | opened                                    | joined    | join                |
/// | joined    | granted                                   | joined    | refresh             |
/// | any       | denied                                    | same      | deny                |
/// | any       | unanswered                                | same      | fail (no_answer)    |
/// | any       | withdraw, ended                           | closed    | leave               |
/// | any       | ended, during a check                     | closed    | leave, drop_check   |
/// | closed    | ended, during a check                     | closed    | drop_check          |
/// | checking  | tick, check_within after the check began  | checking  | fail (no_answer)    |
/// | loading   | tick, check_within after the check began  | loading   | fail (no_answer)    |
/// | opening   | tick, check_within after the check began  | opening   | fail (no_answer)    |
/// | joined    | tick, check_within after the check began  | joined    | fail (no_answer)    |
/// | closed    | tick, check_within after the check began  | closed    | drop_check          |
/// | loading   | tick, when the grant ends                 | loading   | fail (unauthorized) |
/// | opening   | tick, when the grant ends                 | opening   | fail (unauthorized) |
/// | joined    | tick, when the grant ends                 | joined    | fail (unauthorized) |
///
/// `any` stands for checking, loading, opening and joined. Other pairs of a state and an event keep
/// the state, and return no action. A grant also sets when the access ends, in every state.
///
/// If check_requested arrives during a check, that check keeps its deadline, and its answer counts.
/// A grant then returns `recheck`: repeated requests delay neither an answer nor a denial.
///
/// A token that arrives during a check is checked after it. So an answer to the older one returns
/// `check` instead of `deny` or `fail`, and a grant returns both `refresh` and `check`.
///
/// A client that can renew its grant gets `request_token` once before its grant ends.
///
/// Usable in constant expressions, so that a static_assert can prove a timeline.
/// Thread safety: a plain value.
class ClientCore {
public:
    enum class State : std::uint8_t {
        checking,  ///< the authorizer has not granted access
        loading,   ///< access is granted; the room is being loaded
        opening,   ///< its connection is being opened
        joined,    ///< in its room
        closed     ///< nothing follows, except the end of a check
    };
    enum class Event : std::uint8_t {
        check_requested,  ///< the access must be checked: at first, or again
        token,            ///< the client has sent a newer token
        granted,          ///< the authorizer granted access, for the given time
        denied,           ///< the authorizer denied access
        unanswered,       ///< the authorizer dropped the question
        room_loading,     ///< the room was found, and is being loaded
        room_live,        ///< the room is loaded
        opened,           ///< its connection is open
        withdraw,         ///< the client has closed its document; a check stays under way
        ended,            ///< the client is closed, or its connection has ended
        tick              ///< time has passed
    };
    /// Whether the client leaves its room.
    enum class Leave : std::uint8_t {
        no,
        before_joining,  ///< it was not admitted yet, or waited for the room
        joined           ///< it had joined
    };
    /// The actions that the owner must take, in this order.
    struct Actions {
        Leave leave = Leave::no;         ///< remove the client from its room
        bool drop_check = false;         ///< drop the question to the authorizer
        bool find_room = false;          ///< find the room, then send room_loading or room_live
        bool join = false;               ///< add the client to its room
        bool refresh = false;            ///< the access of a joined client was renewed
        bool open = false;               ///< open the connection, unless it is open
        bool deny = false;               ///< close the client: it has no access
        bool request_token = false;      ///< the grant ends soon
        bool check = false;              ///< call the authorizer
        bool recheck = false;            ///< send check_requested again, at once or later
        std::optional<RoomErrc> fail{};  ///< close the client for this reason

        friend constexpr bool operator==(const Actions&, const Actions&) noexcept = default;
    };

    /// `renews`: the client can send a newer token.
    constexpr ClientCore(const RoomOptions& options, bool renews) noexcept
        : options_{&options}, renews_{renews} {}

    /// Processes an event, and returns what must be done. `valid_for` belongs to `granted`.
    [[nodiscard]] constexpr Actions step(Event event, Instant now,
                                         Duration valid_for = Duration{}) noexcept {
        switch (event) {
            case Event::check_requested:
                if (ending()) break;
                requested_again_ = check_waits_;
                if (requested_again_) break;
                return begin_check(now);
            case Event::token:
                if (ending()) break;
                newer_token_ = check_waits_;
                if (newer_token_) break;
                return begin_check(now);
            case Event::granted:
            case Event::denied:
            case Event::unanswered:
                return on_answer(event, now, valid_for);
            case Event::room_loading:
                if (state_ == State::checking) state_ = State::loading;
                break;
            case Event::room_live:
                if (!waiting()) break;
                state_ = State::opening;
                return {.open = true};
            case Event::opened:
                if (!opening()) break;
                state_ = State::joined;
                return {.join = true};
            case Event::withdraw:
                if (ending()) break;
                return end(check_ends_);
            case Event::ended:
                return on_ended();
            case Event::tick:
                return on_tick(now);
        }
        return {};
    }

    /// Returns when the next tick is due.
    [[nodiscard]] constexpr Instant deadline() const noexcept {
        const Instant renew = joined() ? renew_at_ : never;
        return smaller(check_ends_, smaller(grant_ends_, renew));
    }
    [[nodiscard]] constexpr State state() const noexcept { return state_; }
    [[nodiscard]] constexpr bool joined() const noexcept { return state_ == State::joined; }
    [[nodiscard]] constexpr bool ending() const noexcept { return state_ == State::closed; }
    /// Whether it counts for RoomOptions::waiting_max.
    [[nodiscard]] constexpr bool waiting() const noexcept { return state_ <= State::loading; }
    /// Whether it joins when its connection is open.
    [[nodiscard]] constexpr bool opening() const noexcept { return state_ == State::opening; }
    /// Whether it takes one of the checks that a connection of several clients may have at a time.
    [[nodiscard]] constexpr bool takes_check() const noexcept {
        return state_ <= State::opening || check_waits_ || (joined() && held_tokens_ != 0);
    }

    /// Whether a check is under way.
    [[nodiscard]] constexpr bool checks() const noexcept { return check_waits_; }

    // ---- tokens and limits ---------------------------------------------------------------------

    /// A frame with a token is held until the client joins.
    constexpr void hold_token() noexcept { ++held_tokens_; }
    constexpr void release_token() noexcept { --held_tokens_; }
    constexpr void drop_tokens() noexcept { held_tokens_ = 0; }
    /// Whether to notify the client of a rejected change: once after each grant.
    [[nodiscard]] constexpr bool take_denial() noexcept {
        const bool first = !denial_sent_;
        denial_sent_ = true;
        return first;
    }

    // ---- requests that wait --------------------------------------------------------------------

    /// The client has closed its document: it is withdrawn when its held frames were processed, and
    /// receives nothing more.
    constexpr void drain() noexcept { draining_ = true; }
    [[nodiscard]] constexpr bool draining() const noexcept { return draining_; }

    /// Calls `f` with the name and the value of each number that it decides by, for sim::exhaust.
    /// Times are what is left.
    template <class F>
    constexpr void each_field(Instant now, F&& f) const {
        f("state", state_);
        f("check_ends", part::time_left(now, check_ends_));
        f("grant_ends", part::time_left(now, grant_ends_));
        f("renew_at", part::time_left(now, renew_at_));
        f("held_tokens", held_tokens_);
        f("check_waits", bool{check_waits_});
        f("draining", bool{draining_});
        f("newer_token", bool{newer_token_});
        f("requested_again", bool{requested_again_});
        f("denial_sent", bool{denial_sent_});
    }

private:
    constexpr Actions begin_check(Instant now) noexcept {
        check_ends_ = after(now, options_->check_within);
        newer_token_ = requested_again_ = false;
        check_waits_ = true;
        return {.check = true};
    }
    constexpr Actions on_answer(Event event, Instant now, Duration valid_for) noexcept {
        check_waits_ = false;
        if (ending()) return {};
        const bool newer = newer_token_;
        const bool again = requested_again_;
        newer_token_ = requested_again_ = false;
        if (newer && event != Event::granted) {
            // Without more time: a client that sends many tokens delays no rejection.
            const Instant end = check_ends_;
            const Actions todo = begin_check(now);
            check_ends_ = smaller(check_ends_, end);
            return todo;
        }
        check_ends_ = never;
        if (event == Event::unanswered) return {.fail = RoomErrc::no_answer};
        if (event == Event::denied) return {.deny = true};
        grant_ends_ = after(now, valid_for);
        // Early enough for the new token and its check.
        renew_at_ =
            renews_ ? before(grant_ends_, smaller(options_->check_within, valid_for / 2)) : never;
        denial_sent_ = false;
        if (state_ == State::checking) return {.find_room = true, .recheck = again};
        if (!joined()) return {.recheck = again};
        Actions todo = newer ? begin_check(now) : Actions{.recheck = again};
        todo.refresh = true;
        return todo;
    }
    constexpr Actions on_ended() noexcept {
        Actions todo = end(never);
        todo.drop_check = check_waits_;
        check_waits_ = false;
        return todo;
    }
    constexpr Actions on_tick(Instant now) noexcept {
        if (check_ends_ <= now) {
            check_ends_ = never;
            if (!ending()) return {.fail = RoomErrc::no_answer};
            check_waits_ = false;
            return {.drop_check = true};
        }
        if (grant_ends_ <= now) return {.fail = RoomErrc::unauthorized};
        if (!joined() || renew_at_ > now) return {};
        renew_at_ = never;
        return {.request_token = true};
    }
    /// Ends all timers. Only that of a check may continue, until `check_ends`.
    constexpr Actions end(Instant check_ends) noexcept {
        const Leave leaves = ending()   ? Leave::no
                             : joined() ? Leave::joined
                                        : Leave::before_joining;
        const Actions todo{.leave = leaves};
        state_ = State::closed;
        grant_ends_ = renew_at_ = never;
        check_ends_ = check_ends;
        return todo;
    }

    const RoomOptions* options_;
    Instant check_ends_ = never;  ///< a check must be answered by then
    Instant grant_ends_ = never;
    Instant renew_at_ = never;       ///< when a fresh token is requested
    std::uint32_t held_tokens_ = 0;  ///< tokens among the held frames, still to be checked
    State state_ = State::checking;
    bool renews_ : 1;
    bool check_waits_ : 1 = false;      ///< a check is under way
    bool draining_ : 1 = false;         ///< it has closed its document; its held frames still count
    bool newer_token_ : 1 = false;      ///< a newer token than the one that is checked has arrived
    bool requested_again_ : 1 = false;  ///< another check was requested during the one under way
    bool denial_sent_ : 1 = false;
};

}}}  // namespace belay::detail
