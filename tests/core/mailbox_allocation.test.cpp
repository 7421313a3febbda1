// SPDX-License-Identifier: MIT
// Goal: events of another thread are handled in order, also if there is no memory to collect
// them. Method: memory runs out in each turn in turn. counting_new.hpp is in
// machine_group_allocation.test.cpp, which is in the same executable.
#include <belay/core/mailbox.hpp>

#include <new>
#include <thread>
#include <vector>

#include "support/catch.hpp"
#include "support/failing_new.hpp"

using namespace belay;

namespace {

/// Counts those that are there.
struct CountedMail {
    explicit CountedMail(int n) noexcept : number{n} { ++live; }
    CountedMail(CountedMail&& other) noexcept : number{other.number} { ++live; }
    CountedMail(const CountedMail&) = delete;
    CountedMail& operator=(const CountedMail&) = delete;
    ~CountedMail() { --live; }
    [[nodiscard]] bool is_message() const noexcept { return number % 2 == 0; }
    [[nodiscard]] bool same_control(const CountedMail&) const noexcept { return false; }
    int number;
    static inline int live = 0;
};

}  // namespace

TEST_CASE("Mailbox loses no event of another thread when it runs out of memory",
          "[core][mailbox_allocation][fault]") {
    constexpr int each = 100;
    for (std::size_t good = 0; good < 10; ++good) {
        INFO("memory for " << good);
        driver::Mailbox<CountedMail> box{1000};
        box.begin_turn();
        const auto post = [&](int from) {
            for (int i = from; i < from + each; ++i) box.post_control(CountedMail{i});
        };
        std::thread{[&] { post(0); }}.join();
        bool thrown = false;
        try {
            const belay_test::FailingNew failing{good};
            box.begin_turn();
        } catch (const std::bad_alloc&) {
            thrown = true;
        }
        CHECK(thrown == (good < 7));
        CHECK_FALSE(box.empty());
        std::thread{[&] { post(each); }}.join();
        SECTION("which the next turn collects") {}
        SECTION("which a post collects") { box.post_control(CountedMail{2 * each}); }
        SECTION("which is destroyed with it") {
            box.close();
            CHECK(box.empty());
            CHECK(CountedMail::live == 0);
            continue;
        }
        box.begin_turn();
        int next = 0;
        while (box.size() != 0) CHECK(box.pop().number == next++);
        CHECK(next >= 2 * each);
        CHECK(box.empty());
        CHECK(CountedMail::live == 0);
    }
}
