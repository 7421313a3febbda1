// SPDX-License-Identifier: MIT
// Goal: a stop reaches every token and wakes every waiter once, in any order and on any thread.
#include <belay/core/stop_source.hpp>

#include <atomic>
#include <optional>
#include <thread>
#include <type_traits>
#include <vector>

#include "support/catch.hpp"

using namespace belay;

namespace {

void count_up(void* count) noexcept { static_cast<std::atomic<int>*>(count)->fetch_add(1); }

struct AsksForever {
    bool stop_requested() const;
};
struct Says {
    int stop_requested() const noexcept;
};

}  // namespace

static_assert(StopTokenLike<StopToken> && StopTokenLike<NeverStops>);
static_assert(!StopTokenLike<int> && !StopTokenLike<AsksForever> && !StopTokenLike<Says>);
static_assert(std::copyable<StopToken> && std::copyable<StopSource>);
static_assert(!std::is_move_constructible_v<part::StopWaiter>);

TEST_CASE("StopSource stops all its tokens, once and for all", "[core][stop_source][unit]") {
    std::optional<StopSource> source{std::in_place};
    const StopToken before = source->token();
    const StopSource same = *source;
    CHECK_FALSE(before.stop_requested());
    source->request_stop();
    source->request_stop();
    CHECK(before.stop_requested());
    CHECK(same.stop_requested());
    source.reset();
    CHECK(same.token().stop_requested());
    CHECK(before.stop_requested());
    CHECK_FALSE(StopToken{}.stop_requested());
    CHECK_FALSE(StopSource{}.token().stop_requested());
}

TEST_CASE("StopWaiter is woken once, at once if it is registered late",
          "[core][stop_source][unit]") {
    const StopSource source;
    std::atomic<int> woken{0};
    const part::StopWaiter early{source.token(), count_up, &woken};
    CHECK(woken == 0);
    source.request_stop();
    CHECK(woken == 1);
    source.request_stop();
    CHECK(woken == 1);
    const part::StopWaiter late{source.token(), count_up, &woken};
    CHECK(woken == 2);
    const part::StopWaiter of_nobody{StopToken{}, count_up, &woken};
    CHECK(woken == 2);
}

TEST_CASE("StopWaiter that is destroyed is not woken, in any order of destruction",
          "[core][stop_source][property]") {
    CHECK(rc::check("exactly the remaining waiters are woken", [] {
        const StopSource source;
        std::vector<std::atomic<int>> woken(6);
        std::vector<std::optional<part::StopWaiter>> waiters(6);
        std::vector<bool> left(6, true);
        for (std::size_t i = 0; i < 6; ++i) waiters[i].emplace(source.token(), count_up, &woken[i]);
        for (const auto i :
             *rc::gen::container<std::vector<std::size_t>>(rc::gen::inRange<std::size_t>(0, 6))) {
            waiters[i].reset();
            left[i] = false;
        }
        source.request_stop();
        for (std::size_t i = 0; i < 6; ++i) RC_ASSERT(woken[i].load() == (left[i] ? 1 : 0));
    }));
}

TEST_CASE("StopWaiter may be registered and destroyed while another thread stops",
          "[core][stop_source][unit]") {
    for (int round = 0; round < 300; ++round) {
        const StopSource source;
        std::atomic<bool> go{false};
        std::vector<std::thread> threads;
        for (int t = 0; t < 2; ++t) {
            threads.emplace_back([&, token = source.token()] {
                while (!go.load()) std::this_thread::yield();
                for (int i = 0; i < 20; ++i) {
                    std::atomic<int> woken{0};
                    { const part::StopWaiter waiter{token, count_up, &woken}; }
                    const int after = woken.load();
                    if (after > 1) std::abort();
                }
            });
        }
        go.store(true);
        source.request_stop();
        for (auto& t : threads) t.join();
        REQUIRE(source.stop_requested());
    }
}

TEST_CASE("A LocalStop wakes like a StopSource, and may be used with any waiter",
          "[core][stop_source][unit]") {
    for (int round = 0; round < 100; ++round) {
        const StopSource source;
        std::atomic<int> woken{0};
        {
            detail::LocalStop local;
            const auto relay = [](void* to) noexcept {
                static_cast<detail::LocalStop*>(to)->request_stop();
            };
            std::thread other{[&source] { source.request_stop(); }};
            {
                const part::StopWaiter outer{source.token(), relay, &local};
                const StopToken token = local.token();
                const part::StopWaiter inner{token, count_up, &woken};
                while (!token.stop_requested()) std::this_thread::yield();
            }
            other.join();
            CHECK(local.token().stop_requested());
        }
        CHECK(woken.load() == 1);
    }
}
