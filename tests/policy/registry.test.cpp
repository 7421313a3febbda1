// SPDX-License-Identifier: MIT
// Goal: a registry returns the object of its key to every caller, removes none that is in use, and
// stays within its limits. A run keeps the policy with which it began. Method: examples in virtual
// time; random calls against a plain model; threads.
#include <belay/policy/registry.hpp>

#include <atomic>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/breaker/circuit_breaker.hpp>
#include <belay/budget/budgets.hpp>
#include <belay/call/limiters.hpp>
#include <belay/call/retry.hpp>
#include <belay/core/clocks.hpp>
#include <belay/policy/rules.hpp>
#include <belay/policy/shared.hpp>

#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;
using policies::AnyPolicy;
using policies::Registry;
using policies::RegistryErrc;

namespace {

constexpr Instant registry_start{};

/// Counts the objects that exist.
struct Tracked {
    explicit Tracked(int& count) : alive{&count} { ++count; }
    Tracked(const Tracked&) = delete;
    Tracked& operator=(const Tracked&) = delete;
    ~Tracked() { --*alive; }
    int* alive;
};

/// Sleeps in virtual time, and calls a function before each wait.
template <class BeforeWait>
struct WatchedSleeper {
    BeforeWait before_wait;
    Instant at{};
    Random random{Seed{1}};

    [[nodiscard]] Instant now() const noexcept { return at; }
    [[nodiscard]] Random& bits() noexcept { return random; }
    template <class Stop>
    void sleep_until(Instant until, const Stop&) noexcept {
        before_wait();
        at = until;
    }
};
template <class F>
WatchedSleeper(F) -> WatchedSleeper<F>;

}  // namespace

TEST_CASE("A run keeps the policy with which it began, and the next run uses the new one",
          "[policy][registry][unit]") {
    Registry<> registry;
    REQUIRE(!registry.set("payments", Policy{Backoff{NoJitter{}, Cap{10s}, 10s}, MaxAttempts{3}}));
    int waits = 0;
    WatchedSleeper sleeper{[&] {
        // An operator changes the policy while a run waits.
        if (++waits == 1) REQUIRE(!registry.set("payments", MaxAttempts{1}));
    }};
    int calls = 0;
    const auto call = [&](const Attempt&) { return ++calls, false; };
    CHECK(!retry(*registry.find("payments"), sleeper, call));
    CHECK(calls == 3);
    CHECK(sleeper.now() == registry_start + 20s);
    CHECK(!retry(*registry.find("payments"), sleeper, call));
    CHECK(calls == 4);
    CHECK(registry.find("search") == nullptr);
    CHECK(registry.remove("payments"));
    CHECK(!registry.remove("payments"));
    CHECK(registry.find("payments") == nullptr);
}

TEST_CASE("Registry gives each key an object of its own", "[policy][registry][unit]") {
    struct Host {
        TokenBudget budget{};
        CircuitBreaker<> breaker{ConsecutiveFailures{1}, OpenFor{10s}};
    };
    Registry<Host> hosts;
    const auto make = [] { return std::make_shared<Host>(); };
    const auto one = hosts.get({"tenant", "a"}, registry_start, make);
    const auto same =
        hosts.get({std::string{"tenant"}, std::string_view{"a"}}, registry_start, make);
    const auto other = hosts.get({"tenan", "ta"}, registry_start, make);
    const auto name = hosts.get("tenanta", registry_start, make);
    const auto digits = hosts.get("6:tenant1:a", registry_start, make);
    REQUIRE((one && same && other && name && digits));
    CHECK(*one == *same);
    CHECK(hosts.counters().made == 4);
    CHECK(hosts.counters().entries == 4);
    Random bits{Seed{1}};
    Turn turn{registry_start, bits};
    (*one)->breaker.acquire(turn).failure(turn);
    CHECK((*one)->breaker.state(registry_start) == BreakerState::open);
    CHECK((*other)->breaker.state(registry_start) == BreakerState::closed);
    CHECK(hosts.find({"tenant", "a"}) == *one);
    const std::string rest(18, 'r');
    REQUIRE(hosts.get({"1x", rest}, registry_start, make));
    CHECK(hosts.find("x18" + rest) == nullptr);
}

