// SPDX-License-Identifier: MIT
// Goal: events arrive once, in the order that their senders can observe, within bounds, from any
// thread. The end of a rejection is reported once. Method: examples and threads.
#include <belay/core/mailbox.hpp>

#include <atomic>
#include <thread>
#include <vector>

#include "support/aborts.hpp"
#include "support/catch.hpp"

using namespace belay;

namespace {

struct Posted {
    int sender = 0;
    int number = 0;
    bool message = false;
    [[nodiscard]] bool is_message() const noexcept { return message; }
    [[nodiscard]] bool same_control(const Posted& o) const noexcept {
        return !message && !o.message && sender == o.sender && number == o.number;
    }
};

struct CountedEntry : belay::driver::WakeNode {
    CountedEntry() : belay::driver::WakeNode{table} {}
    std::atomic<int> wakes{0};
    std::atomic<int> touches{0};
    std::atomic<int> detaches{0};
    static CountedEntry& of(belay::driver::WakeNode& n) { return static_cast<CountedEntry&>(n); }
    static const belay::driver::WakeOps table;
};
const belay::driver::WakeOps CountedEntry::table{
    [](belay::driver::WakeNode& n) noexcept { ++of(n).wakes; },
    [](belay::driver::WakeNode& n) noexcept { ++of(n).touches; },
    [](belay::driver::WakeNode&) noexcept { return always; },
    [](belay::driver::WakeNode& n) noexcept { ++of(n).detaches; },
    [](belay::driver::WakeNode*) noexcept {}};

struct Rig {
    CountedEntry entry;
    belay::driver::Mailbox<Posted> mailbox;
    explicit Rig(std::size_t max = 4) : mailbox{max} {
        mailbox.attach(Waker{belay::driver::WakeHandle::adopt(&entry), Seed{1}});
    }
    ~Rig() { mailbox.close(); }

    std::vector<int> drain() {
        std::vector<int> numbers;
        mailbox.begin_turn();
        while (mailbox.size() != 0) numbers.push_back(mailbox.pop().number);
        return numbers;
    }
};

Posted control(int n) { return {0, n, false}; }
Posted message(int n) { return {0, n, true}; }

/// Runs `f` on another thread, and waits for it.
template <class F>
void elsewhere(F&& f) {
    std::thread t{std::forward<F>(f)};
    t.join();
}

}  // namespace

TEST_CASE("Mailbox has no home thread before its first turn, and one for ever after it",
          "[core][mailbox][unit]") {
    Rig rig;
    CHECK_FALSE(rig.mailbox.is_home());
    CHECK(rig.mailbox.post_control(control(1)) == belay::driver::Post::taken);
    CHECK(rig.entry.wakes == 1);
    CHECK_FALSE(rig.mailbox.empty());
    CHECK(rig.drain() == std::vector<int>{1});
    CHECK(rig.mailbox.is_home());
    elsewhere([&] { CHECK_FALSE(rig.mailbox.is_home()); });
    CHECK(belay_test::aborts_with([&] {
              elsewhere([&] { rig.mailbox.begin_turn(); });
          }).find("only the thread of its first call may call it") != std::string::npos);
}

TEST_CASE(
    "Mailbox touches the driver for the first event of its thread, and wakes it for other threads",
    "[core][mailbox][unit]") {
    Rig rig;
    static_cast<void>(rig.drain());
    rig.mailbox.post_control(control(1));
    rig.mailbox.post_control(control(2));
    CHECK(rig.entry.touches == 1);
    CHECK(rig.entry.wakes == 0);
    static_cast<void>(rig.drain());
    elsewhere([&] {
        rig.mailbox.post_control(control(3));
        rig.mailbox.post_control(control(4));
    });
    CHECK(rig.entry.wakes == 1);
    CHECK(rig.drain() == std::vector<int>{3, 4});
    elsewhere([&] { rig.mailbox.post_control(control(5)); });
    CHECK(rig.entry.wakes == 2);
}

TEST_CASE("Mailbox keeps the order that its senders can observe", "[core][mailbox][unit]") {
    Rig rig{10};
    static_cast<void>(rig.drain());
    rig.mailbox.post_control(control(1));
    elsewhere([&] { rig.mailbox.post_message(message(2)); });
    // This thread has received 2, so its next event comes after it.
    rig.mailbox.post_message(message(3));
    elsewhere([&] { rig.mailbox.post_control(control(4)); });
    rig.mailbox.post_control(control(5));
    CHECK(rig.drain() == std::vector<int>{1, 2, 3, 4, 5});
}

