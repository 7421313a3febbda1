// SPDX-License-Identifier: MIT
// A server binds its port without SO_REUSEADDR. When it starts again soon after a crash, the kernel
// still has the connections of the process before, bind() fails, and the server ends.
#include "programs.hpp"

namespace bugs {

bool restart_without_reuseaddr(sim::World& world, bool mended) {
    int& answers = world.make<int>(0);
    run_program(world, "server", [mended] {
        const int listener = listen_at(9000, mended);
        if (listener < 0) _exit(1);
        serve_lines(listener, [](Guest&, const std::string&) { return "answer"; });
    });
    run_program(world, "client", [&answers] {
        keep_connected("server", 9000, [&](int fd) {
            for (std::string answer; ask(fd, "question", answer); rest(10ms)) ++answers;
            return false;
        });
    });
    world.run_for(4s);
    world.heal();
    return world.eventually("answers arrive", 30s,
                            [&, old = answers] { return answers > old + 10; });
}

}  // namespace bugs
