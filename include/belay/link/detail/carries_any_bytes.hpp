// SPDX-License-Identifier: MIT
/// \file belay/link/detail/carries_any_bytes.hpp
/// carries_any_bytes: whether a transport can carry a message of any bytes. has_one_lane: whether
/// all its messages have lane 0.
#pragma once

#include <belay/core/assert.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

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

}}}  // namespace belay::detail