TEST_CASE("A full registry removes the object that has been idle for longest",
          "[policy][registry][unit]") {
    int alive = 0;
    Registry<Tracked> registry{{.entries_max = 3, .idle_after = 60s}};
    const auto get = [&](const char* key, Duration at) {
        return registry.get(key, registry_start + at,
                            [&] { return std::make_shared<Tracked>(alive); });
    };
    REQUIRE(get("a", 0s));
    REQUIRE(get("b", 1s));
    auto held = get("c", 2s);
    REQUIRE(get("a", 30s));
    CHECK(get("d", 60s).error() == RegistryErrc::full);  // b is idle 1 s later
    CHECK(alive == 3);
    REQUIRE(get("d", 61s));
    CHECK(registry.find("b") == nullptr);
    CHECK(alive == 3);
    // c has been idle for longest, and a caller has it.
    CHECK(get("e", 89s).error() == RegistryErrc::full);
    REQUIRE(get("e", 90s));
    CHECK(registry.find("a") == nullptr);
    CHECK(registry.find("c") != nullptr);
    CHECK(registry.evict_idle(registry_start + 1h) == 2);
    CHECK(registry.evict_idle(registry_start + 1h) == 0);
    held = get("c", 1h);
    const policies::RegistryCounters counters = registry.counters();
    CHECK(counters.entries == 1);
    CHECK(counters.made == 5);
    CHECK(counters.evicted == 4);
    CHECK(counters.rejected == 2);
    CHECK(alive == 1);
}

TEST_CASE(
    "A Registry of RateLimiters limits each key separately, as .NET's PartitionedRateLimiter does",
    "[policy][registry][unit]") {
    Registry<RateLimiter> tenants;
    const auto take = [&](const char* tenant, Instant now) {
        const auto limiter = tenants.get(tenant, now, [] {
            return std::make_shared<RateLimiter>(Rate{2, 1s}, Burst{2});
        });
        if (!limiter) return false;
        const auto permit = (*limiter)->acquire(now);
        return static_cast<bool>(permit);
    };
    CHECK(take("a", registry_start));
    CHECK(take("a", registry_start));
    CHECK(!take("a", registry_start));
    CHECK(take("b", registry_start));  // the calls of a use no permit of b
    CHECK(take("a", registry_start + 500ms));
    CHECK(!take("a", registry_start + 500ms));
    CHECK(tenants.counters().made == 2);
}

TEST_CASE("A full registry makes nothing for a key that it rejects", "[policy][registry][unit]") {
    Registry<int> registry{{.entries_max = 2}};
    REQUIRE(!registry.set("a", 1));
    REQUIRE(!registry.set("b", 2));
    int made = 0;
    const auto make = [&] { return ++made; };
    for (int i = 0; i < 1000; ++i) {
        const auto got = registry.get(std::to_string(i), registry_start + 24h * i, make);
        REQUIRE(got.error() == RegistryErrc::full);
        REQUIRE(cause_of(got.error()) == Cause::overloaded);
    }
    CHECK(made == 0);
    CHECK(registry.set("c", 3, registry_start + 10000h) == RegistryErrc::full);
    CHECK(!registry.set("a", 4));
    CHECK(*registry.find("a") == 4);
    CHECK(registry.counters().rejected == 1001);
}

TEST_CASE("Registry rejects a key of 1 MB without a copy", "[policy][registry][unit]") {
    Registry<int> registry;
    const std::string huge(1024 * 1024, 'k');
    const auto make = [] { return 1; };
    CHECK(registry.get(huge, registry_start, make).error() == RegistryErrc::key_too_long);
    CHECK(registry.get({"tenant", huge}, registry_start, make).error() ==
          RegistryErrc::key_too_long);
    CHECK(registry.set(huge, 1) == RegistryErrc::key_too_long);
    CHECK(registry.find(huge) == nullptr);
    CHECK(!registry.remove(huge));
    CHECK(registry.get(huge.substr(0, 1024), registry_start, make));
    CHECK(!registry.get({huge.substr(0, 1000), huge.substr(0, 25)}, registry_start, make));
    CHECK(registry.get({huge.substr(0, 1000), huge.substr(0, 24)}, registry_start, make));
    CHECK(registry.counters().entries == 2);
}

TEST_CASE("Registry::set keeps an object that get had made", "[policy][registry][unit]") {
    Registry<int> registry{{.entries_max = 2, .idle_after = 0s}};
    REQUIRE(registry.get("a", registry_start, [] { return 1; }));
    REQUIRE(!registry.set("a", 2));
    REQUIRE(registry.get("b", registry_start, [] { return 3; }));
    CHECK(registry.evict_idle(registry_start + 1h) == 1);
    CHECK(*registry.get("a", registry_start + 1h, [] { return 4; }).value() == 2);
    CHECK(registry.remove("a"));
    CHECK(*registry.get("a", registry_start + 1h, [] { return 4; }).value() == 4);
}

