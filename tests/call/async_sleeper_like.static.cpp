// SPDX-License-Identifier: MIT
// Goal: AsyncSleeperLike accepts its archetype, and rejects types that lack one requirement
// each.
#include <belay/call/async_sleeper_like.hpp>

#include <coroutine>

#include "support/archetypes.hpp"

using namespace belay;

namespace {

struct WithoutSleep {
    Instant now() const noexcept;
    Random& bits() noexcept;
};

struct Wait {
    bool await_ready() const noexcept;
    void await_suspend(std::coroutine_handle<>) const noexcept;
    void await_resume() const noexcept;
};
struct MinimalAsyncSleeper : WithoutSleep {
    Wait async_sleep_until(Instant, const auto&) { return {}; }
};
static_assert(AsyncSleeperLike<MinimalAsyncSleeper>);
static_assert(explain::async_sleeper_like<MinimalAsyncSleeper>());
static_assert(!SleeperLike<MinimalAsyncSleeper>);
static_assert(!AsyncSleeperLike<belay_test::MinimalSleeper>);

struct AsyncWithoutNow {
    Random& bits() noexcept;
    Wait async_sleep_until(Instant, const auto&) { return {}; }
};
struct AsyncReturnsNothing : WithoutSleep {
    void async_sleep_until(Instant, const auto&) {}
};
struct AsyncWithoutStop : WithoutSleep {
    Wait async_sleep_until(Instant);
};
static_assert(!AsyncSleeperLike<AsyncWithoutNow> && !AsyncSleeperLike<AsyncReturnsNothing>);
static_assert(!AsyncSleeperLike<AsyncWithoutStop>);

// Awaitables in their three forms.
struct Member {
    Wait operator co_await() &&;
};
struct Free {};
Wait operator co_await(Free&&) { return {}; }
struct Neither {};
static_assert(detail::Awaitable<Wait> && detail::Awaitable<Member> && detail::Awaitable<Free>);
static_assert(!detail::Awaitable<Neither> && !detail::Awaitable<int>);
static_assert(std::same_as<detail::AwaitResult<Free>, void>);

}  // namespace
