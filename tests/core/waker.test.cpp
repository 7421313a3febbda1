// SPDX-License-Identifier: MIT
// Goal: a registration detaches once, its entry is freed with the last of both sides, and
// without a driver all calls do nothing. Method: counting entries.
#include <belay/core/machine_like.hpp>

#include <string>

#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

namespace {

struct LoggedEntry : belay::driver::WakeNode {
    explicit LoggedEntry(std::string& l) : belay::driver::WakeNode{table}, log{l} {}
    std::string& log;
    static std::string& of(belay::driver::WakeNode& n) { return static_cast<LoggedEntry&>(n).log; }
    static const belay::driver::WakeOps table;
};
const belay::driver::WakeOps LoggedEntry::table{
    [](belay::driver::WakeNode& n) noexcept { of(n) += 'w'; },
    [](belay::driver::WakeNode& n) noexcept { of(n) += 't'; },
    [](belay::driver::WakeNode&) noexcept { return Instant{5s}; },
    [](belay::driver::WakeNode& n) noexcept { of(n) += 'd'; },
    [](belay::driver::WakeNode* n) noexcept {
        of(*n) += 'x';
        delete static_cast<LoggedEntry*>(n);
    }};

Waker registered(std::string& log) {
    return {belay::driver::WakeHandle::adopt(new LoggedEntry{log}), Seed{7}};
}

static_assert(!std::is_copy_constructible_v<Waker>, "a registration is one");
static_assert(std::is_nothrow_move_constructible_v<Waker> &&
              std::is_nothrow_move_assignable_v<Waker>);

}  // namespace

TEST_CASE("Waker detaches once, when its owner is destroyed", "[core][waker][unit]") {
    std::string log;
    {
        Waker a = registered(log);
        a.touch();
        a.handle().wake();
        CHECK(a.now() == Instant{5s});
        CHECK(a.seed().value == 7);
        Waker b = std::move(a);
        a.touch();
        CHECK(log == "tw");
        b.detach();
        b.detach();
        CHECK(log == "twdx");
        b.touch();
        CHECK(b.now() == always);
    }
    CHECK(log == "twdx");
}

TEST_CASE("Waker assignment ends the registration that it replaces", "[core][waker][unit]") {
    std::string first, second;
    Waker w = registered(first);
    w = registered(second);
    CHECK(first == "dx");
    CHECK(second.empty());
    Waker& self = w;
    w = std::move(self);
    CHECK(second.empty());
}

TEST_CASE("WakeHandle keeps the entry alive, not the registration", "[core][waker][unit]") {
    std::string log;
    belay::driver::WakeHandle kept;
    {
        Waker w = registered(log);
        kept = w.handle();
        belay::driver::WakeHandle copy = kept;
        const belay::driver::WakeHandle moved = std::move(copy);
        copy.wake();
        moved.wake();
        CHECK(log == "w");
    }
    CHECK(log == "wd");
    kept.wake();
    CHECK(log == "wdw");
    kept = belay::driver::WakeHandle{};
    CHECK(log == "wdwx");
}

TEST_CASE("Waker::nested wakes the same driver, with other bits, and never detaches it",
          "[core][waker][unit]") {
    std::string log;
    Waker outer = registered(log);
    {
        const Waker a = outer.nested(0), b = outer.nested(1);
        a.touch();
        CHECK(a.seed().value != b.seed().value);
        CHECK(a.seed().value != outer.seed().value);
        CHECK(outer.nested(0).seed().value == a.seed().value);
    }
    CHECK(log == "t");
    outer.detach();
    CHECK(log == "tdx");
}

TEST_CASE("Waker without a driver does nothing", "[core][waker][unit]") {
    Waker w;
    w.touch();
    w.handle().wake();
    CHECK(w.now() == always);
    w.nested(3).touch();
    w.detach();
}
