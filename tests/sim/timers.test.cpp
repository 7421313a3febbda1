// SPDX-License-Identifier: MIT
// Goal: the parts of World behave like plain models: the heap of deadlines, the function object
// without allocation. Method: random operations.
#include <belay/sim/detail/timers.hpp>

#include <algorithm>
#include <deque>
#include <memory>

#include <belay/core/detail/function.hpp>

#include "support/catch.hpp"

using namespace belay;

namespace {

constexpr belay::driver::WakeOps no_ops{
    [](belay::driver::WakeNode&) noexcept {}, [](belay::driver::WakeNode&) noexcept {},
    [](belay::driver::WakeNode&) noexcept { return always; },
    [](belay::driver::WakeNode&) noexcept {}, [](belay::driver::WakeNode*) noexcept {}};

}  // namespace

TEST_CASE("Timers keeps machines by deadline, then by order, for any movements",
          "[sim][timers][property]") {
    CHECK(rc::check("like a sorted list",
                    [](const std::vector<std::pair<std::uint8_t, std::uint8_t>>& moves) {
                        sim::detail::Timers timers;
                        std::deque<sim::detail::Attached> machines;
                        for (std::uint64_t i = 0; i < 16; ++i)
                            machines.emplace_back(no_ops).order = i;
                        std::vector<Instant> model(16, never);
                        for (const auto [which, when] : moves) {
                            const std::size_t i = which % 16;
                            const Instant due = when % 4 == 0 ? never : Instant{Duration{when / 4}};
                            timers.set(machines[i], due);
                            model[i] = due;
                            const auto first = std::min_element(model.begin(), model.end());
                            RC_ASSERT(timers.next() == *first);
                            if (*first != never) {
                                RC_ASSERT(timers.front().order ==
                                          static_cast<std::uint64_t>(first - model.begin()));
                            }
                        }
                        for (std::size_t i = 0; i < 16; ++i) {
                            RC_ASSERT((machines[i].place == sim::detail::Attached::nowhere) ==
                                      (model[i] == never));
                        }
                    }));
}

TEST_CASE("Function keeps small and large callables, and destroys them once",
          "[sim][function][unit]") {
    const auto lifetime = std::make_shared<int>(7);
    struct Large {
        std::shared_ptr<int> lifetime;
        std::byte more[100]{};
        int operator()(int x) const { return *lifetime + x; }
    };
    using Function = belay::detail::Function<int(int)>;
    {
        Function small{[lifetime](int x) { return *lifetime + x; }};
        Function large{Large{lifetime}};
        CHECK(lifetime.use_count() == 3);
        CHECK(small(1) == 8);
        CHECK(large(2) == 9);
        Function moved{std::move(small)};
        CHECK_FALSE(static_cast<bool>(small));
        CHECK(moved(1) == 8);
        moved = std::move(large);
        CHECK(lifetime.use_count() == 2);
        CHECK(moved(3) == 10);
        moved.reset();
        CHECK(lifetime.use_count() == 1);
        CHECK_FALSE(static_cast<bool>(moved));
    }
    CHECK(lifetime.use_count() == 1);
}
