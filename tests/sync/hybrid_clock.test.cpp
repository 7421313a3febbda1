// SPDX-License-Identifier: MIT
// Goal: stamps rise at any behaviour of the wall clock and of others, stay near the wall clock,
// and survive restarts. Method: random histories of jumps, foreign stamps and restarts, compared
// with the rules; golden bytes.
#include <belay/sync/hybrid_clock.hpp>

#include <optional>

#include "support/catch.hpp"
#include "support/hex.hpp"

using namespace belay;

namespace {

struct ManualWallClock {
    const WallTime* time;
    [[nodiscard]] WallTime now() const noexcept { return *time; }
};

constexpr Id me{std::byte{7}};
constexpr Id other_id{std::byte{9}};
constexpr WallTime at(std::int64_t ticks) { return WallTime{Duration{ticks}}; }

}  // namespace

TEST_CASE("HybridClock::stamp follows the wall clock, and counts while it stands still",
          "[sync][hybrid_clock]") {
    WallTime now = at(100);
    HybridClock clock{me, ManualWallClock{&now}};
    CHECK(clock.stamp() == Stamp{at(100), 0, me});
    CHECK(clock.stamp() == Stamp{at(100), 1, me});
    now = at(50);
    CHECK(clock.stamp() == Stamp{at(100), 2, me});
    CHECK(clock.ahead() == Duration{50});
    now = at(200);
    CHECK(clock.stamp() == Stamp{at(200), 0, me});
    CHECK(clock.ahead() == Duration{0});
}

TEST_CASE("HybridClock::stamp is above seen stamps, within skew_max", "[sync][hybrid_clock]") {
    WallTime now = at(100);
    HybridClock clock{me, ManualWallClock{&now}, {.skew_max = Duration{1000}}};
    clock.saw({at(500), 7, other_id});
    CHECK(clock.stamp() == Stamp{at(500), 8, me});
    clock.saw({at(5000), 3, other_id});
    // stamp() limits a time that is too far ahead, and ignores one beyond the limit.
    CHECK(clock.stamp() == Stamp{at(1100), 0, me});
    CHECK(clock.stamp() == Stamp{at(1100), 1, me});
    now = at(4500);
    CHECK(clock.stamp() == Stamp{at(5000), 4, me});
    clock.saw({WallTime::max(), 0xFFFFFFFF, other_id});
    CHECK(clock.stamp() == Stamp{at(5500), 0, me});
}

TEST_CASE("HybridClock::stamp_above is above what it changes, and the clock stays",
          "[sync][hybrid_clock]") {
    WallTime now = at(100);
    HybridClock clock{me, ManualWallClock{&now}, {.skew_max = Duration{10}}};
    CHECK(*clock.stamp_above(Stamp{}) == Stamp{at(100), 0, me});
    CHECK(*clock.stamp_above({at(99), 7, other_id}) == Stamp{at(100), 1, me});
    // At the same moment the higher origin would win, so the counter is raised.
    CHECK(*clock.stamp_above({at(100), 2, other_id}) == Stamp{at(100), 3, me});
    // This stamp is a year ahead, so saw() does not follow it.
    const Stamp far{at(1'000'000), 4, other_id};
    CHECK(*clock.stamp_above(far) == Stamp{at(1'000'000), 5, me});
    CHECK(clock.stamp() == Stamp{at(100), 4, me});
    CHECK(clock.ahead() == Duration{0});
    CHECK(*clock.stamp_above({at(500), 0xFFFFFFFF, other_id}) == Stamp{at(501), 0, me});
    // No stamp is later than the end of time.
    const auto last = clock.stamp_above({WallTime::max(), 0xFFFFFFFF, other_id});
    CHECK(last.error() == SyncErrc::end_of_time);
    CHECK(*clock.stamp_above({WallTime::max(), 0xFFFFFFFE, other_id}) ==
          Stamp{WallTime::max(), 0xFFFFFFFF, me});
}

TEST_CASE("HybridClock continues at the next moment when the counter ends",
          "[sync][hybrid_clock]") {
    WallTime now = at(100);
    HybridClock clock{me, ManualWallClock{&now}, {.skew_max = Duration{1000}}};
    clock.saw({at(100), 0xFFFFFFFF, other_id});
    CHECK(clock.stamp() == Stamp{at(101), 0, me});
}

TEST_CASE("HybridClock never goes back at the end of time", "[sync][hybrid_clock][regression]") {
    const Stamp last{WallTime::max(), 0xFFFFFFFF, me};
    SECTION("by a note") {
        HybridClock<ManualWallClock>::Note note{};
        note[0] = std::byte{0xC1};
        store_le<std::uint64_t>(note.data() + 1, std::uint64_t{0x7FFFFFFFFFFFFFFF});
        store_le<std::uint32_t>(note.data() + 9, 0xFFFFFFFF);
        WallTime now = at(100);
        HybridClock restored{me, ManualWallClock{&now}};
        REQUIRE_FALSE(restored.restore(note));
        CHECK(restored.stamp() == last);
        CHECK(restored.stamp() == last);
        CHECK(restored.stamp_above(last).error() == SyncErrc::end_of_time);
    }
    SECTION("by a stamp that it has seen") {
        WallTime now = WallTime::max();
        HybridClock clock{me, ManualWallClock{&now}};
        clock.saw({WallTime::max(), 0xFFFFFFFE, other_id});
        CHECK(clock.stamp() == last);
        clock.saw({WallTime::max(), 0xFFFFFFFF, other_id});
        CHECK(clock.stamp() == last);
        CHECK(clock.stamp_above(last).error() == SyncErrc::end_of_time);
    }
}

