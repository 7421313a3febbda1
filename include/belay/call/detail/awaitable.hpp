// SPDX-License-Identifier: MIT
/// \file belay/call/detail/awaitable.hpp
/// Awaitable: what a coroutine may wait for; told without <coroutine>, which blocking callers need
/// not pay.
#pragma once

#include <utility>  // std::forward

#include <belay/core/assert.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

template <class A>
concept HasMemberAwait = requires(A&& a) { static_cast<A&&>(a).operator co_await(); };
template <class A>
concept HasFreeAwait = requires(A&& a) { operator co_await(static_cast<A&&>(a)); };
template <class A>
concept Awaitable = HasMemberAwait<A> || HasFreeAwait<A> || requires(A& a) { a.await_ready(); };

/// The object that co_await asks, outside of promises with an await_transform.
template <Awaitable A>
decltype(auto) awaiter_of(A&& a) {
    if constexpr (HasMemberAwait<A>) {
        return std::forward<A>(a).operator co_await();
    } else if constexpr (HasFreeAwait<A>) {
        return operator co_await(std::forward<A>(a));
    } else {
        return std::forward<A>(a);
    }
}

/// What co_await of an A gives.
template <Awaitable A>
using AwaitResult = decltype(detail::awaiter_of(std::declval<A>()).await_resume());

}}}  // namespace belay::detail