TEST_CASE("Registry is unchanged when an object cannot be made", "[policy][registry][unit]") {
    Registry<int> registry{{.entries_max = 1, .idle_after = 0s}};
    REQUIRE(registry.get("a", registry_start, [] { return 1; }));
    const auto fail = []() -> int { throw 7; };
    CHECK_THROWS_AS(static_cast<void>(registry.get("b", registry_start + 1s, fail)), int);
    CHECK(registry.find("a") != nullptr);
    CHECK(registry.counters().entries == 1);
}

TEST_CASE("Registry has the same objects as a plain model", "[policy][registry][property]") {
    CHECK(rc::check("gets, sets, removals and sweeps", [] {
        struct Row {
            int value;
            Instant used;
            bool kept;
        };
        constexpr Duration idle_after = 10s;
        Registry<int> registry{{.entries_max = 4, .idle_after = idle_after}};
        std::map<int, Row> model;
        Instant now = registry_start;
        int value = 0;
        const auto idle = [&](const auto& row) {
            return !row.second.kept && row.second.used + idle_after <= now;
        };
        const auto make_place = [&] {
            if (model.size() < 4) return true;
            auto oldest = model.end();
            for (auto at = model.begin(); at != model.end(); ++at) {
                const bool better = oldest == model.end() || at->second.used < oldest->second.used;
                if (idle(*at) && better) oldest = at;
            }
            if (oldest == model.end()) return false;
            model.erase(oldest);
            return true;
        };
        using Step = std::pair<int, int>;
        for (const auto& [what, key] : *rc::gen::container<std::vector<Step>>(
                 rc::gen::pair(rc::gen::inRange(0, 10), rc::gen::inRange(0, 8)))) {
            now += std::chrono::milliseconds{1 + 700 * key};
            const std::string name = std::to_string(key);
            ++value;
            if (what < 6) {
                const auto got = registry.get(name, now, [&] { return value; });
                const bool place = model.contains(key) || make_place();
                RC_ASSERT(got.has_value() == place);
                if (!place) continue;
                Row& row = model.try_emplace(key, Row{value, now, false}).first->second;
                row.used = now;
                RC_ASSERT(**got == row.value);
            } else if (what < 7) {
                const bool place = model.contains(key) || make_place();
                RC_ASSERT(!registry.set(name, value, now) == place);
                if (place) model.insert_or_assign(key, Row{value, now, true});
            } else if (what < 8) {
                RC_ASSERT(registry.remove(name) == (model.erase(key) == 1));
            } else if (what < 9) {
                RC_ASSERT(registry.evict_idle(now) == std::erase_if(model, idle));
            }
            RC_ASSERT(registry.counters().entries == model.size());
            const auto found = registry.find(name);
            RC_ASSERT((found != nullptr) == model.contains(key));
        }
    }));
}

TEST_CASE("Threads that have the object of a key have the same one",
          "[policy][registry][threads][property]") {
    Registry<std::atomic<int>> registry{{.entries_max = 8, .idle_after = 0s}};
    std::atomic<int> others{0};
    std::atomic<int> got{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; ++t) {
        threads.emplace_back([&, t] {
            for (int i = 0; i < 300; ++i) {
                const std::string key = std::to_string((i * (t + 1)) % 12);
                const Instant now = registry_start + std::chrono::seconds{i};
                const auto object =
                    registry.get(key, now, [] { return std::make_shared<std::atomic<int>>(0); });
                if (!object) continue;
                got.fetch_add(1);
                (*object)->fetch_add(1);
                registry.evict_idle(now);
                if (registry.find(key) != *object) others.fetch_add(1);
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(got > 0);
    CHECK(others == 0);
    CHECK(registry.counters().entries <= 8);
}

TEST_CASE("evict_idle examines each object in use once", "[policy][registry][unit]") {
    // An earlier form searched again from the first object after each removal, under the lock. With
    // these numbers that took longer than a minute.
    constexpr int each = 10'000;
    Registry<int> registry{{.entries_max = 2 * each, .idle_after = 1s}};
    std::vector<Registry<int>::Handle> in_use;
    for (int i = 0; i < 2 * each; ++i) {
        const auto made = registry.get(std::to_string(i), registry_start, [i] { return i; });
        REQUIRE(made);
        if (i < each) in_use.push_back(*made);
    }
    CHECK(registry.evict_idle(registry_start + 1s) == each);
    CHECK(registry.counters().entries == each);
    CHECK(registry.counters().evicted == each);
    CHECK(*registry.find(std::to_string(each - 1)) == each - 1);
    CHECK(registry.find(std::to_string(each)) == nullptr);
    in_use.clear();
    CHECK(registry.evict_idle(registry_start + 1s) == each);
}
