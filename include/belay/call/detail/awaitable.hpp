// SPDX-License-Identifier: MIT
/// \file belay/call/detail/awaitable.hpp
/// Awaitable: a type that a coroutine can co_await. It is detected without <coroutine>, because
/// blocking callers need not pay for that header.
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

/// Returns the awaiter that co_await uses, except in promises with an await_transform.
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

/// The result type of co_await on an A.
template <Awaitable A>
using AwaitResult = decltype(detail::awaiter_of(std::declval<A>()).await_resume());

}}}  // namespace belay::detail
