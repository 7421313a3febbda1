// SPDX-License-Identifier: MIT
/// \file belay/link/transport_like.hpp
/// TransportLike: makes connections; implement it to use your own sockets.
/// ConnectionLike: one connection, from its opening to its end. It is made once and never reopened.
#pragma once

#include <concepts>     // std::same_as
#include <cstddef>      // std::size_t
#include <type_traits>  // std::is_nothrow_destructible_v, std::is_nothrow_move_constructible_v
#include <utility>      // std::declval

#include <belay/core/assert.hpp>
#include <belay/core/bytes.hpp>
#include <belay/core/random.hpp>
#include <belay/core/result.hpp>
#include <belay/link/link.hpp>
#include <belay/link/status.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

/// The kind of the messages of T, a transport or a framing. It contains 1 if they can have any
/// bytes, and 2 if all of them have lane 0. A type that states nothing has both.
template <class T>
inline constexpr unsigned message_kind = 3;
template <class T>
    requires(!T::carries_any_bytes)
inline constexpr unsigned message_kind<T> = 2;
// A transport that states nothing carries what its framing, and the transports inside it, carry.
template <template <class...> class T, class... A>
    requires requires { typename T<A...>::message_type; } &&
                 (!requires { T<A...>::carries_any_bytes; })
inline constexpr unsigned message_kind<T<A...>> = (message_kind<A> & ... & (requires {
                                                       requires T<A...>::lane_bits != 0;
                                                   } ? 1U : 3U));

template <class T>
inline constexpr bool carries_any_bytes = (message_kind<T> & 1U) != 0;
template <class T>
inline constexpr bool has_one_lane = (message_kind<T> & 2U) != 0;

template <class C, class M>
concept SendsValue = requires(C& c, const M& m) {
    { c.send(m) } noexcept -> std::same_as<SendResult>;
};
template <class C, class M>
concept SendsValueOnLane = requires(C& c, Lane lane, const M& m) {
    { c.send(lane, m) } noexcept -> std::same_as<SendResult>;
};
// The conversion of Bytes to a BytesView never throws, but only some standard libraries declare it
// noexcept. So a `send(BytesView)` counts without the conversion.
template <class C, class M>
concept SendsPlain = SendsValue<C, M> || (std::same_as<M, Bytes> && SendsValue<C, BytesView>);
template <class C, class M>
concept SendsOnLane =
    SendsValueOnLane<C, M> || (std::same_as<M, Bytes> && SendsValueOnLane<C, BytesView>);
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
// Otherwise an optional member that may throw, or has another signature, would be ignored without a
// diagnostic. Such a connection might never read on, for example. These checks take the address of
// the member. A decorator has no such address if the connection inside lacks the member.
template <class C>
concept ClosesSoundly = HasClose<C> || !requires { &C::close; };
template <class C>
concept PingsSoundly = HasPing<C> || !requires { &C::ping; };
template <class C>
concept ResumesSoundly = HasResumeReading<C> || !requires { &C::resume_reading; };
template <class C>
concept LimitsSoundly = HasLimitMessages<C> || !requires { &C::limit_messages; };
template <class C>
concept LimitsOutputSoundly = HasLimitOutput<C> || !requires { &C::limit_output; };
template <class C, class M>
concept SiftsSoundly = HasSift<C, M> || !requires { &C::sift; };
template <class C>
concept TimesSoundly = HasTimer<C> || !requires(C& c, Turn& turn) { c.advance(turn); };
}  // namespace detail

/// The requirements for one connection, which a transport opens for one attempt.
///
/// All state of an attempt is in its connection and ends with it. A connection is built at its
/// final address and never moved, so it may register `this`.
///
/// Required:
/// - `send(const M&) noexcept -> SendResult`, or in a decorator `send(Lane, const M&)`;
/// - a noexcept destructor that aborts the connection, releases everything and calls no callback.
///
/// Optional; a member that is present must have exactly this form:
/// - `close(const Failure&) noexcept` begins a graceful close, which ends with Link::closed or when
///   SupervisorOptions::linger_max is over.
/// - `ping() noexcept` requests a sign of life from the peer.
/// - `resume_reading() noexcept` is called when there is capacity again after a message was
///   rejected.
/// - `limit_messages(std::size_t bytes) noexcept` limits, until the next call, what the peer can
///   make the connection hold. A longer message ends the connection before it is read.
/// - `limit_output(std::size_t bytes) noexcept` limits, until the next call, the bytes that wait in
///   the connection to be sent, in addition to its own limit. If a message does not fit, `send`
///   returns `busy`, unless nothing waits.
/// - `sift(Event<M>&, Turn&) -> bool`, `deadline()/advance(Turn&)` and `probe(Turn&, Duration)` are
///   for decorators.
template <class C, class M>
concept ConnectionLike =
    std::is_nothrow_destructible_v<C> &&
    (detail::SendsPlain<C, M> || detail::SendsOnLane<C, M>)&&detail::ClosesSoundly<C> &&
    detail::PingsSoundly<C> && detail::ResumesSoundly<C> && detail::LimitsSoundly<C> &&
    detail::LimitsOutputSoundly<C> && detail::SiftsSoundly<C, M> && detail::TimesSoundly<C>;

