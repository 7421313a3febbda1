// SPDX-License-Identifier: MIT
// Goal: each property of a world finds its violation, and passes on a near miss. Method: worlds of
// timers, each with one planted violation.
#include <belay/sim/world.hpp>

#include "support/aborts.hpp"
#include "support/catch.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

/// A host whose value becomes `peak` at 2 s, and 0 again at 3 s.
struct PeakWorld {
    explicit PeakWorld(int peak) : world{Seed{1}} {
        world.host("a", [this, peak](sim::Host& h) {
            h.after(2s, [this, peak] { value = peak; });
            h.after(3s, [this] { value = 0; });
        });
    }
    int value = 0;
    sim::World world;
};

}  // namespace

TEST_CASE("World::always stops the world at the event that violates it",
          "[sim][properties][unit]") {
    for (const bool wrong : {true, false}) {
        PeakWorld w{wrong ? 11 : 10};
        w.world.always("at most 10", [&] { return w.value <= 10; });
        w.world.run_for(10s);
        CHECK(w.world.violation().has_value() == wrong);
        CHECK(w.value == (wrong ? 11 : 0));  // no event happens after a violation
        CHECK(w.world.now() == Instant{10s});
        if (!wrong) continue;
        CHECK(w.world.violation()->property == "always \"at most 10\"");
        CHECK(w.world.violation()->at == Instant{2s});
        CHECK_FALSE(w.world.run_until([] { return false; }, 1h));
    }
}

TEST_CASE("World::always accepts a reason", "[sim][properties][unit]") {
    PeakWorld w{11};
    w.world.always("at most 10", [&] {
        return w.value <= 10 ? std::string{} : "it is " + std::to_string(w.value);
    });
    w.world.run_for(10s);
    REQUIRE(w.world.violation());
    CHECK(w.world.violation()->details == "it is 11");
}

TEST_CASE("World::never stops the world when its condition is true", "[sim][properties][unit]") {
    for (const bool wrong : {true, false}) {
        PeakWorld w{wrong ? 7 : 6};
        w.world.never("seven", [&] { return w.value == 7; });
        w.world.run_for(10s);
        CHECK(w.world.violation().has_value() == wrong);
        if (wrong) CHECK(w.world.violation()->property == "never \"seven\"");
    }
}

TEST_CASE("World::eventually counts from heal", "[sim][properties][unit]") {
    const auto holds = [](Duration heal_at, Duration within) {
        PeakWorld w{1};
        w.world.run_for(heal_at);
        w.world.heal();
        const bool held = w.world.eventually("a peak", within, [&] { return w.value == 1; });
        CHECK(w.world.violation().has_value() != held);
        return held;
    };
    CHECK(holds(0s, 2s));
    CHECK_FALSE(holds(0s, 2s - 1ns));
    CHECK(holds(1s, 1s));
    CHECK_FALSE(holds(1s, 1s - 1ns));
    CHECK_FALSE(holds(3s, 1h));  // its time is over
    // Time since heal() counts.
    PeakWorld late{1};
    late.world.heal();
    late.world.run_for(1s);
    CHECK_FALSE(late.world.eventually(1500ms, [&] { return late.value == 1; }));
    CHECK(late.world.violation()->property == "eventually \"within 1500ms\"");
}

TEST_CASE("World::eventually fails after its time, although the condition holds then",
          "[sim][properties][unit]") {
    PeakWorld w{1};
    w.world.heal();
    w.world.run_for(2500ms);
    CHECK_FALSE(w.world.eventually(1s, [&] { return w.value == 1; }));
}

TEST_CASE("World::eventually requires heal", "[sim][properties][unit]") {
    CHECK(aborts_with([] {
              PeakWorld w{1};
              static_cast<void>(w.world.eventually(1s, [] { return true; }));
          }).find("call heal() before") != std::string::npos);
}

TEST_CASE("World::eventually counts from the heal_at of a scenario", "[sim][properties][unit]") {
    PeakWorld w{1};
    w.world.play(sim::Scenario{}.heal_at(1s));
    w.world.run_for(1500ms);
    CHECK(w.world.eventually(1s, [&] { return w.value == 1; }));
}

TEST_CASE("World::require records the first violation only", "[sim][properties][unit]") {
    PeakWorld w{1};
    CHECK(w.world.require("fine", true));
    CHECK(w.world.require("fine, too", std::string{}));
    CHECK_FALSE(w.world.violation());
    CHECK_FALSE(w.world.require("first", std::string{"the reason"}));
    CHECK_FALSE(w.world.require("second", false));
    CHECK(w.world.violation()->property == "require \"first\"");
    CHECK(w.world.violation()->details == "the reason");
}

