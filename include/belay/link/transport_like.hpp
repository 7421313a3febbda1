// SPDX-License-Identifier: MIT
/// \file belay/link/transport_like.hpp
/// TransportLike: makes connections; implement it to use your own sockets.
#pragma once

#include <type_traits>  // std::is_nothrow_move_constructible_v
#include <utility>      // std::declval

#include <belay/core/result.hpp>
#include <belay/link/connection_like.hpp>
#include <belay/link/link.hpp>

namespace belay { inline namespace BELAY_ABI {

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
