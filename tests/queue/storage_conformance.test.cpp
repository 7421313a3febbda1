// SPDX-License-Identifier: MIT
// Goal: the conformance suite finds wrong storages. Method: six of them, each with one planted
// mistake.
#include <belay/queue/ring.hpp>

#include "support/storage_conformance.hpp"

using namespace belay;

namespace {

enum class Mistake {
    none,
    takes_newest,
    loses_on_nack,
    keeps_on_ack,
    overfills,
    changes_refused,
    size_off_by_one
};

template <Mistake mistake>
struct Wrong {
    using value_type = std::string;
    std::deque<std::string> held;

    bool try_push(std::string&& value) noexcept {
        const std::size_t most = mistake == Mistake::overfills ? 5 : 4;
        if (held.size() >= most) {
            if (mistake == Mistake::changes_refused) value.clear();
            return false;
        }
        held.push_back(std::move(value));
        return true;
    }
    std::optional<std::string> try_pop() {
        if (held.empty()) return std::nullopt;
        const bool newest = mistake == Mistake::takes_newest;
        std::string value = newest ? held.back() : held.front();
        newest ? held.pop_back() : held.pop_front();
        return value;
    }
    std::string* front() { return held.empty() ? nullptr : &held.front(); }
    void ack() noexcept {
        if (mistake != Mistake::keeps_on_ack) held.pop_front();
    }
    void nack() noexcept {
        if (mistake == Mistake::loses_on_nack) held.pop_front();
    }
    std::size_t size() const noexcept {
        return held.size() + (mistake == Mistake::size_off_by_one && held.size() == 3 ? 1 : 0);
    }
    std::size_t capacity() const noexcept { return 4; }
};

template <Mistake mistake>
bool passes() {
    const auto value = [](std::uint64_t i) { return std::to_string(i); };
    const auto same = [](const auto& a, const auto& b) { return a == b; };
    for (std::uint64_t seed = 1; seed <= 5; ++seed) {
        if (belay_test::storage_mistake([] { return Wrong<mistake>{}; }, value, same, seed, 300) !=
            "") {
            return false;
        }
    }
    return true;
}

}  // namespace

TEST_CASE("The conformance suite finds every planted mistake", "[queue][storage_like][unit]") {
    CHECK(passes<Mistake::none>());
    CHECK_FALSE(passes<Mistake::takes_newest>());
    CHECK_FALSE(passes<Mistake::loses_on_nack>());
    CHECK_FALSE(passes<Mistake::keeps_on_ack>());
    CHECK_FALSE(passes<Mistake::overfills>());
    CHECK_FALSE(passes<Mistake::changes_refused>());
    CHECK_FALSE(passes<Mistake::size_off_by_one>());
}
