// SPDX-License-Identifier: MIT
// Ten thousand clients lose their server for 20 s: how many dial at the same time when it is back, and
// how often in all, by belay's policy for connections and by the rules of five known clients. In virtual
// time: the figures are the same on every machine. With BELAY_MASS_RECONNECT_SVG=FILE in the environment the
// picture of docs/contributing/performance.md is drawn.
#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include <belay/call/policies.hpp>

#include "chart.hpp"
#include "support/link/mass_reconnect.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::mass_reconnect;
using belay_test::ReconnectTally;

namespace {

constexpr std::size_t clients = 10'000;
constexpr Duration away = 20s;

template <class P>
ReconnectTally run(const P& policy) {
    return mass_reconnect(policy, clients, away, Seed{1});
}

void draw(const char* path) {
    ChartSheet sheet{"10,000 clients lose their server for 20 seconds", 3};
    const auto add = [&](const char* title, const ReconnectTally& tally) {
        Chart chart{title, "seconds", "dials in 100 ms, cut at 500", 500, {}};
        chart.lines.emplace_back();
        for (std::size_t i = 0; i < 500; ++i) {
            const std::size_t dials = i < tally.dials.size() ? tally.dials[i] : 0;
            chart.lines[0].points.emplace_back(static_cast<double>(i) / 10,
                                               static_cast<double>(dials));
        }
        sheet.add(std::move(chart));
    };
    add("belay, policies::connection()", run(policies::connection()));
    add("gRPC", run(belay_test::grpc_rule));
    add("socket.io", run(belay_test::socket_io_rule));
    add("nats.go", run(belay_test::nats_rule));
    add("Kafka", run(belay_test::kafka_rule));
    add("Phoenix", run(belay_test::phoenix_rule));
    if (!sheet.write(path)) std::fprintf(stderr, "cannot write %s\n", path);
}

/// One run of all, and what it counted under three names.
template <class P>
void compare(const std::string& name, const P& policy) {
    const auto count = [&](const char* what, const char* counter, auto figure) {
        const auto once = [=](benchmark::State& state) {
            ReconnectTally tally;
            for (auto _ : state) tally = run(policy);
            state.counters[counter] = figure(tally);
        };
        benchmark::RegisterBenchmark(
            ("link/mass_reconnect/" + std::string{what} + "/" + name).c_str(), once)
            ->Iterations(1);
    };
    count("peak_after", "percent_at_once", [](const ReconnectTally& t) { return t.peak_after(); });
    count("dials", "dials_each", [](const ReconnectTally& t) { return t.dials_each(); });
    count("all_back", "seconds_after", [](const ReconnectTally& t) { return t.seconds_until(1); });
}

const bool registered = [] {
    if (const char* const path = std::getenv("BELAY_MASS_RECONNECT_SVG"); path != nullptr)
        draw(path);
    compare("belay", policies::connection());
    compare("grpc", belay_test::grpc_rule);
    compare("socket_io", belay_test::socket_io_rule);
    compare("nats", belay_test::nats_rule);
    compare("kafka", belay_test::kafka_rule);
    compare("phoenix", belay_test::phoenix_rule);
    return true;
}();

}  // namespace
