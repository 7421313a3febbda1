// SPDX-License-Identifier: MIT
/// \file belay/link/detail/has_one_lane.hpp
/// has_one_lane: whether all messages of a transport have lane 0.
#pragma once

#include <belay/link/detail/carries_any_bytes.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

template <class T>
concept StatesLanes = requires { T::lane_bits; };

/// Whether all messages of T have lane 0. A type that states nothing counts as one with one lane.
template <class T>
struct HasOneLane {
    static constexpr bool value = true;
};
template <StatesLanes T>
struct HasOneLane<T> {
    static constexpr bool value = T::lane_bits == 0;
};
// A decorator has the lanes of the transports inside it.
template <template <class...> class T, class... A>
    requires(HasMessages<T<A...>> && !StatesLanes<T<A...>>)
struct HasOneLane<T<A...>> {
    static constexpr bool value = (HasOneLane<A>::value && ...);
};

template <class T>
inline constexpr bool has_one_lane = HasOneLane<T>::value;

}}}  // namespace belay::detail
