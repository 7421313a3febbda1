// SPDX-License-Identifier: MIT
/// \file belay/core/no_observer.hpp
/// NoObserver: the observer of what nobody watches.
#pragma once

#include <concepts>     // std::same_as
#include <type_traits>  // std::remove_reference_t
#include <utility>      // std::declval

#include <belay/core/assert.hpp>

namespace belay::inline BELAY_ABI {

/// Sees nothing, and costs nothing.
struct NoObserver {};

namespace detail {

/// The observer itself, also behind a std::reference_wrapper (known by its shape: its header is
/// heavy).
template <class O>
[[nodiscard]] constexpr auto& unwrap(O& observer) noexcept {
    if constexpr (requires {
                      typename O::type;
                      { observer.get() } -> std::same_as<typename O::type&>;
                  }) {
        return observer.get();
    } else {
        return observer;
    }
}
template <class O>
using Unwrapped = std::remove_reference_t<decltype(unwrap(std::declval<O&>()))>;

}  // namespace detail

}  // namespace belay::inline BELAY_ABI
