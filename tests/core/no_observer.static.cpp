// SPDX-License-Identifier: MIT
// Goal: the observer of what nobody watches costs nothing.
#include <belay/core/no_observer.hpp>

#include <functional>
#include <type_traits>

static_assert(std::is_empty_v<belay::NoObserver> && std::is_trivial_v<belay::NoObserver>);

// Behind a reference_wrapper, or not: the observer itself.
static_assert(std::is_same_v<belay::detail::Unwrapped<belay::NoObserver>, belay::NoObserver>);
static_assert(std::is_same_v<belay::detail::Unwrapped<std::reference_wrapper<belay::NoObserver>>,
                             belay::NoObserver>);
