// SPDX-License-Identifier: MIT
// Goal: in the steady state a question allocates nothing, and a question for which there is no
// memory is not accepted and leaves nothing behind. Method: memory runs out. counting_new.hpp is in
// allocation.test.cpp, which is in the same executable.
#include <belay/link/requests.hpp>

#include <array>
#include <new>

#include <belay/policy/rules.hpp>

#include "support/catch.hpp"
#include "support/failing_new.hpp"
#include "support/shorthand.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::at;

namespace {

/// Answers each question with its double, in the next turn.
struct DoublingSocket {
    using message_type = int;
    struct Connection {
        Link<int> link;
        SendResult send(const int& question) noexcept {
            static_cast<void>(link.received(2 * question));
            return SendResult::sent;
        }
    };
    Connection open(const Link<int>& link) {
        link.opened();
        return {link};
    }
};
using DoublingRequests = Requests<DoublingSocket, MaxAttempts, part::InOrder>;

void run_at(DoublingRequests& requests, Duration now) {
    requests.advance(at(now));
    for (int i = 0; i < 100 && requests.deadline() <= at(now); ++i) requests.advance(at(now));
}

}  // namespace

TEST_CASE("Requests allocates for no question once it is warm",
          "[link][requests_allocation][unit]") {
    DoublingRequests requests{DoublingSocket{}, MaxAttempts{1}, {}};
    run_at(requests, 1s);
    requests.start();
    run_at(requests, 1s);
    int sum = 0;
    const auto exchange = [&](int rounds) {
        bool accepted = true;
        for (int i = 0; i < rounds; ++i) {
            for (int k = 0; k < 16; ++k) {
                const auto asked =
                    requests.ask(1, 2s, [&](const Result<int, Failure>& a) { sum += a ? *a : 0; });
                accepted = accepted && asked.has_value();
            }
            run_at(requests, 1s + i * 1ms);
        }
        return accepted;
    };
    REQUIRE(exchange(10));
    {
        bool accepted = false;
        std::size_t refused = 0;
        {
            const belay_test::FailingNew none{0};
            try {
                accepted = exchange(100);
            } catch (const std::bad_alloc&) {
            }
            refused = none.failed();
        }
        CHECK(accepted);
        CHECK(refused == 0);
    }
    CHECK(sum == 2 * 16 * 110);
}

TEST_CASE("Requests accepts no question for which there is no memory",
          "[link][requests_allocation][fault]") {
    std::size_t failures = 0;
    for (std::size_t good = 0; good < 20; ++good) {
        CAPTURE(good);
        DoublingRequests requests{DoublingSocket{}, MaxAttempts{1}, {}};
        run_at(requests, 1s);
        requests.start();
        run_at(requests, 1s);
        int accepted = 0;
        int answers = 0;
        for (int i = 0; i < 40; ++i) {
            const belay_test::FailingNew failing{i == 20 ? good : 1000};
            try {
                // The handler is too large to be stored without an allocation.
                const std::array<char, 100> large{};
                const auto asked = requests.ask(
                    1, 2s, [&answers, large](const auto& a) { answers += a ? 1 : large[0]; });
                if (asked) ++accepted;
            } catch (const std::bad_alloc&) {
                ++failures;
            }
        }
        CHECK(requests.status().asked == static_cast<std::uint64_t>(accepted));
        run_at(requests, 1s);
        CHECK(answers == accepted);
        CHECK(accepted >= 39);
    }
    CHECK(failures > 0);
}
