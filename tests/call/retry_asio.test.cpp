// SPDX-License-Identifier: MIT
// Goal: retry works in coroutines that await only their own types, and with foreign timers. Method:
// Boost.Asio where it is installed. Without it, there is nothing to test.
#include <belay/call/retry_task.hpp>

#if __has_include(<boost/asio/awaitable.hpp>)
#    include <boost/asio/awaitable.hpp>
#    include <boost/asio/co_spawn.hpp>
#    include <boost/asio/detached.hpp>
#    include <boost/asio/io_context.hpp>
#    include <boost/asio/steady_timer.hpp>
#    include <boost/asio/use_awaitable.hpp>
#endif

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/core/clocks.hpp>
#include <belay/policy/rules.hpp>

#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

#if defined(BOOST_ASIO_HAS_CO_AWAIT)

namespace {

namespace asio = boost::asio;

// The sleeper that belay needs to wait on an io_context.
struct AsioSleeper {
    asio::io_context& context;
    Random random{Seed{1}};

    [[nodiscard]] Instant now() const noexcept { return SteadyClock{}.now(); }
    Random& bits() noexcept { return random; }
    template <StopTokenLike Stop>
    asio::awaitable<void> async_sleep_until(Instant until, Stop) {
        asio::steady_timer timer{context, until};
        co_await timer.async_wait(asio::use_awaitable);
    }
};

}  // namespace

static_assert(AsyncSleeperLike<AsioSleeper>);

TEST_CASE("retry returns asio's kind of coroutine for calls of asio's kind",
          "[call][retry_asio][unit]") {
    asio::io_context context;
    AsioSleeper sleeper{context};
    int calls = 0;
    std::optional<Result<int>> result;
    const auto fn = [&]() -> asio::awaitable<std::optional<int>> {
        co_await sleeper.async_sleep_until(sleeper.now(), NeverStops{});
        co_return ++calls == 3 ? std::optional{7} : std::nullopt;
    };
    const Policy policy{Backoff{NoJitter{}, Cap{1ms}, 1ms}, MaxAttempts{5}};
    const auto user = [&]() -> asio::awaitable<void> {
        auto retried = retry(policy, sleeper, fn);
        static_assert(std::same_as<decltype(retried), asio::awaitable<Result<int>>>);
        result = co_await std::move(retried);
    };
    const Instant begun = sleeper.now();
    asio::co_spawn(context, user, asio::detached);
    context.run();
    REQUIRE(result);
    CHECK(result->value() == 7);
    CHECK(calls == 3);
    CHECK(sleeper.now() >= begun + 2ms);
}

TEST_CASE("retry propagates an exception of asio's coroutines unchanged",
          "[call][retry_asio][unit]") {
    asio::io_context context;
    AsioSleeper sleeper{context};
    const auto fn = []() -> asio::awaitable<void> {
        throw std::runtime_error{"mine"};
        co_return;
    };
    std::string caught;
    const auto user = [&]() -> asio::awaitable<void> {
        try {
            static_cast<void>(co_await retry(MaxAttempts{2}, sleeper, fn));
        } catch (const std::runtime_error& error) {
            caught = error.what();
        }
    };
    asio::co_spawn(context, user, asio::detached);
    context.run();
    CHECK(caught == "mine");
}

#else

TEST_CASE("The tests of Boost.Asio do not run, because it or its coroutines are missing",
          "[call][retry_asio][unit]") {
    SUCCEED("nothing to test");
}

#endif
