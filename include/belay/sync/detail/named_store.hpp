// SPDX-License-Identifier: MIT
/// \file belay/sync/detail/named_store.hpp
/// Detects stores that are variables, which are passed as std::ref.
#pragma once

#include <exception>    // std::terminate
#include <type_traits>  // std::is_lvalue_reference_v, std::remove_cvref_t

#include <belay/core/observer.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

// True for a store that is named, and neither passed by reference nor moved in.
template <class S>
inline constexpr bool copies_a_store =
    std::is_lvalue_reference_v<S> && !Reference<std::remove_cvref_t<S>>;

// Stands for a store that cannot be made of the argument. The constructor that calls it does not
// compile.
template <class Store>
[[noreturn]] Store no_store() noexcept {
    std::terminate();
}

}}}  // namespace belay::detail
