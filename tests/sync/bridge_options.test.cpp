// SPDX-License-Identifier: MIT
// Goal: the defaults match the page, and invalid options are rejected with a message. Method:
// one by one.
#include <belay/sync/bridge_options.hpp>

#include "support/aborts.hpp"
#include "support/catch.hpp"
#include "support/sync/bridge_rig.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

TEST_CASE("BridgeOptions have the defaults of the page", "[sync][bridge_options][unit]") {
    const BridgeOptions options;
    CHECK(options.pull.interval == 30s);
    CHECK(options.pull.enabled);
    CHECK(options.push.debounce == 500ms);
    CHECK(options.push.enabled);
    CHECK(options.answer_within == 10s);
    CHECK(options.retry_after_max == 5min);
    CHECK(options.calls_max == 8);
    CHECK(options.outage_wait.max_delay(0) == 1s);
    CHECK(options.outage_wait.max_delay(1) == 2s);
    CHECK(options.outage_wait.max_delay(100) == 60s);
    CHECK(options.outage_wait.min_delay(100) == 0s);
}

TEST_CASE("Bridge rejects invalid options with a message", "[sync][bridge_options][unit]") {
    const auto says = [](const BridgeOptions& options) {
        return aborts_with([&] { BridgeRig rig{options}; });
    };
    using Text = std::string;
    CHECK(says({.pull = {.interval = 0s}}).find("pull.interval must be > 0ns") != Text::npos);
    CHECK(says({.push = {.debounce = -1ns}}).find("push.debounce must be >= 0ns") != Text::npos);
    CHECK(says({.answer_within = 0s}).find("answer_within must be > 0ns") != Text::npos);
    CHECK(says({.retry_after_max = -1ns}).find("retry_after_max must be >= 0ns") != Text::npos);
    CHECK(says({.calls_max = 0}).find("calls_max must be > 0") != Text::npos);
    CHECK(says({.pull = {.enabled = false}, .push = {.enabled = false}})
              .find("push or pull must be enabled") != Text::npos);
}

TEST_CASE("BridgeOptions at their limits", "[sync][bridge_options][unit]") {
    BridgeRig rig{{.pull = {.interval = 1ns}, .push = {.debounce = 0ns}, .calls_max = 1}};
    rig.start();
    rig.edit("s", "1", 1);
    CHECK(rig.world.run_until([&] { return rig.count("pushed s") == 1; }, 1us));
    BridgeRig vast{{.pull = {.interval = forever},
                    .push = {.debounce = forever},
                    .answer_within = forever,
                    .calls_max = ~std::size_t{0}}};
    vast.start();
    vast.edit("s", "1", 1);
    vast.run_for(24h);
    CHECK(vast.server.pushes.empty());
    vast.bridge->stop();
    vast.run_for(1s);
    CHECK(vast.server.pushes.size() == 1);
}

TEST_CASE("A session of a Bridge that waits for ever can be forgotten",
          "[sync][bridge_options][regression]") {
    // As with BridgeOptions::Push::debounce = forever.
    detail::BridgeSessions sessions;
    sessions.set_due(sessions.at("a"), never);
    CHECK(sessions.next_due() == never);
    sessions.forget_unlisted();
    sessions.for_each([](const detail::BridgeSession&) { FAIL("a session is left"); });
    sessions.set_due(sessions.at("b"), Instant{1s});
    sessions.set_due(sessions.at("c"), never);
    CHECK(sessions.next_due() == Instant{1s});
    CHECK(sessions.take_due().name == "b");
    CHECK(sessions.next_due() == never);
}
