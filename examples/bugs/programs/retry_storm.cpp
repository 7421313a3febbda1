// SPDX-License-Identifier: MIT
// A client dials again at once after the server has refused it: some hundred times in a second.
#include <algorithm>
#include <deque>

#include "programs.hpp"

namespace bugs {
namespace {

struct Storm {
    std::deque<SteadyTime> dials;  ///< of the last second
    int answers = 0;
};

void ask_without_a_pause(Storm& storm, bool mended) {
    auto pause = 100ms;
    for (std::string answer; storm.answers < 300; pause = std::min(2 * pause, 3'200ms)) {
        const SteadyTime now = steady_now();
        while (!storm.dials.empty() && now - storm.dials.front() > 1s) storm.dials.pop_front();
        storm.dials.push_back(now);
        const int fd = dial("server", 9000);
        while (fd >= 0 && storm.answers < 300 && ask(fd, "question", answer)) {
            ++storm.answers;
            pause = 100ms;
            rest(10ms);
        }
        if (fd >= 0) close(fd);
        if (mended) rest(pause);
    }
}

}  // namespace

bool retry_storm(sim::World& world, bool mended) {
    Storm& storm = world.make<Storm>();
    run_program(world, "server", [] {
        serve_lines(listen_at(9000), [](Guest&, const std::string&) { return "answer"; });
    });
    run_program(world, "client", [&storm, mended] { ask_without_a_pause(storm, mended); });
    world.always("at most 20 dials in 1 s", [&] { return storm.dials.size() <= 20; });
    world.run_for(4s);
    world.heal();
    return world.eventually("all is answered", 60s, [&] { return storm.answers == 300; });
}

}  // namespace bugs
