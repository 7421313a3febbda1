// SPDX-License-Identifier: MIT
// Goal: a child, a timer and a question use the documented memory, and turns allocate nothing once
// a group has grown. Method: a counting operator new.
#include <belay/core/completion.hpp>
#include <belay/core/machine_group.hpp>
#include <belay/core/timer.hpp>

#include <vector>

#include "support/catch.hpp"
#include "support/counting_new.hpp"

using namespace belay;
using namespace belay_test;

namespace {

struct SmallChild {
    void attach(Waker w) { waker = std::move(w); }
    [[nodiscard]] Instant deadline() const noexcept { return due; }
    void advance(Instant now) { due = after(now, Duration{1}); }
    Instant due = always;
    Waker waker;
};

}  // namespace

TEST_CASE("A child needs at most 96 bytes more than itself, and turns allocate nothing",
          "[core][machine_group_allocation][unit]") {
    constexpr std::size_t count = 10'000;
    driver::MachineGroup group;
    group.attach(Waker{});
    std::vector<driver::GroupedMachine<SmallChild>> all;
    all.reserve(count);
    bytes_held = 0;
    is_counting = true;
    for (std::size_t i = 0; i < count; ++i) all.push_back(group.make<SmallChild>());
    is_counting = false;
    CHECK(bytes_held <= static_cast<std::int64_t>(count * (sizeof(SmallChild) + 96)));
    if constexpr (sizeof(void*) == 8) CHECK(sizeof(detail::MachineGroupNode) == 40);

    allocations = 0;
    is_counting = true;
    bool stayed = true;
    for (int turn = 0; turn < 100; ++turn) {
        for (std::size_t i = 0; i < 50; ++i) all[i * 7]->waker.handle().wake();
        stayed = group.advance(Instant{Duration{turn}}) && stayed;
    }
    is_counting = false;
    CHECK(stayed);
    CHECK(allocations == 0);
}

TEST_CASE("Timers allocate only to grow", "[core][timer][unit]") {
    const auto queue = detail::Ref<detail::TimerQueue>::make();
    int calls = 0;
    const auto round = [&](int turn) {
        for (int i = 0; i < 50; ++i) {
            Timer timer =
                detail::TimerQueue::set(queue, Instant{Duration{turn}}, [&calls] { ++calls; });
            if (i % 2 == 0) timer.cancel();
        }
        queue->advance(Instant{Duration{turn}});
    };
    round(0);
    allocations = 0;
    is_counting = true;
    for (int turn = 1; turn < 100; ++turn) round(turn);
    is_counting = false;
    CHECK(allocations == 0);
    CHECK(calls == 2500);
}

TEST_CASE("A question needs one allocation, however it is answered", "[core][completion][unit]") {
    driver::Question<std::vector<int>> question;
    question.attach(Waker{});
    std::vector<int> answer(1000, 7);
    const int* const numbers = answer.data();
    allocations = 0;
    is_counting = true;
    question.ask()(std::move(answer));
    const std::optional<std::vector<int>> taken = question.take();
    { const Completion<std::vector<int>> dropped = question.ask(); }
    const std::optional<std::vector<int>> refused = question.take();
    is_counting = false;
    CHECK(allocations == 2);
    REQUIRE(taken);
    CHECK(taken->data() == numbers);
    CHECK_FALSE(refused);
}
