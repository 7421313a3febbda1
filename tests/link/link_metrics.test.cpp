// SPDX-License-Identifier: MIT
// Goal: every number of LinkMetrics is right, and its text can be parsed with any name of a
// link. Method: scripted connections.
#include <belay/link/link_metrics.hpp>

#include <map>
#include <set>
#include <sstream>

#include <belay/core/tee.hpp>
#include <belay/link/heartbeat.hpp>

#include "support/link/link_rig.hpp"
#include "support/metrics/collected.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;
using belay_test::FakeTransport;
using belay_test::TransportState;

static_assert(static_cast<std::size_t>(Cause::unauthorized) + 1 ==
              std::tuple_size_v<decltype(LinkMetrics::Counters{}.failures)>);

namespace {

struct Metered {
    TransportState transport;
    LinkRig<Heartbeat<FakeTransport<>>, LinkMetrics> rig{
        Heartbeat{FakeTransport<>{transport}, {.every = 10s, .dead_after = 25s}},
        LinkMetrics{"api"}};

    [[nodiscard]] const LinkMetrics::Counters& counters() { return rig.link.observer().counters(); }
    void open(Duration now) {
        transport.link.opened();
        transport.link.pong();
        rig.run(now);
    }
    void close(Duration now, Cause cause) {
        transport.link.closed({.cause = cause});
        rig.run(now);
    }
    [[nodiscard]] std::uint64_t failures(Cause cause) {
        return counters().failures[static_cast<std::size_t>(cause)];
    }
    [[nodiscard]] std::uint64_t outages() {
        std::uint64_t n = 0;
        for (const std::uint64_t count : counters().outages.counts) n += count;
        return n;
    }
};

/// Returns the name and labels of each sample, with its value; fails on a line that is no sample.
std::map<std::string, std::string> parsed(const std::string& text) {
    std::map<std::string, std::string> samples;
    std::set<std::string> families;
    std::istringstream in{text};
    for (std::string line; std::getline(in, line);) {
        if (line.rfind("# TYPE ", 0) == 0) CHECK(families.insert(line).second);
        if (line.rfind("# ", 0) == 0) continue;
        bool quoted = false;
        std::size_t i = 0;
        for (; i < line.size() && (quoted || line[i] != ' '); ++i) {
            if (quoted && line[i] == '\\') {
                ++i;
            } else if (line[i] == '"') {
                quoted = !quoted;
            }
        }
        INFO(line);
        REQUIRE(i + 1 < line.size());
        CHECK(samples.emplace(line.substr(0, i), line.substr(i + 1)).second);
    }
    return samples;
}

}  // namespace

TEST_CASE("LinkMetrics counts attempts, failures, connections, losses and outages",
          "[link][metrics][unit]") {
    Metered m;
    m.rig.start();
    m.close(0s, Cause::refused);
    m.rig.run(1s);
    m.open(1s);
    CHECK(m.counters().attempts == 2);
    CHECK(m.counters().connections == 1);
    CHECK(m.counters().losses == 0);
    CHECK(m.failures(Cause::refused) == 1);
    CHECK(m.outages() == 0);  // there was no connection before
    for (int i = 1; i < 10; ++i) {
        m.rig.run(std::chrono::seconds{1 + i});
        m.transport.link.pong();
        m.rig.run(std::chrono::seconds{1 + i});
    }
    m.rig.run(11s);
    m.close(11s, Cause::lost);
    m.rig.run(12s);
    m.close(12s, Cause::overloaded);
    m.rig.run(14s);
    m.open(14s);
    CHECK(m.counters().losses == 1);
    CHECK(m.counters().attempts == 4);
    CHECK(m.outages() == 1);
    CHECK(m.counters().outages.counts[2] == 1);  // 3 s
    CHECK(m.counters().outages.sum == 3s);
    SECTION("a planned close is an outage, and no loss") {
        m.rig.run(24s);
        m.close(24s, Cause::planned);
        m.rig.run(25s);
        m.open(25s);
        CHECK(m.counters().losses == 1);
        CHECK(m.failures(Cause::planned) == 1);
        CHECK(m.outages() == 2);
    }
    SECTION("an end by this side is an outage, and neither a loss nor a failure") {
        const auto failures = m.counters().failures;
        static_cast<void>(m.rig.link.reconnect_now());
        m.rig.run(15s);
        m.open(16s);
        CHECK(m.counters().losses == 1);
        CHECK(m.counters().withdrawn == 1);
        CHECK(m.counters().failures == failures);
        CHECK(m.outages() == 2);
    }
    SECTION("a shut gate is no outage") {
        m.rig.link.shut(Gate::hidden);
        m.rig.run(14s);
        m.rig.link.open(Gate::hidden);
        m.rig.run(14s);
        m.rig.run(15s);
        m.open(15s);
        CHECK(m.outages() == 1);
        CHECK(m.counters().losses == 1);
    }
    SECTION("a stop during an outage ends it without a count") {
        m.close(14s, Cause::lost);
        m.rig.link.stop();
        m.rig.start(20s);
        m.open(20s);
        CHECK(m.outages() == 1);
        CHECK(m.counters().losses == 2);
    }
}

