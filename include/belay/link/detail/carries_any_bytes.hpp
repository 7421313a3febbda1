// SPDX-License-Identifier: MIT
/// \file belay/link/detail/carries_any_bytes.hpp
/// carries_any_bytes: whether a transport can carry a message of any bytes.
#pragma once

#include <belay/core/assert.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

template <class T>
concept StatesBytes = requires { T::carries_any_bytes; };
template <class T>
concept HasMessages = requires { typename T::message_type; };

/// Whether T, a transport or a framing, can carry any bytes. A type that states nothing counts as
/// one that can.
template <class T>
struct CarriesAnyBytes {
    static constexpr bool value = true;
};
template <StatesBytes T>
struct CarriesAnyBytes<T> {
    static constexpr bool value = T::carries_any_bytes;
};
// A transport that states nothing carries what its framing, and the transports inside it, carry.
template <template <class...> class T, class... A>
    requires(HasMessages<T<A...>> && !StatesBytes<T<A...>>)
struct CarriesAnyBytes<T<A...>> {
    static constexpr bool value = (CarriesAnyBytes<A>::value && ...);
};

template <class T>
inline constexpr bool carries_any_bytes = CarriesAnyBytes<T>::value;

}}}  // namespace belay::detail