TEST_CASE("HybridClock::note has its golden bytes", "[sync][hybrid_clock][golden]") {
    WallTime now = at(0x0102030405060708);
    HybridClock clock{me, ManualWallClock{&now}, {.note_covers = Duration{0}}};
    CHECK(clock.stamp().counter == 0);
    CHECK(clock.stamp().counter == 1);
    CHECK(belay_test::to_hex(clock.note()) == "c1080706050403020101000000");
}

TEST_CASE("HybridClock has a note due again if the last one was not stored",
          "[sync][hybrid_clock]") {
    WallTime now = at(100);
    HybridClock clock{me, ManualWallClock{&now}};
    static_cast<void>(clock.stamp());
    const HybridClock<ManualWallClock>::Note note = clock.note();
    CHECK_FALSE(clock.note_is_due());
    clock.forget_note();
    CHECK(clock.note_is_due());
    CHECK(clock.note() == note);
    CHECK_FALSE(clock.note_is_due());
}

TEST_CASE("HybridClock::note covers seen stamps, and not only issued ones",
          "[sync][hybrid_clock]") {
    WallTime now = at(100);
    const HybridClockOptions options{.skew_max = Duration{1000}, .note_covers = Duration{10}};
    HybridClock clock{me, ManualWallClock{&now}, options};
    CHECK(clock.note_is_due());
    static_cast<void>(clock.note());
    clock.saw({at(500), 7, other_id});
    CHECK(clock.note_is_due());
    HybridClock again{me, ManualWallClock{&now}, options};
    REQUIRE_FALSE(again.restore(clock.note()));
    CHECK_FALSE(clock.note_is_due());
    // After a restart, a stamp is later than that of an author whose clock is ahead.
    CHECK(Stamp{at(500), 7, other_id} < again.stamp());
    // A stamp that is too far ahead is covered up to the limit.
    clock.saw({at(5000), 0, other_id});
    HybridClock third{me, ManualWallClock{&now}, options};
    REQUIRE_FALSE(third.restore(clock.note()));
    CHECK(third.stamp() == Stamp{at(1101), 1, me});
    CHECK_FALSE(clock.note_is_due());
    now = at(101);
    CHECK(clock.note_is_due());
}

TEST_CASE("HybridClock is not further ahead after many restarts than after one",
          "[sync][hybrid_clock]") {
    // Each edit starts a program, a thousand times in a second.
    WallTime now = at(0);
    HybridClock<ManualWallClock>::Note note{};
    std::optional<Stamp> last;
    for (int start = 0; start < 1000; ++start) {
        now = at(std::int64_t{start} * 1'000'000);
        HybridClock clock{me, ManualWallClock{&now}};
        if (last) REQUIRE_FALSE(clock.restore(note));
        const Stamp next = clock.stamp();
        if (last) CHECK(*last < next);
        last = next;
        if (clock.note_is_due()) note = clock.note();
        CHECK(clock.ahead() <= HybridClockOptions{}.note_covers + Duration{1});
    }
}

TEST_CASE("HybridClock::restore rejects bytes that are no note", "[sync][hybrid_clock]") {
    WallTime now = at(100);
    HybridClock clock{me, ManualWallClock{&now}};
    CHECK_FALSE(clock.restore({}));
    const auto first = clock.stamp();
    auto note = clock.note();
    CHECK(clock.restore(BytesView{note}.first(12)) == SyncErrc::store_corrupt);
    note[0] = std::byte{0};
    CHECK(clock.restore(note) == SyncErrc::store_corrupt);
    CHECK(clock.stamp() == Stamp{first.wall, 1, me});
}

TEST_CASE("HybridClock rises over jumps, foreign stamps and restarts",
          "[sync][hybrid_clock][property]") {
    CHECK(rc::check("above all before, near the wall clock, also after a restart", [] {
        const auto covers = *rc::gen::inRange(0, 50);
        const auto skew = *rc::gen::inRange(0, 100);
        const HybridClockOptions options{.skew_max = Duration{skew},
                                         .note_covers = Duration{covers}};
        WallTime now = at(1000);
        WallTime latest = now;
        HybridClock clock{me, ManualWallClock{&now}, options};
        HybridClock<ManualWallClock>::Note kept{};
        bool has_note = false;
        Stamp last{WallTime::min(), 0, me};
        for (const int what : *rc::gen::container<std::vector<int>>(rc::gen::inRange(0, 8))) {
            if (what == 0) now = at(*rc::gen::inRange(0, 3000));
            if (what == 1) clock.saw({at(*rc::gen::inRange(0, 9000)), 3, other_id});
            if (what == 2) {
                // The process ends, and only the note remains.
                clock = HybridClock{me, ManualWallClock{&now}, options};
                if (has_note) RC_ASSERT(!clock.restore(kept));
            }
            if (latest < now) latest = now;
            const Stamp next = clock.stamp();
            RC_ASSERT(last < next);
            // The time that a note covers is added once, and not at each restart.
            const auto limit = latest.time_since_epoch().count() + std::max(skew, covers);
            const auto floor = last.wall.time_since_epoch().count() + 1;
            RC_ASSERT(next.wall.time_since_epoch().count() <= std::max(limit, floor));
            last = next;
            if (clock.note_is_due()) {
                kept = clock.note();
                has_note = true;
            }
            RC_ASSERT(has_note);
        }
    }));
}