TEST_CASE("World::sometimes and reachable record the marks that were reached",
          "[sim][properties][unit]") {
    sim::World w{Seed{1}};
    w.reachable("a");
    w.reachable("b");
    w.reach("b");
    w.reachable("b");
    w.sometimes("c", false);
    w.sometimes("d", true);
    w.sometimes("d", false);
    CHECK_FALSE(w.marks().at("a"));
    CHECK(w.marks().at("b"));
    CHECK_FALSE(w.marks().at("c"));
    CHECK(w.marks().at("d"));
}

TEST_CASE("World::make keeps objects until the hosts are destroyed", "[sim][properties][unit]") {
    std::vector<std::string> order;
    struct Note {
        Note(std::vector<std::string>& o, std::string w) : out{o}, what{std::move(w)} {}
        ~Note() { out.push_back(what); }
        std::vector<std::string>& out;
        std::string what;
    };
    {
        sim::World w{Seed{1}};
        CHECK(w.make<Note>(order, "first").what == "first");
        w.make<Note>(order, "second");
        w.host("a", [&](sim::Host&) { return std::make_unique<Note>(order, "process"); });
    }
    CHECK(order == std::vector<std::string>{"process", "second", "first"});
}

TEST_CASE("World::diagram shows the last lines", "[sim][properties][golden]") {
    sim::World w{Seed{1}, {.record_lines = 100}};
    w.host("server");
    w.host("client");
    w.play(sim::Scenario{}.during(1s, 2s, sim::partition("client", "server")));
    w.run_for(3s);
    CHECK(w.diagram() == R"(                    server        client        
           0.000 s  *             |             server starts, 1. time
           0.000 s  |             *             client starts, 1. time
           1.000 s  |             X             fault sim::partition("client", "server")
           1.000 s  |             *             partition of client and server
           2.000 s  |             *             end of sim::partition("client", "server")
           2.000 s  |             *             the partition ends
)");
    CHECK(w.diagram(1).find("0.000 s") == std::string::npos);
    CHECK(w.diagram(1).find("the partition ends") != std::string::npos);
    CHECK(w.diagram(1).find(" earlier lines\n") != std::string::npos);
    sim::World unrecorded{Seed{1}};
    unrecorded.host("server");
    CHECK(unrecorded.diagram().find("starts") == std::string::npos);
}

TEST_CASE("World::diagram shows the lines around each fault, however long ago it was",
          "[sim][properties][regression]") {
    using sim::detail::Mark;
    std::vector<sim::detail::Record> records(200);
    for (std::size_t i = 0; i < records.size(); ++i) {
        records[i] = {.time = Instant{} + 1s * static_cast<int>(i), .facts = i, .mark = Mark::send};
    }
    records[0].mark = Mark::kill;
    records[50].mark = Mark::kill;
    const sim::Scenario scenario;
    const sim::detail::Diagram diagram{{"server", "client"}, scenario};
    const auto count = [](const std::string& text, std::string_view what) {
        std::size_t found = 0;
        for (std::size_t at = text.find(what); at != text.npos; at = text.find(what, at + 1))
            ++found;
        return found;
    };
    const std::string some = diagram.print(records, 18);
    INFO(some);
    CHECK(count(some, "is killed") == 2);
    CHECK(count(some, "server sends") == 16);
    CHECK(count(some, "server sends 49 bytes") == 1);
    CHECK(count(some, "server sends 51 bytes") == 1);
    CHECK(count(some, "server sends 188 bytes") == 1);  // two thirds are the last lines
    CHECK(count(some, "... 46 earlier lines") == 1);
    CHECK(count(some, "... 136 earlier lines") == 1);
    CHECK(count(diagram.print(records, 200), "earlier lines") == 0);
    CHECK(count(diagram.print(records, 1), "server sends 199 bytes") == 1);
}

TEST_CASE("A recorded world has the same history", "[sim][properties][unit]") {
    const auto hash = [](std::uint32_t lines) {
        sim::World w{Seed{1}, {.record_lines = lines}};
        w.host("a", [](sim::Host& h) { h.after(1s, [] {}); });
        w.run_for(2s);
        return w.trace_hash();
    };
    CHECK(hash(0) == hash(1));
    CHECK(hash(0) == hash(100));
}
