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

/// Counts its objects.
struct CountedMessage {
    explicit CountedMessage(int n) noexcept : number{n} { ++live; }
    CountedMessage(CountedMessage&& other) noexcept : number{other.number} { ++live; }
    CountedMessage(const CountedMessage&) = delete;
    CountedMessage& operator=(const CountedMessage&) = delete;
    ~CountedMessage() { --live; }
    [[nodiscard]] bool is_message() const noexcept { return number % 2 == 0; }
    [[nodiscard]] bool same_control(const CountedMessage&) const noexcept { return false; }
    int number;
    static inline int live = 0;
};

}  // namespace

TEST_CASE("Mailbox loses no event of another thread when it runs out of memory",
          "[core][mailbox_allocation][fault]") {
    constexpr int each = 100;
    for (std::size_t good = 0; good < 10; ++good) {
        INFO("memory for " << good);
        driver::Mailbox<CountedMessage> mailbox{1000};
        mailbox.begin_turn();
        const auto post = [&](int from) {
            for (int i = from; i < from + each; ++i) mailbox.post_control(CountedMessage{i});
        };
        std::thread{[&] { post(0); }}.join();
        bool thrown = false;
        try {
            const belay_test::FailingNew failing{good};
            mailbox.begin_turn();
        } catch (const std::bad_alloc&) {
            thrown = true;
        }
        CHECK(thrown == (good < 7));
        CHECK_FALSE(mailbox.empty());
        std::thread{[&] { post(each); }}.join();
        SECTION("which the next turn collects") {}
        SECTION("which a post collects") { mailbox.post_control(CountedMessage{2 * each}); }
        SECTION("which is destroyed with it") {
            mailbox.close();
            CHECK(mailbox.empty());
            CHECK(CountedMessage::live == 0);
            continue;
        }
        mailbox.begin_turn();
        int next = 0;
        while (mailbox.size() != 0) CHECK(mailbox.pop().number == next++);
        CHECK(next >= 2 * each);
        CHECK(mailbox.empty());
        CHECK(CountedMessage::live == 0);
    }
}
