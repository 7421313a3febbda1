// SPDX-License-Identifier: MIT
// Goal: an outbox loses and repeats nothing when memory runs out in a turn or in a push. Method:
// each allocation of a history fails once, over a queue in memory. counting_new.hpp is in
// session_load.test.cpp, which is in the same executable.
#include <belay/session/outbox.hpp>

#include <new>

#include "support/failing_new.hpp"
#include "support/session/outbox_rig.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::OutboxMemory;
using belay_test::OutboxRig;

namespace {

/// Whether `f()` ran to its end.
template <class F>
bool had_memory(F&& f, std::size_t good, std::size_t& failed) {
    const belay_test::FailingNew failing{good};
    try {
        f();
    } catch (const std::bad_alloc&) {
        failed += failing.failed();
        return false;
    }
    failed += failing.failed();
    return true;
}

}  // namespace

TEST_CASE("Outbox keeps its promise when memory runs out", "[session][outbox_allocation][fault]") {
    for (const OutboxOptions& options : {belay_test::at_most_once, belay_test::at_least_once}) {
        std::size_t failures = 0;
        for (std::size_t good = 0; good < 40; ++good) {
            CAPTURE(good);
            OutboxRig<OutboxMemory> rig{options};
            std::vector<std::string> accepted;
            for (int i = 0; i < 100; ++i) {
                const std::string text = "message " + std::to_string(i);
                const bool pushed = had_memory(
                    [&] {
                        if (rig.box->push(text)) throw std::bad_alloc{};
                    },
                    i == 50 ? good : 1000, failures);
                if (pushed) accepted.push_back(text);
            }
            CHECK(rig.box->depth() == accepted.size());
            rig.box->start();
            rig.run();
            rig.server.link.opened();
            for (int turns = 0; turns < 100 && rig.box->deadline() <= belay_test::at(0s); ++turns) {
                static_cast<void>(
                    had_memory([&] { rig.box->advance(belay_test::at(0s)); }, good, failures));
                // The next turn sends what the failed one left.
                rig.run();
            }
            CHECK(rig.server.received == accepted);
        }
        CHECK(failures > 0);
    }
}