TEST_CASE("Mailbox bounds messages, accepts every control, and leaves a rejected event unchanged",
          "[core][mailbox][unit]") {
    Rig rig{2};
    static_cast<void>(rig.drain());
    const bool home = GENERATE(true, false);
    const auto fill = [&] {
        CHECK(rig.mailbox.post_message(message(1)) == belay::driver::Post::taken);
        CHECK(rig.mailbox.post_message(message(2)) == belay::driver::Post::taken);
        Posted refused = message(3);
        CHECK(rig.mailbox.post_message(std::move(refused)) == belay::driver::Post::full);
        CHECK(refused.number == 3);
        CHECK(rig.mailbox.post_control(control(4)) == belay::driver::Post::taken);
    };
    if (home) {
        fill();
    } else {
        elsewhere(fill);
    }
    if (home) CHECK_FALSE(rig.mailbox.rejected());
    CHECK_FALSE((home && rig.mailbox.take_rejection()));
    CHECK(rig.drain() == std::vector<int>{1, 2, 4});
    CHECK(rig.mailbox.rejected());
    CHECK(rig.mailbox.take_rejection());
    CHECK_FALSE(rig.mailbox.take_rejection());
    CHECK(rig.mailbox.post_message(message(5)) == belay::driver::Post::taken);
    static_cast<void>(rig.drain());
    CHECK_FALSE(rig.mailbox.take_rejection());
}

TEST_CASE("Mailbox drops the record of a rejection that no longer matters",
          "[core][mailbox][unit]") {
    Rig rig{1};
    static_cast<void>(rig.drain());
    rig.mailbox.post_message(message(1));
    CHECK(rig.mailbox.post_message(message(2)) == belay::driver::Post::full);
    rig.mailbox.forget_rejection();
    static_cast<void>(rig.drain());
    CHECK_FALSE(rig.mailbox.take_rejection());
}

TEST_CASE("Mailbox returns gone after close, and destroys its events", "[core][mailbox][unit]") {
    Rig rig;
    static_cast<void>(rig.drain());
    rig.mailbox.post_control(control(1));
    elsewhere([&] { rig.mailbox.post_control(control(2)); });
    rig.mailbox.close();
    CHECK(rig.entry.detaches == 1);
    CHECK(rig.mailbox.empty());
    CHECK(rig.mailbox.post_control(control(3)) == belay::driver::Post::gone);
    CHECK(rig.mailbox.post_message(message(3)) == belay::driver::Post::gone);
    elsewhere([&] {
        CHECK(rig.mailbox.post_control(control(4)) == belay::driver::Post::gone);
        Posted m = message(9);
        CHECK(rig.mailbox.post_message(std::move(m)) == belay::driver::Post::gone);
        CHECK(m.number == 9);
    });
    CHECK(rig.mailbox.empty());
}

TEST_CASE("Mailbox merges a control that is repeated for ever, and merges no message",
          "[core][mailbox][fault]") {
    Rig rig{5000};
    static_cast<void>(rig.drain());
    for (int i = 0; i < 100000; ++i)
        CHECK(rig.mailbox.post_control(control(7)) == belay::driver::Post::taken);
    CHECK(rig.mailbox.size() == 64);
    elsewhere([&] {
        for (int i = 0; i < 100000; ++i) rig.mailbox.post_control(control(8));
    });
    for (int i = 0; i < 5000; ++i)
        REQUIRE(rig.mailbox.post_message(message(7)) == belay::driver::Post::taken);
    CHECK(rig.mailbox.post_message(message(7)) == belay::driver::Post::full);
    // Different controls are all kept.
    for (int i = 1000; i < 1100; ++i) rig.mailbox.post_control(control(i));
    CHECK(rig.drain().size() == 64 + 64 + 5000 + 100);
}

TEST_CASE("Mailbox::discard_unless keeps the order of the rest, and counts correctly",
          "[core][mailbox][unit]") {
    Rig rig{3};
    static_cast<void>(rig.drain());
    rig.mailbox.post_message(message(1));
    rig.mailbox.post_control(control(2));
    rig.mailbox.post_message(message(3));
    elsewhere([&] { rig.mailbox.post_message(message(4)); });
    rig.mailbox.discard_unless([](const Posted& m) { return m.number % 2 == 0; });
    CHECK(rig.mailbox.size() == 2);
    CHECK(rig.mailbox.post_message(message(6)) == belay::driver::Post::taken);
    CHECK(rig.mailbox.post_message(message(8)) == belay::driver::Post::taken);
    CHECK(rig.mailbox.post_message(message(10)) == belay::driver::Post::full);
    CHECK(rig.drain() == std::vector<int>{2, 4, 6, 8});
}

