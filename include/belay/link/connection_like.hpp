// SPDX-License-Identifier: MIT
/// \file belay/link/connection_like.hpp
/// ConnectionLike: one connection, from its opening to its end; made once, never reopened.
#pragma once

#include <concepts>     // std::same_as
#include <cstddef>      // std::size_t
#include <type_traits>  // std::is_nothrow_destructible_v

#include <belay/core/turn.hpp>
#include <belay/link/event.hpp>

namespace belay::inline BELAY_ABI {

namespace detail {
template <class C, class M>
concept SendsPlain = requires(C& c, const M& m) {
    { c.send(m) } noexcept -> std::same_as<SendResult>;
};
template <class C, class M>
concept SendsOnLane = requires(C& c, Lane lane, const M& m) {
    { c.send(lane, m) } noexcept -> std::same_as<SendResult>;
};
template <class C>
concept HasClose = requires(C& c, const Failure& why) {
    { c.close(why) } noexcept;
};
template <class C>
concept HasPing = requires(C& c) {
    { c.ping() } noexcept;
};
template <class C>
concept HasResumeReading = requires(C& c) {
    { c.resume_reading() } noexcept;
};
template <class C>
concept HasLimitMessages = requires(C& c, std::size_t bytes) {
    { c.limit_messages(bytes) } noexcept;
};
template <class C>
concept HasLimitOutput = requires(C& c, std::size_t bytes) {
    { c.limit_output(bytes) } noexcept;
};
template <class C>
concept HasProbe = requires(C& c, Turn& turn, Duration within) {
    { c.probe(turn, within) } noexcept;
};
template <class C, class M>
concept HasSift = requires(C& c, part::Event<M>& event, Turn& turn) {
    { c.sift(event, turn) } -> std::same_as<bool>;
};
template <class C>
concept HasTimer = requires(C& c, const C& k, Turn& turn) {
    { k.deadline() } noexcept -> std::same_as<Instant>;
    c.advance(turn);
};
// One that may throw would be passed over in silence: a connection that never reads on, say.
template <class C>
concept ClosesSoundly = HasClose<C> || !requires(C& c, const Failure& why) { c.close(why); };
template <class C>
concept PingsSoundly = HasPing<C> || !requires(C& c) { c.ping(); };
template <class C>
concept ResumesSoundly = HasResumeReading<C> || !requires(C& c) { c.resume_reading(); };
template <class C>
concept LimitsSoundly =
    HasLimitMessages<C> || !requires(C& c, std::size_t bytes) { c.limit_messages(bytes); };
template <class C>
concept LimitsOutputSoundly =
    HasLimitOutput<C> || !requires(C& c, std::size_t bytes) { c.limit_output(bytes); };
}  // namespace detail

/// One connection. All state of an attempt lives in it and dies with it.
///
/// Required: `send(const M&) noexcept -> SendResult`, or in decorators `send(Lane, const M&)`; a
/// noexcept destructor that aborts, releases everything and calls nobody.
/// Found when present: `close(const Failure&) noexcept` begins a graceful close, which ends with
/// Link::closed or after the supervisor's linger; `ping() noexcept` asks the peer for a sign of
/// life; `resume_reading() noexcept` says that there is room after a message was refused;
/// `limit_messages(std::size_t bytes) noexcept` bounds what the peer may make it hold, until it is
/// told otherwise: a longer message ends the connection before it is read;
/// `limit_output(std::size_t bytes) noexcept` bounds what waits in it to be sent, beside its own
/// bound, until it is told otherwise: what does not fit is `busy`, unless nothing waits;
/// `sift(Event<M>&, Turn&) -> bool`, `deadline()/advance(Turn&)` and `probe(Turn&, Duration)`
/// are for decorators. The first five must be noexcept where they are.
///
/// It is built at its final address and never moved, so it may register `this`.
template <class C, class M>
concept ConnectionLike =
    std::is_nothrow_destructible_v<C> &&
    (detail::SendsPlain<C, M> || detail::SendsOnLane<C, M>)&&detail::ClosesSoundly<C> &&
    detail::PingsSoundly<C> && detail::ResumesSoundly<C> && detail::LimitsSoundly<C> &&
    detail::LimitsOutputSoundly<C>;

namespace explain {

/// Names every requirement of ConnectionLike that C lacks.
template <class C, class M>
consteval bool connection_like() {
    static_assert(std::is_nothrow_destructible_v<C>,
                  "ConnectionLike: the connection's destructor must be noexcept");
    static_assert(detail::SendsPlain<C, M> || detail::SendsOnLane<C, M>,
                  "ConnectionLike: the connection needs 'SendResult send(const message_type&) "
                  "noexcept', see docs/link.md");
    static_assert(detail::ClosesSoundly<C>, "ConnectionLike: 'close' must be noexcept");
    static_assert(detail::PingsSoundly<C>, "ConnectionLike: 'ping' must be noexcept");
    static_assert(detail::ResumesSoundly<C>, "ConnectionLike: 'resume_reading' must be noexcept");
    static_assert(detail::LimitsSoundly<C>, "ConnectionLike: 'limit_messages' must be noexcept");
    static_assert(detail::LimitsOutputSoundly<C>,
                  "ConnectionLike: 'limit_output' must be noexcept");
    return ConnectionLike<C, M>;
}

}  // namespace explain

}  // namespace belay::inline BELAY_ABI