namespace explain {

/// Names every requirement of ConnectionLike that C lacks.
template <class C, class M>
consteval bool connection_like() {
    static_assert(std::is_nothrow_destructible_v<C>,
                  "ConnectionLike: the connection's destructor must be noexcept");
    static_assert(detail::SendsPlain<C, M> || detail::SendsOnLane<C, M>,
                  "ConnectionLike: the connection needs 'SendResult send(const message_type&) "
                  "noexcept'; see docs/reference/transports.md");
    static_assert(detail::ClosesSoundly<C>,
                  "ConnectionLike: close must be 'void close(const belay::Failure&) noexcept'");
    static_assert(detail::PingsSoundly<C>, "ConnectionLike: ping must be 'void ping() noexcept'");
    static_assert(detail::ResumesSoundly<C>,
                  "ConnectionLike: resume_reading must be 'void resume_reading() noexcept'");
    static_assert(detail::LimitsSoundly<C>,
                  "ConnectionLike: limit_messages must be 'void limit_messages(std::size_t bytes) "
                  "noexcept'");
    static_assert(detail::LimitsOutputSoundly<C>,
                  "ConnectionLike: limit_output must be 'void limit_output(std::size_t bytes) "
                  "noexcept'");
    static_assert(detail::SiftsSoundly<C, M>,
                  "ConnectionLike: sift must be 'bool sift(belay::part::Event<message_type>&, "
                  "belay::Turn&)'");
    static_assert(detail::TimesSoundly<C>,
                  "ConnectionLike: advance(belay::Turn&) needs 'belay::Instant deadline() const "
                  "noexcept'");
    return ConnectionLike<C, M>;
}

}  // namespace explain

namespace detail {
template <class T>
concept HasMessageType = requires { typename T::message_type; } &&
                         std::is_nothrow_move_constructible_v<typename T::message_type> &&
                         std::is_nothrow_move_assignable_v<typename T::message_type>;
template <class T>
concept OpensLink = requires(T& t, Link<typename T::message_type> link) { t.open(link); };
/// For decorators that pass on more than the link.
template <class T, class... A>
concept OpensWith = HasMessageType<T> && requires(T& t, const Link<typename T::message_type>& link,
                                                  const A&... more) { t.open(link, more...); };
/// Stands for an endpoint or a token of any type.
struct AnyArgument {
    template <class Value>
    operator const Value&() const noexcept;
};
template <class T>
concept OpensAnEndpoint =
    !requires(T& decorator) { decorator.inner(); } && OpensWith<T, AnyArgument>;
}  // namespace detail

namespace part {

/// The type of the connections that a transport makes.
template <class T>
using ConnectionOf =
    decltype(std::declval<T&>().open(std::declval<Link<typename T::message_type>>()));

}  // namespace part

/// The requirements for a transport, which makes one connection per attempt.
///
/// Required:
/// - `message_type`, which moves without throwing;
/// - `open(Link<message_type>)`, which starts an attempt and returns its connection at once. The
///   transport reports what happens to it through the link, at any time, also inside open(), and
///   from any thread.
///
/// Messages are carried whole, in order, and once or not at all.
///
/// The supervisor owns the transport, so connections may refer to it. State of one attempt belongs
/// in the connection.
template <class T>
concept TransportLike = detail::HasMessageType<T> && detail::OpensLink<T> &&
                        ConnectionLike<part::ConnectionOf<T>, typename T::message_type>;

namespace explain {

/// Names every requirement of TransportLike that T lacks.
template <class T>
consteval bool transport_like() {
    static_assert(!detail::IsResult<T>,
                  "TransportLike: T is a Result; test it, and pass its value: std::move(*result)");
    static_assert(detail::HasMessageType<T>,
                  "TransportLike: T needs 'message_type', which moves without throwing");
    if constexpr (detail::HasMessageType<T>) {
        if constexpr (detail::OpensLink<T>) {
            static_cast<void>(connection_like<part::ConnectionOf<T>, typename T::message_type>());
        } else if constexpr (detail::OpensAnEndpoint<T>) {
            static_assert(detail::OpensLink<T>,
                          "TransportLike: T has no endpoint of its own; write posix::Tcp{loop, "
                          "endpoint}, or put it directly into an Endpoints, and a Heartbeat around "
                          "that: Heartbeat{Endpoints{posix::Tcp{loop}, {a, b}}, options}; see "
                          "docs/reference/transports.md");
        } else {
            static_assert(detail::OpensLink<T>,
                          "TransportLike: T needs 'open(belay::Link<message_type>)', which returns "
                          "its connection; see docs/reference/transports.md");
        }
    }
    return TransportLike<T>;
}

}  // namespace explain

}}  // namespace belay
