// SPDX-License-Identifier: MIT
// Goal: a question is answered once, by any thread, and wakes the driver of its machine. A dropped
// completion has no answer, and an unwanted answer is destroyed. Method: machines in several
// drivers, and threads.
#include <belay/core/completion.hpp>

#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <belay/core/machine_group.hpp>
#include <belay/drive/loop.hpp>

#include "support/aborts.hpp"
#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

namespace {

using Box = std::unique_ptr<int>;
using BoxQuestion = driver::Question<Box>;

static_assert(!std::is_copy_constructible_v<Completion<Box>> &&
              std::is_nothrow_move_constructible_v<Completion<Box>> &&
              sizeof(Completion<Box>) == sizeof(void*));
static_assert(!std::is_constructible_v<Completion<Box>, int> &&
              !std::is_constructible_v<Completion<Box>, Completion<Box>&>);
static_assert(!std::is_copy_constructible_v<BoxQuestion> &&
              !std::is_move_constructible_v<BoxQuestion>);

/// Counts its objects.
struct LiveCounter {
    explicit LiveCounter(std::atomic<int>& count) : live{&count} { ++*live; }
    LiveCounter(LiveCounter&& other) noexcept : live{other.live} { ++*live; }
    LiveCounter& operator=(LiveCounter&&) = delete;
    ~LiveCounter() { --*live; }
    std::atomic<int>* live;
};

/// A machine with a question, for any driver.
struct Requester {
    void attach(Waker w) {
        waker = std::move(w);
        question.attach(waker);
    }
    Instant deadline() const noexcept { return question.deadline(); }
    void advance(Instant) {
        if (!question.answered()) return;
        const std::optional<int> answer = question.take();
        received.push_back(answer.value_or(-1));
    }
    Waker waker;
    driver::Question<int> question;
    std::vector<int> received;
};

static_assert(MachineLike<Requester>);

}  // namespace

TEST_CASE("Question is asked, waits, is answered, and taken", "[core][completion][unit]") {
    BoxQuestion question;
    CHECK_FALSE(question.waits());
    CHECK(question.deadline() == never);
    {
        Completion<Box> completion = question.ask();
        CHECK(question.waits());
        CHECK_FALSE(question.answered());
        completion(std::make_unique<int>(5));
    }
    REQUIRE(question.answered());
    CHECK(question.waits());
    CHECK(question.deadline() == always);
    const std::optional<Box> answer = question.take();
    REQUIRE(answer);
    CHECK(**answer == 5);
    CHECK_FALSE(question.waits());
    CHECK_FALSE(question.answered());
    CHECK(question.deadline() == never);
}

TEST_CASE(
    "Completion that is dropped ends its question without an answer, and a moved-from one does not",
    "[core][completion][unit]") {
    BoxQuestion question;
    {
        Completion<Box> first = question.ask();
        const Completion<Box> second{std::move(first)};
        CHECK_FALSE(question.answered());
    }
    REQUIRE(question.answered());
    CHECK_FALSE(question.take());
}

TEST_CASE("Completion that is assigned to is dropped", "[core][completion][unit]") {
    BoxQuestion first;
    BoxQuestion second;
    Completion<Box> completion = first.ask();
    completion = second.ask();
    CHECK(first.answered());
    CHECK_FALSE(second.answered());
    completion(std::make_unique<int>(2));
    CHECK(second.answered());
}

TEST_CASE("Question that is asked again, dropped or destroyed ignores the older completion",
          "[core][completion][unit]") {
    std::atomic<int> live{0};
    std::optional<driver::Question<LiveCounter>> question{std::in_place};
    Completion<LiveCounter> older = question->ask();
    std::optional<Completion<LiveCounter>> newer;
    SECTION("asked again") { newer.emplace(question->ask()); }
    SECTION("dropped") { question->drop(); }
    SECTION("destroyed") { question.reset(); }
    CHECK_FALSE(older.wanted());
    older(LiveCounter{live});
    CHECK(live == 0);
    CHECK_FALSE((question && question->answered()));
    if (newer) {
        CHECK(newer->wanted());
        (*newer)(LiveCounter{live});
        CHECK(live == 1);
        REQUIRE(question->answered());
        // An answer that was not taken is destroyed with the question.
        question.reset();
        CHECK(live == 0);
    }
}

TEST_CASE("Completion rejects a second answer", "[core][completion][unit]") {
    const std::string text = belay_test::aborts_with([] {
        BoxQuestion question;
        Completion<Box> asked = question.ask();
        asked(nullptr);
        asked(nullptr);
    });
    CHECK(text.find("Completion: the completion must be answered only once") != std::string::npos);
}

TEST_CASE("Question::take needs an answer", "[core][completion][unit]") {
    const std::string text = belay_test::aborts_with([] {
        BoxQuestion question;
        const Completion<Box> asked = question.ask();
        static_cast<void>(question.take());
    });
    CHECK(text.find("Question::take: the answer must have arrived") != std::string::npos);
}

TEST_CASE("Completion ends its question without an answer if its value cannot be moved",
          "[core][completion][fault]") {
    struct Heavy {
        Heavy() = default;
        Heavy(Heavy&& other) : armed{other.armed} {
            if (armed) throw std::runtime_error{"heavy"};
        }
        bool armed = false;
    };
    driver::Question<Heavy> question;
    Completion<Heavy> completion = question.ask();
    Heavy heavy;
    SECTION("before it is delivered, the question is unchanged") {
        heavy.armed = true;
        CHECK_THROWS_AS(completion(std::move(heavy)), std::runtime_error);
        CHECK_FALSE(question.answered());
    }
    SECTION("after it was taken it is rejected") {
        struct ThrowsOnMove {
            ThrowsOnMove() = default;
            explicit ThrowsOnMove(int n) : moves_left{n} {}
            ThrowsOnMove(ThrowsOnMove&& other) : moves_left{other.moves_left - 1} {
                if (moves_left < 0) throw std::runtime_error{"no more"};
            }
            int moves_left = 0;
        };
        driver::Question<ThrowsOnMove> other;
        Completion<ThrowsOnMove> done = other.ask();
        CHECK_THROWS_AS(done(ThrowsOnMove{0}), std::runtime_error);
        REQUIRE(other.answered());
        CHECK_FALSE(other.take());
    }
}

