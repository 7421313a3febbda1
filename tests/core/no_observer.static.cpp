// SPDX-License-Identifier: MIT
// Goal: the observer of what nobody watches costs nothing.
#include <belay/core/no_observer.hpp>

#include <type_traits>

static_assert(std::is_empty_v<belay::NoObserver> && std::is_trivial_v<belay::NoObserver>);