TEST_CASE("LinkMetrics counts the events of a Heartbeat", "[link][metrics][unit]") {
    Metered m;
    m.rig.start();
    m.open(0s);
    m.transport.link.pong();
    m.rig.run(0s);
    m.rig.run(10s);
    REQUIRE(m.transport.pings == 2);
    m.rig.link.advance(at(10s + 30ms));
    m.transport.link.pong(false);  // part of a message: no answer
    m.rig.link.advance(at(10s + 31ms));
    m.transport.link.pong();
    m.rig.link.advance(at(10s + 40ms));
    CHECK(m.counters().round_trips.sum == 40ms);
    CHECK(m.counters().round_trips.counts[4] == 1);
    for (int i = 0; i < 2; ++i) {
        m.transport.link.closed(failure_of(LinkErrc::too_many_pings));
        m.rig.run(11s + 10s * i);
        m.rig.run(20s + 10s * i);
        m.open(20s + 10s * i);
    }
    CHECK(m.counters().policy_conflicts == 1);
}

TEST_CASE("to_prometheus writes each family once, and each sample of each link",
          "[link][metrics][unit]") {
    Metered m;
    m.rig.start();
    m.open(0s);
    m.close(0s, Cause::timed_out);
    m.rig.run(1s);
    m.open(1s);
    m.close(1s, Cause::lost);
    m.rig.run(2500ms);
    m.rig.run(3500ms);
    m.open(3500ms);
    const LinkMetrics other{"\"quoted\" \\ and\nbroken"};
    const LinkMetrics* const both[] = {&m.rig.link.observer(), &other};
    std::string text = "# what was there stays\n";
    to_prometheus(text, both);
    CHECK(text.rfind("# what was there stays\n", 0) == 0);
    const auto samples = parsed(text);
    const auto value = [&](const std::string& name) {
        INFO(name);
        REQUIRE(samples.count(name) == 1);
        return samples.at(name);
    };
    CHECK(value("belay_link_state{link=\"api\",state=\"connected\"}") == "1");
    CHECK(value("belay_link_state{link=\"api\",state=\"stopped\"}") == "0");
    CHECK(value("belay_link_connections_total{link=\"api\"}") == "3");
    CHECK(value("belay_link_failures_total{link=\"api\",cause=\"timed_out\"}") == "1");
    CHECK(value("belay_link_outage_seconds_bucket{link=\"api\",le=\"0.1\"}") == "0");
    CHECK(value("belay_link_outage_seconds_bucket{link=\"api\",le=\"1\"}") == "1");
    CHECK(value("belay_link_outage_seconds_bucket{link=\"api\",le=\"+Inf\"}") == "2");
    CHECK(value("belay_link_outage_seconds_count{link=\"api\"}") == "2");
    CHECK(value("belay_link_outage_seconds_sum{link=\"api\"}") == "3.5");
    const std::string odd = "link=\"\\\"quoted\\\" \\\\ and\\nbroken\"";
    CHECK(value("belay_link_attempts_total{" + odd + "}") == "0");
    CHECK(value("belay_link_state{" + odd + ",state=\"stopped\"}") == "1");
    std::string alone;
    to_prometheus(alone, other);
    CHECK(parsed(alone).size() * 2 == samples.size());
}

TEST_CASE("visit_metrics passes each member of LinkMetrics::Counters", "[link][metrics][unit]") {
    LinkMetrics::Counters counters;
    auto& [attempts, connections, losses, withdrawn, failures, conflicts, outages, round_trips] =
        counters;
    // The first failure is Cause::none, which never happens.
    auto& [none, planned, losses_by_cause, refusals, timeouts, overloaded, protocol, corrupt,
           permanent, forbidden, unauthorized] = failures;
    static_cast<void>(none);
    auto& [outage_counts, outage_sum] = outages;
    auto& [round_trip_counts, round_trip_sum] = round_trips;
    outage_counts[1] = 2;
    round_trip_counts[12] = 3;
    belay_test::check_each_member_visited(counters, attempts, connections, losses, withdrawn,
                                          conflicts, planned, losses_by_cause, refusals, timeouts,
                                          overloaded, protocol, corrupt, permanent, forbidden,
                                          unauthorized, outage_sum, round_trip_sum);
    metrics::Page page;
    REQUIRE(page.add("api", counters));
    std::string text;
    to_prometheus(text, page);
    const auto samples = belay_test::parse_exposition(text).samples;
    CHECK(samples.at("belay_link_outage_seconds_count{link=\"api\"}") == "2");
    CHECK(samples.at("belay_link_round_trip_seconds_count{link=\"api\"}") == "3");
    CHECK(samples.at("belay_link_round_trip_seconds_bucket{link=\"api\",le=\"30\"}") == "0");
}

TEST_CASE("to_prometheus leaves out a second link of the same name, and counts it",
          "[link][metrics][regression]") {
    const LinkMetrics one{"api"};
    const LinkMetrics two{"api"};
    const LinkMetrics* const both[] = {&one, &two};
    std::string text;
    to_prometheus(text, both);
    const auto read = belay_test::parse_exposition(text);
    CHECK(read.fault == "");
    CHECK(read.samples.at("belay_metrics_dropped_parts") == "1");
}

TEST_CASE("LinkMetrics in a Tee does not change the hooks of other observers",
          "[link][metrics][unit]") {
    TransportState transport;
    Notes notes;
    LinkRig rig{FakeTransport<>{transport}, Tee{LinkMetrics{"api"}, std::ref(notes)}};
    rig.start();
    transport.link.opened();
    rig.run(0s);
    CHECK(rig.link.observer().get<0>().counters().connections == 1);
    CHECK(notes.observed == Observed{"connecting", "connected"});
}