TEST_CASE("Completion of a function calls it with the answer, or without one",
          "[core][completion][unit]") {
    std::vector<int> observed;
    const auto note = [&observed](std::optional<int> answer) noexcept {
        observed.push_back(answer.value_or(-1));
    };
    {
        Completion<int> answered{note};
        answered(3);
        CHECK(observed == std::vector<int>{3});
        const Completion<int> dropped{note};
    }
    CHECK(observed == std::vector<int>{3, -1});
}

TEST_CASE("Completion of a function delivers a value in place that cannot be moved again",
          "[core][completion][fault]") {
    struct Last {
        explicit Last(int n) : moves_left{n} {}
        Last(Last&& other) : moves_left{other.moves_left - 1} {
            if (moves_left < 0) throw std::runtime_error{"no more"};
        }
        int moves_left;
    };
    std::vector<bool> observed;
    Completion<Last> done{[&observed](const std::optional<Last>& answer) noexcept {
        observed.push_back(answer.has_value());
    }};
    SECTION("it is moved in, and is not moved again") {
        done(Last{1});
        CHECK(observed == std::vector<bool>{true});
    }
    SECTION("it cannot be moved in: no answer") {
        CHECK_THROWS_AS(done(Last{0}), std::runtime_error);
        CHECK(observed == std::vector<bool>{false});
    }
}

TEST_CASE("Completion of a function passes a question on", "[core][completion][unit]") {
    driver::Question<int> question;
    Completion<int> doubling{[done = question.ask()](std::optional<int> answer) mutable noexcept {
        if (answer) done(2 * *answer);
    }};
    SECTION("answered") {
        doubling(4);
        REQUIRE(question.answered());
        CHECK(question.take() == 8);
    }
    SECTION("dropped: its state is destroyed with it, and there is no answer") {
        { const Completion<int> gone{std::move(doubling)}; }
        REQUIRE(question.answered());
        CHECK_FALSE(question.take());
    }
}

TEST_CASE("Question wakes its machine in every driver", "[core][completion][unit]") {
    Loop loop;
    Requester requester;
    driver::MachineGroup group;
    const bool nested = GENERATE(false, true);
    CAPTURE(nested);
    if (nested) {
        loop.attach(group);
        group.add(requester);
    } else {
        loop.attach(requester);
    }
    std::optional<Completion<int>> completion{requester.question.ask()};
    std::thread other;
    int output = -1;
    SECTION("answered by another thread") {
        output = 7;
        other = std::thread{[&] { (*completion)(7); }};
    }
    SECTION("dropped by another thread") {
        other = std::thread{[&] { completion.reset(); }};
    }
    SECTION("answered by its own thread, outside of a turn") {
        output = 8;
        loop.post([&] { (*completion)(8); });
    }
    CHECK(loop.run_until([&] { return !requester.received.empty(); }, 10s));
    if (other.joinable()) other.join();
    CHECK(requester.received == std::vector<int>{output});
}

TEST_CASE("Question that waits wakes the driver that its machine moved to",
          "[core][completion][unit]") {
    Loop first;
    Loop second;
    Requester requester;
    first.attach(requester);
    Completion<int> completion = requester.question.ask();
    second.attach(requester);
    std::thread other{[&] { completion(7); }};
    CHECK(second.run_until([&] { return !requester.received.empty(); }, 10s));
    other.join();
    CHECK(requester.received == std::vector<int>{7});
}

TEST_CASE("Completion outlives the machine and its driver", "[core][completion][fault]") {
    std::optional<Completion<int>> completion;
    {
        Loop loop;
        Requester requester;
        loop.attach(requester);
        completion.emplace(requester.question.ask());
    }
    (*completion)(7);
}

TEST_CASE("Completion is made of the function that is passed in its place",
          "[core][completion][unit]") {
    const auto ask = [](int question, Completion<int> done) { done(2 * question); };
    int answer = 0;
    ask(21, [&](std::optional<int> given) noexcept { answer = given.value_or(-1); });
    CHECK(answer == 42);
    ask(4, [&](auto given) noexcept { answer = *given; });
    CHECK(answer == 8);
    STATIC_REQUIRE_FALSE(std::is_convertible_v<int, Completion<int>>);
}

TEST_CASE("Completion that races with its question leaks no value and never delivers a torn one",
          "[core][completion][fault]") {
    std::atomic<int> live{0};
    int taken = 0;
    for (int round = 0; round < 400; ++round) {
        Loop loop;
        std::optional<driver::Question<LiveCounter>> question{std::in_place};
        std::optional<Completion<LiveCounter>> completion{question->ask()};
        std::atomic<bool> go{false};
        std::thread other{[&] {
            while (!go) {
            }
            if (round % 4 == 0) {
                completion.reset();
            } else {
                (*completion)(LiveCounter{live});
            }
        }};
        go = true;
        switch (round % 3) {
            case 0:
                question.reset();
                break;
            case 1:
                static_cast<void>(question->ask());
                break;
            default:
                while (!question->answered()) {
                }
                if (question->take()) ++taken;
        }
        other.join();
        question.reset();
        CHECK(live == 0);
    }
    CHECK(taken == 100);
}