TEST_CASE("Mailbox delivers each event once, in its sender's order, from many threads",
          "[core][mailbox][fault]") {
    constexpr int senders = 4;
    constexpr int each = 3000;
    Rig rig{16};
    rig.mailbox.begin_turn();
    std::atomic<int> room{0};  // rises with every report of capacity
    std::atomic<int> done{0};
    std::atomic<long> refusals{0};
    std::vector<std::thread> threads;
    for (int s = 0; s < senders; ++s) {
        threads.emplace_back([&, s] {
            for (int n = 0; n < each;) {
                Posted m{s, n, n % 3 != 0};
                const int observed = room.load();
                const belay::driver::Post p = n % 3 != 0 ? rig.mailbox.post_message(std::move(m))
                                                         : rig.mailbox.post_control(std::move(m));
                if (p == belay::driver::Post::taken) ++n;
                if (p == belay::driver::Post::full) {
                    ++refusals;
                    while (room.load() == observed)
                        std::this_thread::yield();  // the report must arrive
                }
            }
            ++done;
        });
    }
    int next[senders]{};
    long total = 0, reports = 0;
    bool in_order = true;
    while (total < long{senders} * each) {
        rig.mailbox.begin_turn();
        for (int left = 8; left != 0 && rig.mailbox.size() != 0; --left) {
            const Posted m = rig.mailbox.pop();
            in_order = in_order && m.number == next[m.sender]++;
            ++total;
        }
        if (rig.mailbox.take_rejection()) {
            ++reports;
            ++room;
        }
        std::this_thread::yield();
    }
    for (std::thread& t : threads) t.join();
    CHECK(in_order);
    CHECK(done == senders);
    CHECK(reports <= refusals);
    rig.mailbox.begin_turn();
    CHECK(rig.mailbox.empty());
}

TEST_CASE("Mailbox may be closed while others post", "[core][mailbox][fault]") {
    for (int round = 0; round < 50; ++round) {
        belay::detail::Ref<belay::driver::Mailbox<Posted>> mailbox =
            belay::detail::Ref<belay::driver::Mailbox<Posted>>::make(std::size_t{8});
        mailbox->begin_turn();
        std::vector<std::thread> threads;
        for (int s = 0; s < 3; ++s) {
            threads.emplace_back([mailbox, s] {
                for (int n = 0;
                     mailbox->post_control(Posted{s, n, false}) != belay::driver::Post::gone; ++n)
                    std::this_thread::yield();
            });
        }
        std::this_thread::yield();
        mailbox->close();
        for (std::thread& t : threads) t.join();
        CHECK(mailbox->empty());
    }
}

TEST_CASE("Mailbox counts collected events that are not handled against other threads",
          "[core][mailbox][regression]") {
    Rig rig{4};
    rig.mailbox.begin_turn();
    int taken = 0;
    const auto fill = [&] {
        elsewhere([&] {
            for (int i = 0; i < 10; ++i)
                taken += rig.mailbox.post_message(message(i)) == belay::driver::Post::taken;
        });
    };
    fill();
    rig.mailbox.begin_turn();  // collects events, and handles none
    fill();
    CHECK(taken == 4);
    static_cast<void>(rig.mailbox.pop());
    CHECK(rig.mailbox.take_rejection());
    fill();
    CHECK(taken == 5);
}

TEST_CASE("Mailbox wakes its driver for a rejected event, so that capacity is reported",
          "[core][mailbox][regression]") {
    Rig rig{1};
    rig.mailbox.begin_turn();
    CHECK(rig.mailbox.post_message(message(1)) == belay::driver::Post::taken);
    const int wakes = rig.entry.wakes;
    elsewhere([&] { CHECK(rig.mailbox.post_message(message(2)) == belay::driver::Post::full); });
    CHECK(rig.entry.wakes == wakes + 1);
    static_cast<void>(rig.mailbox.pop());
    CHECK(rig.mailbox.rejected());
    CHECK(rig.mailbox.take_rejection());
}
